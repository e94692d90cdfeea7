"""What int8 costs: the float network and an int8 one on the same items, by a task metric and by the outputs' error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgedeploy.graph.model import Graph
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.evaluator import Evaluator, ItemResult, Variant, run_task, tasks_of
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.local_workers import SerialWorkers
from edgedeploy.quantize.metrics import FULL_POINTS, Metric, points
from edgedeploy.quantize.tasks import Workers

WORST_ITEMS = 10
LEAST_NOISE = 1e-15
"""Of the signal's energy: float32 cannot show less."""
_NORMAL_95 = 1.96


@dataclass(frozen=True, kw_only=True)
class OutputError:
    """An output's error over all items."""

    name: str
    sqnr_db: float
    cosine: float


@dataclass(frozen=True, kw_only=True)
class WorstItem:
    """An item that int8 harms most; scores 0 to 1."""

    index: int
    name: str
    float_score: float
    int8_score: float
    sqnr_db: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What int8 costs.

    Args:
        metric: Its name.
        float_score: Points of the float network: 100 times the mean score.
        int8_score: Points of the int8 network.
        outputs: The error of each output over all items.
        noise_share: Energy of the outputs' error over that of the outputs, mean over the outputs.
        typical_noise: The same of a typical item: the geometric mean over the items. A single item whose answer tips
            over has most of the error's energy, but little say here.
        worst: Most harmed first: by lost score, then by SQNR.
        scores: Of each item, in order: float, int8.
    """

    metric: str
    float_score: float
    int8_score: float
    outputs: tuple[OutputError, ...]
    noise_share: float
    typical_noise: float
    worst: tuple[WorstItem, ...]
    scores: tuple[tuple[float, float], ...]

    @property
    def items(self) -> int:
        return len(self.scores)

    @property
    def drop(self) -> float:
        """Points lost, for example 0.4; negative where int8 happens to be better."""
        return self.float_score - self.int8_score

    @property
    def drop_margin(self) -> float:
        """Points that the drop may be off on other items of the same kind, either way, in 19 cases of 20.

        For items that were drawn independently: of parts of a few pictures it is more.
        """
        return margin_of([expected - found for expected, found in self.scores])

    @property
    def sqnr_db(self) -> float:
        """The worst output's."""
        return min((output.sqnr_db for output in self.outputs), default=0.0)


def margin_of(losses: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean, in points, of scores lost from -1 to 1 an item."""
    if len(losses) < 2:
        return 0.0
    return FULL_POINTS * _NORMAL_95 * float(np.std(losses, ddof=1)) / math.sqrt(len(losses))


def evaluate(
    graph: Graph,
    int8: Int8Model,
    data: Data,
    indices: Sequence[int],
    metric: Metric,
    *,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Hold an int8 network against the float one.

    Args:
        graph: The float network.
        int8: With the same outputs.
        indices: Of the items.
        workers: None: this process, with one thread.

    Returns:
        For example an ``Evaluation`` with ``float_score=91.5``, ``int8_score=91.2``, ``drop`` 0.3.

    Raises:
        MetricError: An item cannot be scored.
        SchedulerError: Workers were lost.
    """
    workers = workers or SerialWorkers()
    evaluator = Evaluator(graph, _Fixed(int8.graph), data, metric)
    tasks = tasks_of(Variant(), indices)
    with progress.task("Comparing int8 with float") as task:
        found = workers.map(run_task, evaluator, tasks, done=lambda done: task.update(done, len(tasks)))
    return summarize([result for part in found for result in part], graph.outputs, metric.name)


@dataclass(frozen=True)
class _Fixed:
    """A network that is there already."""

    graph: Graph

    def __call__(self, variant: Variant) -> Graph:
        return self.graph


def summarize(results: Sequence[ItemResult], outputs: Sequence[str], metric: str) -> Evaluation:
    """Return the evaluation that items add up to; it depends on their order in its last digits only."""
    totals = [ErrorSums.total(result.outputs[place] for result in results) for place in range(len(outputs))]
    by_harm = sorted(results, key=lambda result: (result.int8_score - result.float_score, result.sqnr_db, result.index))
    return Evaluation(
        metric=metric,
        float_score=points([result.float_score for result in results]),
        int8_score=points([result.int8_score for result in results]),
        outputs=tuple(
            OutputError(name=name, sqnr_db=total.sqnr_db, cosine=total.cosine)
            for name, total in zip(outputs, totals, strict=True)
        ),
        noise_share=float(np.mean([total.noise_share for total in totals])) if totals else 0.0,
        typical_noise=_typical([_noise_share(result) for result in results]),
        worst=tuple(
            WorstItem(
                index=result.index,
                name=result.name,
                float_score=result.float_score,
                int8_score=result.int8_score,
                sqnr_db=result.sqnr_db,
            )
            for result in by_harm[:WORST_ITEMS]
        ),
        scores=tuple((result.float_score, result.int8_score) for result in results),
    )


def _noise_share(result: ItemResult) -> float:
    return float(np.mean([output.noise_share for output in result.outputs])) if result.outputs else 0.0


def _typical(shares: Sequence[float]) -> float:
    """Return the geometric mean; items without any error count as those with the least that can be told."""
    if not any(shares):
        return 0.0
    return float(np.exp(np.mean(np.log(np.maximum(shares, LEAST_NOISE)))))
