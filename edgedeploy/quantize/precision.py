"""Mixed precision: which layers go back to float so that the task metric drops by no more than is allowed.

Layers and chains of layers are put back alone on a few items; chains are ranked by gain a cost; the shortest list of
the best ones that holds is found by doubling and halving; what turns out not to be needed is brought back to int8.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from edgedeploy.errors import AccuracyError
from edgedeploy.graph.model import Graph
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.assemble import Prepared, assemble
from edgedeploy.quantize.calibration_data import spread
from edgedeploy.quantize.evaluation import Evaluation
from edgedeploy.quantize.evaluator import Evaluator, KeepFloat
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.local_workers import SerialWorkers
from edgedeploy.quantize.metrics import Metric
from edgedeploy.quantize.sensitivity import (
    SENSITIVITY_ITEMS,
    LayerSensitivity,
    SegmentSensitivity,
    Variants,
    keep,
    measure_layers,
    measure_segments,
)
from edgedeploy.quantize.tasks import Workers

PROMISING = 8
"""Chains whose gain is measured on the task metric too."""
BRING_BACK = 16
"""Chains, and again single layers, that are tried in int8 again at most."""
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
        layers: Each int8 layer put back alone; empty where the limit held at once and nobody asked.
        segments: The same of the chains that were kept or put back as one.
        before: With all candidates in int8.
        after: With ``keep_float``.
        evaluations: Variants that were run.
    """

    keep_float: tuple[str, ...]
    max_drop: float
    steps: tuple[PrecisionStep, ...]
    layers: tuple[LayerSensitivity, ...]
    segments: tuple[SegmentSensitivity, ...]
    before: Evaluation
    after: Evaluation
    evaluations: int


def choose_precision(
    prepared: Prepared,
    data: Data,
    indices: Sequence[int],
    metric: Metric,
    *,
    max_drop: float,
    always_measure: bool = False,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> PrecisionSearch:
    """Choose the layers that stay in float.

    Args:
        indices: Items that the metric is measured on: 200 or so that calibration has not seen.
        max_drop: Largest drop of the metric, in points.
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
    search = _Search(variants, tuple(indices), max_drop, progress)
    before = search.evaluate(())
    layers: tuple[LayerSensitivity, ...] = ()
    segments: tuple[SegmentSensitivity, ...] = ()
    if always_measure or not search.holds(before):
        sample = spread(indices, SENSITIVITY_ITEMS)
        layers = measure_layers(variants, prepared.graph, prepared.candidates, data, sample, progress=progress)
        segments = measure_segments(variants, prepared.graph, layers, sample, progress=progress)
    chosen: KeepFloat = ()
    if not search.holds(before):
        segments = search.with_metric(segments)
        chosen = search.run(segments, layers)
    return PrecisionSearch(
        keep_float=tuple(name for name in prepared.candidates if name in chosen),
        max_drop=max_drop,
        steps=tuple(search.steps),
        layers=layers,
        segments=segments,
        before=before,
        after=search.evaluate(chosen),
        evaluations=variants.evaluations,
    )


@dataclass(frozen=True)
class _Assembled:
    """Makes the variants; travels to workers."""

    prepared: Prepared

    def __call__(self, keep_float: KeepFloat) -> Graph:
        return assemble(self.prepared, keep_float=keep_float).graph


class _Search:
    """The trials on the task metric."""

    def __init__(self, variants: Variants, indices: tuple[int, ...], max_drop: float, progress: Progress) -> None:
        self._variants = variants
        self._indices = indices
        self._max_drop = max_drop
        self._progress = progress
        self.steps: list[PrecisionStep] = []

    def evaluate(self, variant: KeepFloat) -> Evaluation:
        return self._evaluate([variant])[0]

    def holds(self, found: Evaluation) -> bool:
        return found.drop <= self._max_drop + _ROUNDING

    def with_metric(self, segments: Sequence[SegmentSensitivity]) -> tuple[SegmentSensitivity, ...]:
        """Measure the most promising ones on the metric."""
        promising = sorted(segments, key=lambda segment: -segment.merit)[:PROMISING]
        base, *found = self._evaluate([(), *(keep(segment) for segment in promising)])
        gains = {
            segment.layers: (base.drop - alone.drop) / base.drop if base.drop > 0 else 0.0
            for segment, alone in zip(promising, found, strict=True)
        }
        return tuple(replace(segment, metric_gain=gains.get(segment.layers)) for segment in segments)

    def run(self, segments: Sequence[SegmentSensitivity], layers: Sequence[LayerSensitivity]) -> KeepFloat:
        """Return the layers to keep in float."""
        ranked = sorted(segments, key=lambda segment: -segment.merit)
        chosen = self._bring_back(self._shortest(ranked))
        return self._peel(chosen, {layer.name: layer.macs for layer in layers})

    def _evaluate(self, variants: Sequence[KeepFloat]) -> list[Evaluation]:
        return self._variants.evaluate(variants, self._indices, self._progress, "Measuring the task metric")

    def _shortest(self, ranked: Sequence[SegmentSensitivity]) -> list[SegmentSensitivity]:
        """Return the fewest of the first segments with which the limit holds.

        More in float is taken to be no worse, so that some twenty trials suffice for hundreds of segments; what is
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

    def _try_first(self, ranked: Sequence[SegmentSensitivity], count: int) -> bool:
        segments = ranked[:count]
        layers = [name for segment in segments for name in segment.layers]
        reason = f"first {count} of {len(ranked)} chains by gain for their cost"
        return self._try(Action.TO_FLOAT, keep(*segments), (), layers, reason)

    def _bring_back(self, chosen: list[SegmentSensitivity]) -> list[SegmentSensitivity]:
        """Bring chains back to int8 that turn out not to be needed, those that gain least first."""
        for segment in chosen[::-1][:BRING_BACK]:
            left = [item for item in chosen if item is not segment]
            reason = "others that are in float may do without it"
            if left and self._try(Action.TO_INT8, keep(*left), keep(*chosen), segment.layers, reason):
                chosen = left
        return chosen

    def _peel(self, chosen: Sequence[SegmentSensitivity], macs: dict[str, int]) -> KeepFloat:
        """Bring single layers back from the ends of chains, the larger one first."""
        now = keep(*chosen)
        tries = 0
        for segment in chosen:
            inner = list(segment.layers)
            ends = _ends(inner, macs)
            while len(inner) > 1 and ends and tries < BRING_BACK:
                end, tries = ends.pop(0), tries + 1
                left = tuple(name for name in now if name != end)
                if self._try(Action.TO_INT8, left, now, (end,), "the end of its chain may not be needed"):
                    now = left
                    inner.remove(end)
                    ends = _ends(inner, macs)
        return now

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

    def _impossible(self, segments: Sequence[SegmentSensitivity]) -> AccuracyError:
        drop = self.evaluate(keep(*segments)).drop if segments else math.nan
        return AccuracyError(
            f"the metric drops by {drop:.2f} points with every layer in float, and {self._max_drop:g} are allowed",
            hint="the metric does not give the same score twice, or the limit is below zero",
        )


def _ends(layers: Sequence[str], macs: dict[str, int]) -> list[str]:
    return sorted({layers[0], layers[-1]}, key=lambda name: (-macs[name], layers.index(name)))
