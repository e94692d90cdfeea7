"""Benchmark a release on an open connection, keep the run, write its report."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2

from edgedeploy.array_files import read_array
from edgedeploy.artifacts import BoardFacts, Clock, GoldenOutput
from edgedeploy.bench.drive import BenchOptions, bench
from edgedeploy.bench.store import save_run
from edgedeploy.boards.model import Board
from edgedeploy.cli.console import ConsoleProgress, stdout
from edgedeploy.cli.options import HERE, TargetOptions
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.target import Connection
from edgedeploy.errors import BenchError
from edgedeploy.preprocessing import read_image
from edgedeploy.project import Project
from edgedeploy.report.html import render_html
from edgedeploy.report.images import ReportImage
from edgedeploy.report.overlay import draw_text_boxes
from edgedeploy.report.terminal import render_terminal
from edgedeploy.runfile import BoardSummary, ClusterSummary, RunRecord

REPORT_FILE = "report.html"
OUTPUTS_DIRECTORY = "outputs"


@dataclass(frozen=True, kw_only=True)
class Measured:
    record: RunRecord
    run_file: Path
    report_file: Path


def planned(
    project: Project,
    *,
    emulated: bool,
    runs: int | None = None,
    threads: int | None = None,
    cpus: tuple[int, ...] = (),
) -> BenchOptions:
    """Return what to measure: few runs on a twin, whose times are not the board's anyway."""
    section = project.bench
    return BenchOptions(
        warmup=section.emulated_warmup if emulated else section.warmup,
        runs=runs or (section.emulated_runs if emulated else section.runs),
        seconds=0.0 if emulated or runs else section.seconds,
        threads=threads or section.threads,
        cpus=cpus,
        layers=section.layers,
    )


def rerun_command(options: TargetOptions, clock: Clock | None, plan: BenchOptions | None = None) -> str:
    """Return the command line that measures the active release again in the same way."""
    board = str(Path(options.board).absolute()) if options.board.endswith(".toml") else options.board
    words = ["edgedeploy", "bench", "--board", board]
    if options.host:
        words += ["--host", options.host]
    elif clock:
        words += ["--emulated", "--clock", clock.value]
    if options.key:
        words += ["--key", str(options.key.absolute())]
    if options.directory:
        words += ["--directory", options.directory]
    if options.project != HERE:
        words += ["--project", str(options.project.absolute())]
    if plan is not None:
        words += ["--runs", str(plan.runs)]
        words += ["--threads", str(plan.threads)] if plan.threads else []
        words += ["--cpus", ",".join(map(str, plan.cpus))] if plan.cpus else []
    return shlex.join(words)


def measure_and_report(
    target: Connection,
    opened: OpenProject,
    facts: BoardFacts,
    *,
    plan: BenchOptions,
    command: str,
    golden: Sequence[GoldenOutput] | None,
    progress: ConsoleProgress,
) -> Measured:
    """Benchmark what is active on the board; keep run.json and report.html under the project's ``.edgedeploy/runs``."""
    project, target = opened.project, target.as_probed(facts)
    with tempfile.TemporaryDirectory() as scratch:
        record = bench(
            target.transport,
            app=project.app.name,
            directory=PurePosixPath(target.directory) / project.app.name,
            board=board_summary(target.board),
            facts=facts,
            provenance=target.provenance,
            clock=target.clock,
            options=plan,
            command=command,
            progress=progress,
            fetch_outputs_to=Path(scratch),
            golden=golden,
        )
        run_file = save_run(opened.directory, record)
        shutil.copytree(scratch, run_file.with_name(OUTPUTS_DIRECTORY))
    report_file = write_report(opened, run_file, record, progress=progress)
    return Measured(record=record, run_file=run_file, report_file=report_file)


def write_report(opened: OpenProject, run_file: Path, record: RunRecord, *, progress: ConsoleProgress) -> Path:
    """Write the run's page beside it, whole or not at all."""
    images = _overlays(opened, run_file.with_name(OUTPUTS_DIRECTORY), progress=progress)
    target = run_file.with_name(REPORT_FILE)
    unfinished = target.with_suffix(".tmp")
    unfinished.write_text(render_html(record, images=images), encoding="utf-8")
    unfinished.rename(target)
    return target


def show(measured: Measured) -> None:
    """Print the terminal summary and where the files are."""
    render_terminal(measured.record, stdout)
    stdout.print(f"run     {measured.run_file}", markup=False, soft_wrap=True)
    stdout.print(f"report  {measured.report_file}", markup=False, soft_wrap=True)


def board_summary(board: Board) -> BoardSummary:
    """Return what a run record says about a board's definition."""
    return BoardSummary(
        name=board.name,
        soc=board.soc,
        clusters=tuple(
            ClusterSummary(core=cluster.core, count=cluster.count, max_mhz=cluster.max_mhz)
            for cluster in board.clusters
        ),
    )


def _overlays(opened: OpenProject, outputs: Path, *, progress: ConsoleProgress) -> tuple[ReportImage, ...]:
    section = opened.project.report
    name = section.output or "out0"
    output = outputs / f"{name}.npy"
    if section.overlay == "none" or not output.is_file():
        return ()
    image = read_image(opened.resolve(opened.project.samples[0], progress=progress))
    try:
        probability = read_array(output)
    except ValueError as error:
        raise BenchError(f"the board's output {output} cannot be read: {error}", hint="measure again") from None
    drawn, boxes = draw_text_boxes(
        image,
        probability,
        threshold=section.threshold,
        box_threshold=section.box_threshold,
        unclip_ratio=section.unclip_ratio,
    )
    _, png = cv2.imencode(".png", drawn)
    caption = f"{len(boxes)} text boxes from the board's own output {name}, drawn on the first sample"
    return (ReportImage(title="Detected text", caption=caption, png=png.tobytes()),)
