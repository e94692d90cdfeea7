"""``quantize``: the project's model, or a file, to int8, with a report of what it costs."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edgedeploy.artifacts import Clock, Postprocessing, Precision
from edgedeploy.boards.load import load_board
from edgedeploy.boards.model import Board
from edgedeploy.bundle.keys import SigningKey
from edgedeploy.cli import measuring, quantize_pages, quantizing, speeds, subjects
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.model_commands import AcceptOption, parse_shapes
from edgedeploy.cli.options import HERE, JsonOption, TargetOptions, takes_target
from edgedeploy.cli.projects import OpenProject, open_project
from edgedeploy.cli.quantizing import Quantized, Wish
from edgedeploy.cli.releases import ReleasePlan, make_release
from edgedeploy.cli.signing import signing_key
from edgedeploy.cli.subjects import Subject
from edgedeploy.cli.target import connection, require_target
from edgedeploy.errors import UsageError
from edgedeploy.project import Project, QuantizationSection
from edgedeploy.quantize.settings import Calibrator
from edgedeploy.report.quantization_terminal import render_quantization_terminal

DEFAULT_BOARD = "rk3399"
NO_BOARD = ""
TRIAL_APP = "trial"


def register(app: typer.Typer) -> None:
    app.command()(quantize)


@takes_target(default_board=NO_BOARD)
def quantize(
    options: TargetOptions,
    model: Annotated[
        Path | None,
        typer.Argument(help="A .param with its .bin, an .onnx or a .pt file; the project's model otherwise."),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="NAME=1,C,H,W", help="With MODEL: an input's shape; once for each."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="Calibration data: a directory, an .npy file, or FILE.py:FUNCTION."),
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Option("--evaluation", help="Data to judge on; items that calibration leaves over otherwise."),
    ] = None,
    images: Annotated[int | None, typer.Option("--images", min=1, help="Calibrate on so many.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of every random choice.")] = None,
    calibrator: Annotated[
        Calibrator | None,
        typer.Option("--calibrator", help="How the range of a blob is chosen."),
    ] = None,
    percentile: Annotated[
        float | None,
        typer.Option("--percentile", min=50.0, max=100.0, help="For that calibrator, in percent."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="top1, cosine, or FILE.py:FUNCTION."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", min=0.0, help="Points of the metric that may be lost; else layers stay in float."),
    ] = None,
    min_sqnr: Annotated[
        float | None,
        typer.Option("--min-sqnr", metavar="DB", help="That the outputs are to have; else layers stay in float."),
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option("--keep-float", metavar="LAYER", help="Leave this layer in float; once for each."),
    ] = None,
    stock: Annotated[
        bool | None,
        typer.Option("--stock", help="For programs with the engine's own layers alone, not our runner."),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Try other settings too, and measure what each layer costs.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler to work on; this machine otherwise."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            dir_okay=False,
            help="Write the scales as a table in ncnn's text format, and beside it the float model that it goes with.",
        ),
    ] = None,
    from_table: Annotated[
        str | None,
        typer.Option("--from-table", metavar="FILE", help="Take the scales from such a table."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", file_okay=False, help="Copy model, record and report into this directory."),
    ] = None,
    accept_differences: AcceptOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a model to int8 and report what it costs; with a target, also whether it is faster there."""
    progress = ConsoleProgress()
    if table is not None and not table.absolute().parent.is_dir():
        raise UsageError(f"{table} cannot be written: there is no such directory", hint="make it first")
    opened = open_project(options.project, progress=progress)
    options = replace(options, board=options.board or default_board(opened.project))
    board = load_board(options.board, project_dir=opened.directory)
    measure = _wants_speed(options, board, opened)
    key = signing_key(opened, None) if measure else None
    if measure and not options.emulated:
        # A board that does not answer is said before minutes go into quantizing for it.
        with connection(options, opened, progress=progress) as target:
            progress.say(f"{target.transport.description} answers")
    subject = _subject(model, shapes or [], opened, accept_differences=accept_differences, progress=progress)
    said = {
        "data": _from_here(data),
        "evaluation": _from_here(evaluation),
        "images": images,
        "seed": seed,
        "calibrator": calibrator.value if calibrator else None,
        "percentile": percentile,
        "metric": _from_here(metric),
        "max_drop": max_drop,
        "min_sqnr": min_sqnr,
        "keep_float": tuple(keep_float) if keep_float else None,
        "stock": stock,
        "from_table": _from_here(from_table),
    }
    if from_table is not None and (calibrator is not None or percentile is not None):
        raise UsageError("a table has its scales already, whatever the calibrator", hint="leave one of them out")
    given = {key: value for key, value in said.items() if value is not None}
    base = QuantizationSection() if model is not None else opened.project.quantization
    if percentile is not None and given.get("calibrator", base.calibrator) != Calibrator.PERCENTILE.value:
        raise UsageError("--percentile is for one of the calibrators", hint="add --calibrator percentile")
    precision = Precision.FP32 if model is not None else opened.project.model.precision
    wish = Wish(
        section=base.model_copy(update=given),
        board=board,
        precision=precision,
        search=search,
        scheduler=scheduler,
        command=_command(options, model, shapes or [], given, search=search),
    )
    quantized = quantizing.run(subject, wish, progress=progress)
    # Kept before the board is asked: what that may end with is no reason to lose the rest.
    kept = quantize_pages.keep(opened.directory, quantized, None)
    if measure:
        rivals = _rivals(subject, quantized, board, precision, key, progress)
        plan = measuring.planned(opened.project, emulated=options.emulated)
        speed = speeds.measure_speed(options, opened, rivals, plan=plan, progress=progress)
        kept = quantize_pages.keep(opened.directory, quantized, speed)
    if table is not None:
        quantize_pages.copy_table(quantized, table.absolute())
    if output is not None:
        quantize_pages.copy_to(kept, quantized, output.absolute())
    if as_json:
        print_json(_document(kept, quantized))
        return
    render_quantization_terminal(kept.record, stdout)
    places = [("model", quantized.entry.param), ("record", kept.record_file), ("report", kept.page_file)]
    if table is not None:
        places.append(("table", table.absolute()))
    for name, path in places:
        stdout.print(f"{name:7} {path}", markup=False, soft_wrap=True)


def default_board(project: Project) -> str:
    """Return the board of a project that names just one, else the demo's."""
    return next(iter(project.targets)) if len(project.targets) == 1 else DEFAULT_BOARD


def _from_here(text: str | None) -> str | None:
    """Return what a word of the command line names, absolute where it is a path: the project's are relative to it.

    Example:
        >>> _from_here("score.py:iou") == f"{Path.cwd()}/score.py:iou"
        True
    """
    if text is None:
        return None
    place, _, _ = text.rpartition(":")
    path = place if place.endswith(".py") else text
    return str(Path(path).absolute()) + text.removeprefix(path) if Path(path).exists() else text


def _wants_speed(options: TargetOptions, board: Board, opened: OpenProject) -> bool:
    if options.clock is Clock.REAL or options.fresh:
        raise UsageError("quantize counts instructions on a twin of its own", hint="leave --clock and --fresh out")
    if not options.emulated and not options.host:
        return False
    require_target(replace(options, clock=None), board, opened.project)
    return True


def _subject(
    model: Path | None,
    shapes: list[str],
    opened: OpenProject,
    *,
    accept_differences: bool,
    progress: ConsoleProgress,
) -> Subject:
    if model is None:
        if shapes:
            raise UsageError("--input goes with a model file", hint="a project's shapes stand in edgedeploy.toml")
        return subjects.of_project(opened, accept_differences=accept_differences, progress=progress)
    return subjects.of_file(model, parse_shapes(shapes), accept_differences=accept_differences, progress=progress)


def _rivals(
    subject: Subject,
    quantized: Quantized,
    board: Board,
    precision: Precision,
    key: SigningKey | None,
    progress: ConsoleProgress,
) -> speeds.Rivals:
    """Return the releases to hold against each other; ``precision`` is of the int8 release's float layers."""
    plan = ReleasePlan(
        app=TRIAL_APP,
        model=subject.model,
        reference=None,
        precision=Precision.FP32,
        sample=quantized.sample,
        limits=None,
        postprocessing=Postprocessing(),
    )
    return speeds.Rivals(
        float32=make_release(board, plan, key=key, progress=progress),
        float16=make_release(board, replace(plan, precision=Precision.FP16), key=key, progress=progress),
        int8=make_release(
            board,
            replace(plan, model=quantized.model, reference=subject.model, precision=precision),
            key=key,
            progress=progress,
        ),
    )


def _command(
    options: TargetOptions, model: Path | None, shapes: list[str], given: dict[str, Any], *, search: bool
) -> str:
    """Return the command line that does it again."""
    words = ["edgedeploy", "quantize"]
    if model is not None:
        words += [str(model.absolute()), *(word for shape in shapes for word in ("--input", shape))]
    board = str(Path(options.board).absolute()) if options.board.endswith(".toml") else options.board
    words += ["--board", board]
    for key, value in given.items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag]
            continue
        values = value if isinstance(value, tuple) else (value,)
        words += [word for item in values for word in (flag, str(item))]
    words += ["--search"] if search else []
    words += ["--project", str(options.project.absolute())] if options.project != HERE else []
    return shlex.join(words)


def _document(kept: quantize_pages.Kept, quantized: Quantized) -> dict[str, Any]:
    document: dict[str, Any] = kept.record.model_dump(mode="json", by_alias=True)
    places = {"param": quantized.entry.param, "weights": quantized.entry.weights}
    places |= {"record": kept.record_file, "report": kept.page_file}
    return document | {"paths": {name: str(path) for name, path in places.items()}}
