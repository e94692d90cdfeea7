"""Mixed precision: which layers go back to float so that the task metric drops by no more than is allowed.

Each layer's error is measured alone on a few items; layers are ranked by error a cost; the shortest list of the first
ones that holds is found by doubling and halving; what turns out not to be needed is brought back to int8.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgedeploy.errors import AccuracyError
from edgedeploy.graph.model import Graph
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.assemble import Prepared, assemble
from edgedeploy.quantize.calibration_data import spread
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.evaluation import Evaluation
from edgedeploy.quantize.evaluator import Biases, Evaluator, KeepFloat, Variant
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.local_workers import SerialWorkers
from edgedeploy.quantize.metrics import Metric
from edgedeploy.quantize.rebias import corrected_biases
from edgedeploy.quantize.sensitivity import SENSITIVITY_ITEMS, LayerSensitivity, Variants, measure_layers
from edgedeploy.quantize.tasks import Workers

BRING_BACK = 8
"""Layers that are tried in int8 again at most."""
_ROUNDING = 1e-9
"""A drop of just the limit holds, however it was rounded."""


class Action(str, Enum):
    """What a step tries."""

    TO_FLOAT = "to float"
    TO_INT8 = "to int8"


@dataclass(frozen=True, kw_only=True)
class PrecisionStep:
    """One trial.

    Args:
        layers: That were changed.
        drop_before: Points, before the change.
        drop_after: With it.
        holds: Whether the limit holds with it: only then it stays, unless a later step finds that fewer layers do.
    """

    action: Action
    layers: tuple[str, ...]
    drop_before: float
    drop_after: float
    holds: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class PrecisionSearch:
    """What was found.

    Args:
        keep_float: Layers in float beside those that cannot be int8, in execution order: for ``assemble``.
        max_drop: Points that were allowed.
        steps: Every trial in order.
        biases: That go with them: for ``assemble`` too.
        layers: Each layer alone in int8; empty where the limit held at once and nobody asked.
        before: With all candidates in int8.
        after: With ``keep_float``.
        evaluations: Variants that were run.
    """

    keep_float: tuple[str, ...]
    biases: Biases
    max_drop: float
    steps: tuple[PrecisionStep, ...]
    layers: tuple[LayerSensitivity, ...]
    before: Evaluation
    after: Evaluation
    evaluations: int

    def model(self, prepared: Prepared) -> Int8Model:
        """Return the network that was found."""
        return _assembled(prepared, Variant(self.keep_float, self.biases))


def choose_precision(
    prepared: Prepared,
    data: Data,
    indices: Sequence[int],
    metric: Metric,
    *,
    max_drop: float,
    calibration: Sequence[Item] = (),
    always_measure: bool = False,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> PrecisionSearch:
    """Choose the layers that stay in float.

    Args:
        indices: Items that the metric is measured on: 200 or so that calibration has not seen.
        max_drop: Largest drop of the metric, in points.
        calibration: ``pipeline.decision_items``, to correct biases on anew for each choice; none: they stay as decided.
        always_measure: Whether sensitivities are wanted also where the limit holds with everything in int8.
        workers: None: this process, with one thread. The result is the same on all.

    Returns:
        For example with ``keep_float=("convdw_7",)``, ``before.drop`` 1.5 and ``after.drop`` 0.0.

    Raises:
        AccuracyError: Not even the network in float holds the limit: the metric does not repeat itself.
        MetricError: An item cannot be scored.
        SchedulerError: Workers were lost.
    """
    evaluator = Evaluator(prepared.source, _Assembled(prepared), data, metric)
    variants = Variants(evaluator, prepared.source.outputs, metric.name, workers or SerialWorkers())
    search = _Search(_Choices(prepared, calibration), variants, tuple(indices), max_drop, progress)
    before = search.evaluate(())
    layers: tuple[LayerSensitivity, ...] = ()
    if always_measure or not search.holds(before):
        layers = measure_layers(variants, prepared, data, spread(indices, SENSITIVITY_ITEMS), progress=progress)
    chosen: KeepFloat = () if search.holds(before) else search.run(layers)
    return PrecisionSearch(
        keep_float=tuple(name for name in prepared.candidates if name in chosen),
        biases=search.variant(chosen).biases,
        max_drop=max_drop,
        steps=tuple(search.steps),
        layers=layers,
        before=before,
        after=search.evaluate(chosen),
        evaluations=variants.evaluations,
    )


def _assembled(prepared: Prepared, variant: Variant) -> Int8Model:
    biases = {name: np.array(values) for name, values in variant.biases}
    return assemble(prepared, keep_float=variant.keep_float, biases=biases)


@dataclass(frozen=True)
class _Assembled:
    """Makes the variants; travels to workers."""

    prepared: Prepared

    def __call__(self, variant: Variant) -> Graph:
        return _assembled(self.prepared, variant).graph


class _Choices:
    """Choices of layers in float, with the biases that go with each."""

    def __init__(self, prepared: Prepared, calibration: Sequence[Item]) -> None:
        self._prepared = prepared
        self._calibration = calibration
        self._known: dict[KeepFloat, Variant] = {(): Variant()}

    def variant(self, keep_float: KeepFloat) -> Variant:
        """Return the network with these layers in float."""
        if keep_float not in self._known:
            biases = corrected_biases(self._prepared, self._calibration, keep_float) if self._calibration else {}
            as_tuples = tuple((name, tuple(values.tolist())) for name, values in biases.items())
            self._known[keep_float] = Variant(keep_float, as_tuples)
        return self._known[keep_float]


class _Search:
    """The trials on the task metric."""

    def __init__(
        self, choices: _Choices, variants: Variants, indices: tuple[int, ...], max_drop: float, progress: Progress
    ) -> None:
        self.variant = choices.variant
        self._variants = variants
        self._indices = indices
        self._max_drop = max_drop
        self._progress = progress
        self.steps: list[PrecisionStep] = []

    def evaluate(self, keep_float: KeepFloat) -> Evaluation:
        """Run a network on all items."""
        wanted = [self.variant(keep_float)]
        return self._variants.evaluate(wanted, self._indices, self._progress, "Measuring the task metric")[0]

    def holds(self, found: Evaluation) -> bool:
        return found.drop <= self._max_drop + _ROUNDING

    def run(self, layers: Sequence[LayerSensitivity]) -> KeepFloat:
        """Return the layers to keep in float."""
        ranked = sorted(layers, key=lambda layer: -layer.merit)
        return self._bring_back(self._shortest(ranked))

    def _shortest(self, ranked: Sequence[LayerSensitivity]) -> list[LayerSensitivity]:
        """Return the fewest of the first layers with which the limit holds.

        More in float is taken to be no worse, so that some twenty trials suffice for hundreds of layers; what is
        returned has been measured, whether or not that is so.
        """
        too_few, count = 0, 1
        while not self._try_first(ranked, count):
            if count >= len(ranked):
                raise self._impossible(ranked)
            too_few, count = count, min(2 * count, len(ranked))
        while count - too_few > 1:
            middle = (too_few + count) // 2
            if self._try_first(ranked, middle):
                count = middle
            else:
                too_few = middle
        return list(ranked[:count])

    def _try_first(self, ranked: Sequence[LayerSensitivity], count: int) -> bool:
        layers = ranked[:count]
        reason = f"first {count} of {len(ranked)} layers by error for their cost"
        return self._try(Action.TO_FLOAT, _keep(layers), (), [layer.name for layer in layers], reason)

    def _bring_back(self, chosen: list[LayerSensitivity]) -> KeepFloat:
        """Bring layers back to int8 that turn out not to be needed, those that cost most first."""
        for layer in sorted(chosen, key=lambda layer: -layer.cost)[:BRING_BACK]:
            left = [item for item in chosen if item is not layer]
            reason = "others that are in float may do without it"
            if left and self._try(Action.TO_INT8, _keep(left), _keep(chosen), [layer.name], reason):
                chosen = left
        return _keep(chosen)

    def _try(
        self, action: Action, variant: KeepFloat, current: KeepFloat, layers: Collection[str], reason: str
    ) -> bool:
        before, after = self.evaluate(current), self.evaluate(variant)
        holds = self.holds(after)
        self.steps.append(
            PrecisionStep(
                action=action,
                layers=tuple(layers),
                drop_before=before.drop,
                drop_after=after.drop,
                holds=holds,
                reason=reason,
            )
        )
        return holds

    def _impossible(self, layers: Sequence[LayerSensitivity]) -> AccuracyError:
        drop = self.evaluate(_keep(layers)).drop
        return AccuracyError(
            f"the metric drops by {drop:.2f} points with every layer in float, and {self._max_drop:g} are allowed",
            hint="the metric does not give the same score twice, or the limit is below zero",
        )


def _keep(layers: Sequence[LayerSensitivity]) -> KeepFloat:
    return tuple(sorted(layer.name for layer in layers))
