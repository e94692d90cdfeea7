"""A search over the settings of a quantization, each trial held against the float network on items it has not seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgedeploy.graph.model import Graph
from edgedeploy.progress import SILENT, Progress, Task
from edgedeploy.quantize.evaluation import evaluate
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.local_workers import SerialWorkers
from edgedeploy.quantize.metrics import FULL_POINTS, Metric
from edgedeploy.quantize.pipeline import quantize
from edgedeploy.quantize.settings import Calibrator, RangeRule, Settings, Target
from edgedeploy.quantize.tasks import Done, Workers

HELD_OUT_ITEMS = 200
HELD_OUT_SHARE = 4
"""At most one item in so many is kept from calibration."""
PERCENTILES = (99.9, 99.99, 99.999)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What settings gave.

    Args:
        drop: Points of the metric, on the items held out.
        sqnr_db: Of the worst output, on the same.
    """

    settings: Settings
    drop: float
    sqnr_db: float


@dataclass(frozen=True, kw_only=True)
class SettingsSearch:
    """What was found.

    Args:
        best: The settings to use.
        trials: All, in the order of their running; the first has the settings that the search started from.
        items: How many were held out.
    """

    best: Settings
    trials: tuple[Trial, ...]
    items: int


@dataclass(frozen=True)
class Subset:
    """Some items of a data set, renumbered."""

    data: Data
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def item(self, index: int) -> Item:
        return self.data.item(self.indices[index])


@dataclass(frozen=True)
class _Payload:
    graph: Graph
    calibration: Subset
    held_out: Subset
    target: Target
    metric: Metric


def search_settings(
    graph: Graph,
    data: Data,
    target: Target,
    base: Settings,
    metric: Metric,
    *,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> SettingsSearch:
    """Try calibrators, and then equalisation and shifted ranges the other way round with the best of them.

    Args:
        graph: The float network.
        data: Calibration data; a part is held out, chosen by the seed.
        base: Where the search starts; images, seed, bias correction and rounding stay as they are.
        workers: None: this process. The result is the same on all.

    Returns:
        For example with ``best.calibrator`` MSE and nine trials. Drops that differ by less than one item's score count
        as equal: then the SQNR decides, and then who came first.

    Raises:
        EdgedeployError: What a trial raises.
    """
    workers = workers or SerialWorkers()
    payload = _Payload(graph, *split(data, base), target, metric)
    trials: list[Trial] = []
    best = base
    with progress.task("Trying settings") as task:
        for candidates in (_calibrators, _switches):
            known = {trial.settings for trial in trials}
            wanted = [settings for settings in candidates(best) if settings not in known]
            trials += workers.map(_run, payload, wanted, done=_shown(task, len(trials), len(wanted)))
            best = best_of(trials, len(payload.held_out))
    return SettingsSearch(best=best, trials=tuple(trials), items=len(payload.held_out))


def _shown(task: Task, before: int, wanted: int) -> Done:
    return lambda done: task.update(before + done, before + wanted)


def split(data: Data, settings: Settings) -> tuple[Subset, Subset]:
    """Return what calibration may use and what is held out: a quarter of the items, at most 200.

    With fewer than four items both are all of them.
    """
    count = min(HELD_OUT_ITEMS, len(data) // HELD_OUT_SHARE)
    if count == 0:
        everything = Subset(data, tuple(range(len(data))))
        return everything, everything
    held_out = set(random.Random(settings.seed).sample(range(len(data)), count))
    rest = tuple(index for index in range(len(data)) if index not in held_out)
    return Subset(data, rest), Subset(data, tuple(sorted(held_out)))


def _calibrators(base: Settings) -> list[Settings]:
    plain = [
        replace(base, calibrator=calibrator) for calibrator in Calibrator if calibrator is not Calibrator.PERCENTILE
    ]
    percentiles = [replace(base, calibrator=Calibrator.PERCENTILE, percentile=value) for value in PERCENTILES]
    return list(dict.fromkeys([base, *plain, *percentiles]))


def _switches(base: Settings) -> list[Settings]:
    other = RangeRule.SYMMETRIC if base.ranges is RangeRule.SHIFTED else RangeRule.SHIFTED
    return [
        replace(base, equalize=not base.equalize),
        replace(base, ranges=other),
        replace(base, equalize=not base.equalize, ranges=other),
    ]


def _run(payload: _Payload, settings: Settings) -> Trial:
    _, model = quantize(payload.graph, payload.calibration, target=payload.target, settings=settings)
    indices = range(len(payload.held_out))
    found = evaluate(payload.graph, model, payload.held_out, indices, payload.metric)
    return Trial(settings=settings, drop=found.drop, sqnr_db=found.sqnr_db)


def best_of(trials: Sequence[Trial], items: int) -> Settings:
    """Return the settings that lose least; within one item's score the best SQNR wins, then the first.

    Args:
        items: How many the trials were judged on.
    """
    least = min(trial.drop for trial in trials)
    equal = [trial for trial in trials if trial.drop < least + FULL_POINTS / items]
    return max(equal, key=lambda trial: trial.sqnr_db).settings
