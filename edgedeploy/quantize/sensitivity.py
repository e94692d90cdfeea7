"""How much of the error goes away when one layer, or one segment, is put back to float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgedeploy.graph.model import Graph
from edgedeploy.progress import Progress
from edgedeploy.quantize.evaluation import Evaluation, summarize
from edgedeploy.quantize.evaluator import Evaluator, ItemResult, KeepFloat, VariantTask, run_task, tasks_of
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.segments import Segment, count_macs, find_segments
from edgedeploy.quantize.tasks import Workers

SENSITIVITY_ITEMS = 16
"""Items that layers and segments are measured on, each put back alone."""
CONVERSION_COST = 0.001
"""What a segment in float costs beside its multiplications, as a share of all: the codes around it are converted."""


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """One layer put back to float, all others in int8.

    Args:
        sqnr_gain_db: By how much the worst output's SQNR rises; negative where neighbours lose more than it gains.
        noise_gain: Share of the outputs' error that goes away: 1 is all of it.
        metric_gain: Points of the task metric on the same few items: coarse.
        macs: Multiplications of one inference.
    """

    name: str
    sqnr_gain_db: float
    noise_gain: float
    metric_gain: float
    macs: int


@dataclass(frozen=True, kw_only=True)
class SegmentSensitivity:
    """The same for a segment.

    Args:
        metric_gain: Share of the drop that goes away, on all items; None where it was not measured.
        cost: Share of all int8 multiplications that would be done in float.
    """

    layers: tuple[str, ...]
    sqnr_gain_db: float
    noise_gain: float
    metric_gain: float | None
    macs: int
    cost: float

    @property
    def merit(self) -> float:
        """Gain a cost; what is put back first has the largest."""
        return (self.noise_gain + (self.metric_gain or 0.0)) / (self.cost + CONVERSION_COST)


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
        self._known: dict[tuple[KeepFloat, tuple[int, ...]], Evaluation] = {}

    @property
    def evaluations(self) -> int:
        """How many were run so far."""
        return len(self._known)

    def evaluate(
        self, variants: Sequence[KeepFloat], indices: Sequence[int], progress: Progress, title: str
    ) -> list[Evaluation]:
        """Return an evaluation for each variant, all on the same items."""
        items = tuple(indices)
        missing = [name for name in dict.fromkeys(variants) if (name, items) not in self._known]
        tasks = [task for name in missing for task in tasks_of(name, items)]
        found: dict[KeepFloat, list[ItemResult]] = {name: [] for name in missing}
        if tasks:
            with progress.task(title) as shown:
                results = self._workers.map(
                    run_task, self._evaluator, tasks, done=lambda done: shown.update(done, len(tasks))
                )
            _sort_in(found, tasks, results)
        for name in missing:
            self._known[name, items] = summarize(found[name], self._outputs, self._metric)
        return [self._known[name, items] for name in variants]


def _sort_in(
    found: dict[KeepFloat, list[ItemResult]], tasks: Sequence[VariantTask], results: Sequence[list[ItemResult]]
) -> None:
    for task, part in zip(tasks, results, strict=True):
        found[task.keep_float] += part


def measure_layers(
    variants: Variants, graph: Graph, int8: Sequence[str], data: Data, indices: Sequence[int], *, progress: Progress
) -> tuple[LayerSensitivity, ...]:
    """Put each layer back alone, in execution order.

    Args:
        graph: The float network that the int8 one was made of.
        int8: Its int8 layers.
        indices: A few items.
    """
    if not int8:
        return ()
    macs = count_macs(graph, int8, data.item(indices[0]))
    base, *found = variants.evaluate([(), *((name,) for name in int8)], indices, progress, "Putting each layer back")
    return tuple(
        LayerSensitivity(
            name=name,
            sqnr_gain_db=alone.sqnr_db - base.sqnr_db,
            noise_gain=noise_gain(base, alone),
            metric_gain=base.drop - alone.drop,
            macs=macs[name],
        )
        for name, alone in zip(int8, found, strict=True)
    )


def measure_segments(
    variants: Variants, graph: Graph, layers: Sequence[LayerSensitivity], indices: Sequence[int], *, progress: Progress
) -> tuple[SegmentSensitivity, ...]:
    """Put each segment back alone, on the items that the layers were measured on."""
    segments = find_segments(
        graph,
        [layer.name for layer in layers],
        gains={layer.name: layer.noise_gain for layer in layers},
        macs={layer.name: layer.macs for layer in layers},
    )
    wanted = [(), *(keep(segment) for segment in segments)]
    base, *found = variants.evaluate(wanted, indices, progress, "Putting each chain of layers back")
    total = max(1, sum(layer.macs for layer in layers))
    return tuple(
        SegmentSensitivity(
            layers=segment.layers,
            sqnr_gain_db=alone.sqnr_db - base.sqnr_db,
            noise_gain=noise_gain(base, alone),
            metric_gain=None,
            macs=segment.macs,
            cost=segment.macs / total,
        )
        for segment, alone in zip(segments, found, strict=True)
    )


def keep(*segments: Segment | SegmentSensitivity) -> KeepFloat:
    """Return the variant in which these are in float."""
    return tuple(sorted(name for segment in segments for name in segment.layers))


def noise_gain(base: Evaluation, changed: Evaluation) -> float:
    """Return the share of the outputs' error that goes away."""
    return 1.0 - changed.noise_share / base.noise_share if base.noise_share else 0.0
