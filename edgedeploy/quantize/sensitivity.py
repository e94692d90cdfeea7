"""How much error each layer in int8 makes by itself, what the metric loses by it, and what it would cost in float."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgedeploy.progress import Progress
from edgedeploy.quantize.assemble import Prepared
from edgedeploy.quantize.evaluation import Evaluation, summarize
from edgedeploy.quantize.evaluator import Evaluator, ItemResult, KeepFloat, Variant, VariantTask, run_task, tasks_of
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.layer_costs import layer_costs
from edgedeploy.quantize.rebias import own_biases
from edgedeploy.quantize.tasks import Workers

SENSITIVITY_ITEMS = 16
"""Items that layers are measured on."""


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """One layer in int8 with all others in float; and in float with all others in int8, where that was asked for.

    Args:
        noise: Energy of the outputs' error over that of the outputs: of a typical item, or the mean of all.
        noise_share: Share of the sum over all layers. The errors of layers add up, so about this much of the network's
            error goes away with the layer in float.
        drop: Points of the task metric that the layer loses.
        macs: Multiplications of one inference.
        cost: Of the layer in float: its multiplications and the conversions around it, as a share of all
            multiplications of layers that can be int8.
        wins_db: Decibels that the worst output wins with this layer alone in float, over all in int8; None: not asked
            for.
        wins: Points of the task metric, the same.
    """

    name: str
    noise: float
    noise_share: float
    drop: float
    macs: int
    cost: float
    wins_db: float | None = None
    wins: float | None = None

    @property
    def sqnr_db(self) -> float:
        """Of the outputs; infinite where the layer makes no error."""
        return -10 * math.log10(self.noise) if self.noise else math.inf


class Variants:
    """Evaluates variants of one prepared network on workers; none on the same items twice.

    Args:
        outputs: Of the float network.
    """

    def __init__(self, evaluator: Evaluator, outputs: Sequence[str], metric: str, workers: Workers) -> None:
        self._evaluator = evaluator
        self._outputs = tuple(outputs)
        self._metric = metric
        self._workers = workers
        self._known: dict[tuple[Variant, tuple[int, ...]], Evaluation] = {}

    @property
    def evaluations(self) -> int:
        """How many were run so far."""
        return len(self._known)

    def evaluate(
        self, variants: Sequence[Variant], indices: Sequence[int], progress: Progress, title: str
    ) -> list[Evaluation]:
        """Return an evaluation for each variant, all on the same items."""
        items = tuple(indices)
        missing = [variant for variant in dict.fromkeys(variants) if (variant, items) not in self._known]
        tasks = [task for variant in missing for task in tasks_of(variant, items)]
        found: dict[Variant, list[ItemResult]] = {variant: [] for variant in missing}
        if tasks:
            with progress.task(title) as shown:
                results = self._workers.map(
                    run_task, self._evaluator, tasks, done=lambda done: shown.update(done, len(tasks))
                )
            _sort_in(found, tasks, results)
        for variant in missing:
            self._known[variant, items] = summarize(found[variant], self._outputs, self._metric)
        return [self._known[variant, items] for variant in variants]


def _sort_in(
    found: dict[Variant, list[ItemResult]], tasks: Sequence[VariantTask], results: Sequence[list[ItemResult]]
) -> None:
    for task, part in zip(tasks, results, strict=True):
        found[task.variant] += part


def measure_layers(
    variants: Variants,
    prepared: Prepared,
    data: Data,
    indices: Sequence[int],
    *,
    typical: bool = True,
    progress: Progress,
) -> tuple[LayerSensitivity, ...]:
    """Bring each layer to int8 alone, in execution order.

    Args:
        indices: A few items.
        typical: Whether a typical item's error counts, or that of all together, in which the worst have most say.
    """
    names = prepared.candidates
    if not names:
        return ()
    costs = layer_costs(prepared.graph, names, data.item(indices[0]))
    biases = own_biases(prepared)
    alone = [
        Variant(
            keep_float=tuple(sorted(set(names) - {name})),
            biases=((name, tuple(biases[name].tolist())),) if name in biases else (),
        )
        for name in names
    ]
    found = variants.evaluate(alone, indices, progress, "Measuring each layer alone in int8")
    noises = [item.typical_noise if typical else item.noise_share for item in found]
    noise = sum(noises)
    macs = sum(cost.macs for cost in costs.values())
    return tuple(
        LayerSensitivity(
            name=name,
            noise=own,
            noise_share=own / noise if noise else 0.0,
            drop=measured.drop,
            macs=costs[name].macs,
            cost=costs[name].total / macs if macs else 0.0,
        )
        for name, own, measured in zip(names, noises, found, strict=True)
    )


def measure_left_out(
    variants: Variants,
    layers: Sequence[LayerSensitivity],
    variant_of: Callable[[KeepFloat], Variant],
    indices: Sequence[int],
    *,
    progress: Progress,
) -> tuple[LayerSensitivity, ...]:
    """Leave each layer out of int8 in turn; return the layers with what the outputs win by it.

    Args:
        variant_of: Gives the network with these layers in float and the biases that go with that.
        indices: The items that the layers were measured on.
    """
    without = []
    with progress.task("Correcting biases for each layer in float") as task:
        for count, layer in enumerate(layers, 1):
            without.append(variant_of((layer.name,)))
            task.update(count, len(layers), layer.name)
    everything, *found = variants.evaluate(
        [variant_of(()), *without], indices, progress, "Measuring each layer alone in float"
    )
    return tuple(
        replace(layer, wins_db=item.sqnr_db - everything.sqnr_db, wins=everything.drop - item.drop)
        for layer, item in zip(layers, found, strict=True)
    )
