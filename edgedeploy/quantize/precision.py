"""Mixed precision: which layers go back to float so that the outputs are as good as is asked for.

Each layer's error is measured alone on a few items; layers are ordered by the error that goes away for what they cost
(``float_order.py``). Errors add up, so the order says about how many of the first ones it takes; from there the fewest
that hold are found by trial, and what turns out not to be needed is brought back to int8.
"""

from __future__ import annotations

import math
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
from edgedeploy.quantize.float_order import FloatPlan, plan_of
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.layer_costs import FloatCosts
from edgedeploy.quantize.local_workers import SerialWorkers
from edgedeploy.quantize.metrics import Metric
from edgedeploy.quantize.rebias import corrected_biases
from edgedeploy.quantize.sensitivity import (
    SENSITIVITY_ITEMS,
    LayerSensitivity,
    Variants,
    measure_layers,
    measure_left_out,
)
from edgedeploy.quantize.tasks import Workers

BRING_BACK = 4
"""Layers that are tried in int8 again at most."""
_ROUNDING = 1e-9
"""A drop of just the limit holds, however it was rounded."""


class Action(str, Enum):
    """What a step tries."""

    TO_FLOAT = "to float"
    TO_INT8 = "to int8"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is asked of the int8 network.

    Args:
        max_drop: Points of the metric that may be lost; infinite: any.
        min_sqnr_db: Of the worst output against the float network's, over all items; minus infinity: any.
    """

    max_drop: float = math.inf
    min_sqnr_db: float = -math.inf

    def is_met(self, found: Evaluation) -> bool:
        return found.drop <= self.max_drop + _ROUNDING and found.sqnr_db >= self.min_sqnr_db - _ROUNDING

    def wanted_share(self, found: Evaluation) -> float:
        """Return the share of an evaluation's error that may be left, 0 to 1, by prediction.

        Answers tip over in proportion to the error's amplitude, whose square is what adds up.
        """
        share = 10 ** ((found.sqnr_db - self.min_sqnr_db) / 10) if found.sqnr_db < self.min_sqnr_db else 1.0
        if found.drop > self.max_drop:
            share = min(share, (self.max_drop / found.drop) ** 2)
        return share

    def room(self, found: Evaluation, before: Evaluation) -> float:
        """Return the share of an evaluation's error that another may have on top, by prediction; infinite: not known.

        Only decibels tell it: a metric of few items stays the same and then jumps.
        """
        if math.isinf(self.min_sqnr_db):
            return math.inf
        noise, wanted = (10 ** (-db / 10) for db in (found.sqnr_db, self.min_sqnr_db))
        return (wanted - noise) / 10 ** (-before.sqnr_db / 10)


@dataclass(frozen=True, kw_only=True)
class PrecisionStep:
    """One trial.

    Args:
        layers: That were changed.
        drop_before: Points, before the change.
        drop_after: With it.
        sqnr_db: Of the worst output, with it.
        holds: Whether the goal is met with it: only then it stays, unless a later step finds that fewer layers do.
    """

    action: Action
    layers: tuple[str, ...]
    drop_before: float
    drop_after: float
    sqnr_db: float
    holds: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class PrecisionSearch:
    """What was found.

    Args:
        keep_float: Layers in float beside those that cannot be int8, in execution order: for ``assemble``.
        goal: What was asked for.
        steps: Every trial in order.
        biases: That go with them: for ``assemble`` too.
        layers: Each layer alone in int8, and where it was asked for alone in float; empty where the limit held at once
            and nobody asked.
        before: With all candidates in int8.
        after: With ``keep_float``.
        evaluations: Variants that were run.
    """

    keep_float: tuple[str, ...]
    biases: Biases
    goal: Goal
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
    goal: Goal,
    calibration: Sequence[Item] = (),
    always_measure: bool = False,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> PrecisionSearch:
    """Choose the layers that stay in float.

    Args:
        indices: Items that the metric is measured on: 200 or so that calibration has not seen.
        goal: Such as ``Goal(max_drop=1.0)``.
        calibration: ``pipeline.decision_items``, to correct biases on anew for each choice; none: they stay as decided.
        always_measure: Whether sensitivities are wanted also where the limit holds with everything in int8, and what
            each layer alone in float wins.
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
    search = _Search(_Choices(prepared, calibration), variants, tuple(indices), goal, progress)
    before = search.evaluate(())
    layers: tuple[LayerSensitivity, ...] = ()
    sample = spread(indices, SENSITIVITY_ITEMS)
    if always_measure or not goal.is_met(before):
        layers = measure_layers(
            variants,
            prepared,
            data,
            sample,
            typical=math.isinf(goal.min_sqnr_db),
            progress=progress,
        )
    if always_measure and layers:
        layers = measure_left_out(variants, layers, search.variant, sample, progress=progress)
    chosen: KeepFloat = ()
    if not goal.is_met(before):
        costs = FloatCosts(prepared.graph, prepared.candidates, data.item(indices[0]))
        chosen = search.run(plan_of(layers, costs), before)
    return PrecisionSearch(
        keep_float=tuple(name for name in prepared.candidates if name in chosen),
        biases=search.variant(chosen).biases,
        goal=goal,
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
        self, choices: _Choices, variants: Variants, indices: tuple[int, ...], goal: Goal, progress: Progress
    ) -> None:
        self.variant = choices.variant
        self._variants = variants
        self._indices = indices
        self._goal = goal
        self._progress = progress
        self.steps: list[PrecisionStep] = []

    def evaluate(self, keep_float: KeepFloat) -> Evaluation:
        """Run a network on all items."""
        wanted = [self.variant(keep_float)]
        return self._variants.evaluate(wanted, self._indices, self._progress, "Measuring the task metric")[0]

    def run(self, plan: FloatPlan, before: Evaluation) -> KeepFloat:
        """Return the layers to keep in float."""
        share = self._goal.wanted_share(before)
        chosen = self._fewest(plan.layers, max(1, plan.count_for(share)))
        return self._bring_back(chosen, before)

    def _fewest(self, ordered: Sequence[LayerSensitivity], start: int) -> list[LayerSensitivity]:
        """Return the fewest of the first layers with which the goal is met.

        More in float is taken to be no worse, so that a dozen trials suffice for hundreds of layers; what is returned
        has been measured, whether or not that is so.

        Args:
            start: How many it takes by prediction. From there steps double until there is one that holds and one
                that does not, and then halve.
        """
        too_few, enough, count, step = 0, len(ordered) + 1, start, 1
        while enough - too_few > 1:
            if self._try_first(ordered, count):
                enough = count
            elif count == len(ordered):
                raise self._impossible(ordered)
            else:
                too_few = count
            if enough > len(ordered):
                count = min(too_few + step, len(ordered))
            elif too_few == 0:
                count = max(enough - step, 1)
            else:
                count = (too_few + enough) // 2
            step *= 2
        return list(ordered[:enough])

    def _try_first(self, ordered: Sequence[LayerSensitivity], count: int) -> bool:
        layers = ordered[:count]
        reason = f"first {count} of {len(ordered)} layers by error for their cost"
        return self._try(Action.TO_FLOAT, _keep(layers), (), [layer.name for layer in layers], reason)

    def _bring_back(self, chosen: list[LayerSensitivity], before: Evaluation) -> KeepFloat:
        """Bring layers back to int8 that turn out not to be needed, those that cost most first."""
        room = self._goal.room(self.evaluate(_keep(chosen)), before)
        likely = [layer for layer in chosen if layer.noise_share <= room]
        for layer in sorted(likely, key=lambda layer: -layer.cost)[:BRING_BACK]:
            left = [item for item in chosen if item is not layer]
            reason = "others that are in float may do without it"
            if left and self._try(Action.TO_INT8, _keep(left), _keep(chosen), [layer.name], reason):
                chosen = left
        return _keep(chosen)

    def _try(
        self, action: Action, variant: KeepFloat, current: KeepFloat, layers: Collection[str], reason: str
    ) -> bool:
        before, after = self.evaluate(current), self.evaluate(variant)
        holds = self._goal.is_met(after)
        self.steps.append(
            PrecisionStep(
                action=action,
                layers=tuple(layers),
                drop_before=before.drop,
                drop_after=after.drop,
                sqnr_db=after.sqnr_db,
                holds=holds,
                reason=reason,
            )
        )
        return holds

    def _impossible(self, layers: Sequence[LayerSensitivity]) -> AccuracyError:
        found, goal = self.evaluate(_keep(layers)), self._goal
        if found.sqnr_db < goal.min_sqnr_db:
            return AccuracyError(
                f"the outputs have {found.sqnr_db:.1f} dB with every layer in float, "
                f"and {goal.min_sqnr_db:g} are asked for",
                hint="the passes that simplify the network change that much by themselves: ask for less",
            )
        return AccuracyError(
            f"the metric drops by {found.drop:.2f} points with every layer in float, and {goal.max_drop:g} are allowed",
            hint="the metric does not give the same score twice, or the limit is below zero",
        )


def _keep(layers: Sequence[LayerSensitivity]) -> KeepFloat:
    return tuple(sorted(layer.name for layer in layers))
