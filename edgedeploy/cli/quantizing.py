"""Brings a subject to int8: hands the stage's parts what the ones before made, and keeps the result."""

from __future__ import annotations

import hashlib
import pickle
import shlex
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from edgedeploy import __version__
from edgedeploy.artifacts import ConvertedModel, Precision, Sample
from edgedeploy.boards.model import Board
from edgedeploy.cli import subjects
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.quantize_data import Sources, open_sources
from edgedeploy.cli.quantize_records import About, Made, make_record
from edgedeploy.cli.subjects import Subject
from edgedeploy.errors import QuantizationError, UsageError, close_matches
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import engine_version
from edgedeploy.project import QuantizationSection
from edgedeploy.quantize import store
from edgedeploy.quantize.calibration_data import spread
from edgedeploy.quantize.evaluation import evaluate
from edgedeploy.quantize.evaluator import INT8_TASK_OPTIONS, TASK_ITEMS
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.layer_costs import int8_macs
from edgedeploy.quantize.layer_errors import layer_errors
from edgedeploy.quantize.metrics import Metric, load_metric
from edgedeploy.quantize.pipeline import Prepared, assemble, decision_items, prepare
from edgedeploy.quantize.precheck import check_quantizable
from edgedeploy.quantize.precision import Goal, choose_precision
from edgedeploy.quantize.rebias import rebiased
from edgedeploy.quantize.search import search_settings
from edgedeploy.quantize.settings import Calibrator, Settings, Target
from edgedeploy.quantize.table import CalibrationTable, read_table
from edgedeploy.quantize.workers import Workers, open_workers

DOT_PRODUCT = "asimddp"
HALF_PRECISION = "asimdhp"
KERNELS_ARCHITECTURE = "aarch64"
LAYER_ERROR_ITEMS = 16
KEPT_BY_THE_USER = "you keep it in float"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a quantization is asked for.

    Args:
        section: The project's, with what the command line says instead.
        board: It is for.
        command: The line that does it again.
        precision: Of the release's float layers.
        search: Try settings too, and measure every layer's sensitivity.
        scheduler: Of a Dask cluster; None: this machine.
    """

    section: QuantizationSection
    board: Board
    command: str
    precision: Precision
    search: bool = False
    scheduler: str | None = None

    @property
    def target(self) -> Target:
        return target_of(self.board, stock=self.section.stock, precision=self.precision)

    @property
    def goal(self) -> Goal | None:
        """What is asked of the int8 network; None: nothing."""
        max_drop, min_sqnr = self.section.max_drop, self.section.min_sqnr
        if max_drop is None and min_sqnr is None:
            return None
        return Goal(max_drop=inf if max_drop is None else max_drop, min_sqnr_db=-inf if min_sqnr is None else min_sqnr)

    @property
    def settings(self) -> Settings:
        section = self.section
        return Settings(
            calibrator=Calibrator(section.calibrator),
            percentile=section.percentile,
            images=section.images,
            seed=section.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An int8 model: ``entry`` has its files and record. ``evaluation`` is what the record's worst items are of."""

    model: ConvertedModel
    float_model: ConvertedModel
    sample: Sample
    entry: store.Entry
    evaluation: Data


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One quantization, everything opened."""

    subject: Subject
    graph: Graph
    wish: Wish
    metric: Metric
    sources: Sources
    table: CalibrationTable | None = None

    @property
    def key(self) -> str:
        """The cache's name for the result: a hash over everything that it depends on."""
        section, model = self.wish.section, self.subject.model
        return store.quantization_key(
            {
                "model": [file_sha256(model.param), file_sha256(model.weights)],
                "name": [self.subject.name, self.subject.source],
                "data": [self.sources.calibration.sha256, self.sources.evaluation.sha256],
                "data names": [section.data, section.evaluation],
                "settings": self.wish.settings.to_json(),
                "metric": [self.metric.name, hashlib.sha256(pickle.dumps(self.metric)).hexdigest()],
                "precision": [section.max_drop, section.min_sqnr, sorted(section.keep_float), self.wish.search],
                "table": None if self.table is None else [section.from_table, repr(self.table)],
                "target": asdict(self.wish.target),
                "versions": versions(),
            }
        )


def of_project(opened: OpenProject, board: Board, *, accept_differences: bool, progress: ConsoleProgress) -> Quantized:
    """Quantize the project's model as its file says, or take it from the cache."""
    subject = subjects.of_project(opened, accept_differences=accept_differences, progress=progress)
    words = ["edgedeploy", "quantize", "--board", board.name]
    words += ["--project", str(opened.directory)] if opened.directory != Path.cwd() else []
    wish = Wish(
        section=opened.project.quantization,
        board=board,
        command=shlex.join(words),
        precision=opened.project.model.precision,
    )
    return run(subject, wish, progress=progress)


def run(subject: Subject, wish: Wish, *, progress: ConsoleProgress) -> Quantized:
    """Quantize a model, or take it from the cache.

    Raises:
        QuantizationError: A leaf of it that says what is wrong.
        UnreadableInputError: Lists every item that cannot be used.
    """
    table = _table(subject, wish)
    graph = subject.graph(progress)
    check_quantizable(graph)
    metric = load_metric(wish.section.metric, subject.directory)
    sources = open_sources(subject, wish.section, progress=progress)
    for warning in sources.warnings:
        progress.say(f"warning: {warning}")
    job = _Job(subject=subject, graph=graph, wish=wish, metric=metric, sources=sources, table=table)
    entry = store.find_entry(job.key) or _make(job, progress)
    # The same result may have been asked for in other words, or in another directory.
    record = entry.record.model_copy(update={"command": wish.command})
    return Quantized(
        model=replace(subject.model, param=entry.param, weights=entry.weights),
        float_model=subject.model,
        sample=subject.samples[0],
        entry=replace(entry, record=record),
        evaluation=sources.evaluation.data,
    )


def _table(subject: Subject, wish: Wish) -> CalibrationTable | None:
    name = wish.section.from_table
    if name is None:
        return None
    if wish.search:
        raise UsageError("--search tries settings, and a table has its scales already", hint="leave one of them out")
    return read_table(subject.directory / name)


def without(prepared: Prepared, names: Collection[str]) -> Prepared:
    """Return the same with some layers out of the question.

    Raises:
        UsageError: A name that is no layer which could be int8.
    """
    for name in names:
        if name not in prepared.candidates and name not in prepared.left:
            raise UsageError(
                f"keep_float names {name!r}, which is no layer that could be int8",
                hint=close_matches(name, prepared.candidates),
            )
    kept = set(names)
    return replace(
        prepared,
        candidates=tuple(name for name in prepared.candidates if name not in kept),
        decisions={name: decision for name, decision in prepared.decisions.items() if name not in kept},
        left={**prepared.left, **{name: KEPT_BY_THE_USER for name in prepared.candidates if name in kept}},
    )


def target_of(board: Board, *, stock: bool, precision: Precision) -> Target:
    """Return what the board's cores make of int8.

    Args:
        stock: Whether the engine's own layers alone are to run it. On 32-bit ARM there are no others.
        precision: Of float layers; cores with half precision give the engine's layers halves whatever it is.
    """
    return Target(
        name=board.name,
        dotprod=DOT_PRODUCT in board.features,
        own_layers=not stock and board.architecture == KERNELS_ARCHITECTURE,
        half_floats=precision.half_weights or HALF_PRECISION in board.features,
    )


def versions() -> dict[str, str]:
    """Return the versions that the result depends on."""
    return {"edgedeploy": __version__, "engine": engine_version(), "numpy": np.__version__}


def _make(job: _Job, progress: ConsoleProgress) -> store.Entry:
    wish, evaluation = job.wish, job.sources.evaluation.data
    # One task's items keep one worker busy: others would only cost their start.
    alone = wish.goal is None and not wish.search and len(evaluation) <= TASK_ITEMS
    with open_workers(scheduler=wish.scheduler, processes=1 if alone else None) as workers:
        for note in workers.notes:
            progress.say(note)
        made = _quantized(job, workers, progress)
    indices = spread(range(len(evaluation)), LAYER_ERROR_ITEMS)
    errors = layer_errors(
        made.prepared.graph, made.int8, evaluation, indices, options=INT8_TASK_OPTIONS, progress=progress
    )
    about = About(
        subject=job.subject,
        target=wish.target,
        versions=versions(),
        command=wish.command,
        sources=job.sources,
        goal=wish.goal,
        section=wish.section,
    )
    try:
        return store.add_entry(
            job.key, made.int8, made.prepared.graph, lambda files: make_record(about, made, errors, files)
        )
    except OSError as error:
        raise QuantizationError(
            f"the cache of int8 models cannot be written: {error}",
            hint="check the free disk space, or set EDGEDEPLOY_CACHE to a directory of yours",
        ) from error


def _quantized(job: _Job, workers: Workers, progress: ConsoleProgress) -> Made:
    wish, metric, target = job.wish, job.metric, job.wish.target
    calibration, evaluation = job.sources.calibration.data, job.sources.evaluation.data
    settings, trials = wish.settings, None
    if wish.search:
        trials = search_settings(job.graph, calibration, target, settings, metric, workers=workers, progress=progress)
        settings = trials.best
    prepared = prepare(job.graph, calibration, target=target, settings=settings, table=job.table, progress=progress)
    prepared = without(prepared, wish.section.keep_float)
    if wish.section.keep_float:
        prepared = rebiased(prepared, decision_items(calibration, settings))
    indices = range(len(evaluation))
    item = calibration.item(0)
    if wish.goal is None and not wish.search:
        int8 = assemble(prepared)
        found = evaluate(job.graph, int8, evaluation, indices, metric, workers=workers, progress=progress)
        return Made(
            settings=settings,
            trials=trials,
            prepared=prepared,
            int8=int8,
            evaluation=found,
            precision=None,
            int8_macs=int8_macs(prepared.graph, int8, item),
        )
    precision = choose_precision(
        prepared,
        evaluation,
        indices,
        metric,
        goal=wish.goal or Goal(),
        calibration=decision_items(calibration, settings),
        always_measure=wish.search,
        workers=workers,
        progress=progress,
    )
    int8 = precision.model(prepared)
    return Made(
        settings=settings,
        trials=trials,
        prepared=prepared,
        int8=int8,
        evaluation=precision.after,
        precision=precision,
        int8_macs=int8_macs(prepared.graph, int8, item),
    )
