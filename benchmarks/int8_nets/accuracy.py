"""Rows of the accuracy benchmark: what is asked of int8 on each subject, and the measuring."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edgedeploy.progress import Progress
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.evaluation import Evaluation, evaluate, margin_of
from edgedeploy.quantize.layer_costs import int8_macs
from edgedeploy.quantize.metrics import Top1, points
from edgedeploy.quantize.pipeline import Prepared, assemble, decision_items, prepare
from edgedeploy.quantize.precision import Goal, choose_precision
from edgedeploy.quantize.settings import NAIVE, Settings, Target
from edgedeploy.quantize.tasks import Workers
from int8_nets.labelled import Unlabelled
from int8_nets.subjects import SUBJECTS, Fold, Subject

HELD_OUT_DROP = 0.3
"""Percent of the images held out of the training set whose class mixed precision may change. Labels would let changes
for the better make up for those for the worse, and say nothing where a few images decide."""
PHOTO_SQNR_DB = 28.0
"""Of the logits on photographs that neither calibrate nor judge. Crops of a few photographs say little about how often
classes change on others; the size of the error is alike on all."""
LINES_DROP = 1.25
"""Points that may be lost on lines that calibrated, two of 162; int8 loses more on others."""
CHOICE_ITEMS = 160
"""About how many of the items that calibrated layers are chosen on, where none are held out."""

ON_HELD_OUT = Goal(max_drop=HELD_OUT_DROP)


class Method(str, Enum):
    """``FULL``: everything that can be is int8, by the default settings. ``NAIVE``: the same by plain absmax.

    ``MIXED``: by the default settings, some layers in float.
    """

    FULL = "int8"
    NAIVE = "naive"
    MIXED = "mixed"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Args:
        subject: Key of ``SUBJECTS``.
        limit: Points that may be lost; None: shown for comparison.
        goal: With ``MIXED``, what is asked for on the items that layers are chosen on.
    """

    name: str
    subject: str
    limit: float | None
    method: Method = Method.FULL
    goal: Goal = ON_HELD_OUT


ROWS = (
    Row(name="fashion-mobilenetv2", subject="fashion-mobilenetv2", limit=0.3),
    Row(name="fashion-mobilenetv3", subject="fashion-mobilenetv3", limit=0.3),
    Row(name="fashion-mobilenetv2-mixed", subject="fashion-mobilenetv2", limit=0.1, method=Method.MIXED),
    Row(name="fashion-mobilenetv3-mixed", subject="fashion-mobilenetv3", limit=0.1, method=Method.MIXED),
    Row(name="imagenet-mobilenetv2-naive", subject="imagenet-mobilenetv2", limit=None, method=Method.NAIVE),
    Row(name="imagenet-mobilenetv2-all-int8", subject="imagenet-mobilenetv2", limit=None),
    Row(
        name="imagenet-mobilenetv2",
        subject="imagenet-mobilenetv2",
        limit=5.0,
        method=Method.MIXED,
        goal=Goal(min_sqnr_db=PHOTO_SQNR_DB),
    ),
    Row(name="imagenet-efficientnet-lite0-all-int8", subject="imagenet-efficientnet-lite0", limit=None),
    Row(
        name="imagenet-efficientnet-lite0",
        subject="imagenet-efficientnet-lite0",
        limit=3.0,
        method=Method.MIXED,
        goal=Goal(min_sqnr_db=PHOTO_SQNR_DB),
    ),
    Row(name="ppocr-cls", subject="ppocr-cls", limit=0.5),
    Row(name="ppocr-det", subject="ppocr-det", limit=5.0),
    Row(name="ppocr-rec-all-int8", subject="ppocr-rec", limit=None),
    Row(
        name="ppocr-rec",
        subject="ppocr-rec",
        limit=2.0,
        method=Method.MIXED,
        goal=Goal(max_drop=LINES_DROP),
    ),
    Row(name="hard-naive", subject="hard", limit=None, method=Method.NAIVE),
    Row(name="hard", subject="hard", limit=1.0),
)


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """One fold's evaluation, how many of the layers that multiply with weights are int8 and float, and the share of
    their multiplications that is done in int8."""

    evaluation: Evaluation
    int8_layers: int
    float_layers: int
    int8_macs: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A row's result.

    Args:
        folds: One result a fold of the subject.
        seconds: For judging, and for quantizing where no row before has done it.
    """

    row: Row
    folds: tuple[FoldResult, ...]
    seconds: float

    @property
    def float_score(self) -> float:
        """Points of the float network over the items of all folds."""
        return points([found for fold in self.folds for found, _ in fold.evaluation.scores])

    @property
    def int8_score(self) -> float:
        """Points of the int8 networks."""
        return points([found for fold in self.folds for _, found in fold.evaluation.scores])

    @property
    def drop(self) -> float:
        return self.float_score - self.int8_score

    @property
    def drop_margin(self) -> float:
        """Points that the drop may be off either way, in 19 cases of 20, were the items drawn independently."""
        return margin_of([expected - found for fold in self.folds for expected, found in fold.evaluation.scores])

    @property
    def items(self) -> int:
        return sum(fold.evaluation.items for fold in self.folds)

    @property
    def sqnr_db(self) -> float:
        """Of the worst output of the worst fold."""
        return min(fold.evaluation.sqnr_db for fold in self.folds)

    @property
    def layers(self) -> tuple[int, int]:
        """How many layers are int8 at least, and float at most, over the folds."""
        return min(fold.int8_layers for fold in self.folds), max(fold.float_layers for fold in self.folds)

    @property
    def int8_macs(self) -> float:
        """Share of the multiplications that is done in int8, of the fold with the least."""
        return min(fold.int8_macs for fold in self.folds)

    @property
    def holds(self) -> bool:
        return self.row.limit is None or self.drop <= self.row.limit

    def to_json(self) -> dict[str, Any]:
        """Return ``name``, ``float``, ``int8``, ``drop``, ``limit`` in points, and what else is good to know."""
        int8_layers, float_layers = self.layers
        return {
            "name": self.row.name,
            "float": round(self.float_score, 3),
            "int8": round(self.int8_score, 3),
            "drop": round(self.drop, 3),
            "drop_margin": round(self.drop_margin, 3),
            "limit": self.row.limit,
            "holds": self.holds,
            "metric": self.folds[0].evaluation.metric,
            "items": self.items,
            "folds": [round(fold.evaluation.int8_score, 3) for fold in self.folds],
            "sqnr_db": round(self.sqnr_db, 2),
            "layers": {"int8": int8_layers, "float": float_layers},
            "int8_macs": round(self.int8_macs, 4),
            "seconds": round(self.seconds, 1),
        }


@dataclass(kw_only=True)
class Bench:
    """Measures rows; what rows share is made once.

    Args:
        target: The board's CPU.
        workers: That judge.
        progress: For people.
    """

    target: Target
    workers: Workers
    progress: Progress
    _subjects: dict[str, Subject] = field(default_factory=dict)
    _prepared: dict[tuple[str, int, bool], Prepared] = field(default_factory=dict)
    """By subject, by the calibration data's identity (folds may share them), and whether by plain absmax."""

    def measure(self, row: Row) -> Measured:
        """Quantize a row's subject and judge it."""
        subject = self._subject(row.subject)
        started_s = time.monotonic()
        folds = tuple(self._measure_fold(row, subject, number) for number in range(len(subject.folds)))
        return Measured(row=row, folds=folds, seconds=time.monotonic() - started_s)

    def _measure_fold(self, row: Row, subject: Subject, number: int) -> FoldResult:
        fold = subject.folds[number]
        prepared = self._prepare(row, subject, number)
        model = self._mixed(row, prepared, subject, fold) if row.method is Method.MIXED else assemble(prepared)
        evaluation = evaluate(
            subject.graph,
            model,
            fold.evaluation,
            range(len(fold.evaluation)),
            subject.metric,
            workers=self.workers,
            progress=self.progress,
        )
        int8_layers = sum(choice.int8 for choice in model.layers)
        self.progress.say(f"{row.name}, fold {number + 1}: drop {evaluation.drop:.2f}, {evaluation.sqnr_db:.1f} dB")
        return FoldResult(
            evaluation=evaluation,
            int8_layers=int8_layers,
            float_layers=len(model.layers) - int8_layers,
            int8_macs=int8_macs(prepared.graph, model, fold.calibration.item(0)),
        )

    def _subject(self, name: str) -> Subject:
        if name not in self._subjects:
            self._subjects[name] = SUBJECTS[name](self.progress)
        return self._subjects[name]

    def _prepare(self, row: Row, subject: Subject, number: int) -> Prepared:
        naive = row.method is Method.NAIVE
        key = (row.subject, id(subject.folds[number].calibration), naive)
        if key not in self._prepared:
            self._prepared[key] = prepare(
                subject.graph,
                subject.folds[number].calibration,
                target=self.target,
                settings=NAIVE if naive else Settings(),
                progress=self.progress,
            )
        return self._prepared[key]

    def _mixed(self, row: Row, prepared: Prepared, subject: Subject, fold: Fold) -> Int8Model:
        """Choose layers on what is held out, or else on what calibrated; never on what judges."""
        held_out = fold.held_out is not None
        data = Unlabelled(data=fold.held_out) if fold.held_out is not None else fold.calibration
        found = choose_precision(
            prepared,
            data,
            range(len(data)) if held_out else range(0, len(data), max(1, len(data) // CHOICE_ITEMS)),
            Top1() if held_out else subject.metric,
            goal=row.goal,
            calibration=decision_items(fold.calibration, prepared.settings),
            workers=self.workers,
            progress=self.progress,
        )
        return found.model(prepared)
