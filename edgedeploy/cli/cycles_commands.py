"""``cycles``: what one inference costs a core, estimated without the core."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edgedeploy.artifacts import Precision
from edgedeploy.boards.load import load_board
from edgedeploy.boards.model import Board
from edgedeploy.cli import countable, counting
from edgedeploy.cli.builtin_nets import BUILTIN_NAMES
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.countable import Countable
from edgedeploy.cli.limits import LIMIT_OPTION
from edgedeploy.cli.model_commands import AcceptOption
from edgedeploy.cli.options import HERE, JsonOption, ProjectOption
from edgedeploy.cli.projects import open_project
from edgedeploy.cli.quantize_commands import default_board
from edgedeploy.cyclesfile import CyclesRecord, read_cycles, write_cycles
from edgedeploy.errors import UsageError
from edgedeploy.report.cycles_terminal import render_cycles_terminal

STOCK = "stock"


def register(app: typer.Typer) -> None:
    app.command()(cycles)


def cycles(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"A .param with its .bin, or one of: {', '.join(BUILTIN_NAMES)}; the project's otherwise.",
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Of a built-in network: its int8 form.")] = False,
    core: Annotated[
        str | None,
        typer.Option("--core", help="Arm's name of the core, such as cortex-a76."),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option("--board", "-b", help="A board: its fastest core, or --core of it, and its caches."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="stock|FILE", help="The engine's own layers, or an earlier result."),
    ] = None,
    fail_if_slower: Annotated[
        str | None,
        typer.Option(LIMIT_OPTION, metavar="PERCENT", help="With --against: exit with 83 beyond it."),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, max=64, help="Engine threads.")] = 1,
    precision: Annotated[
        Precision | None,
        typer.Option("--precision", help="With --model: of float layers, where the core can; fp16 otherwise."),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option("--input-shape", metavar="NAME=C,H,W", help="Of a file whose Input layers do not say it."),
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Simulate caches too (slow): accesses and misses.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", dir_okay=False, help="Write the result as JSON, also for --against later."),
    ] = None,
    project: ProjectOption = HERE,
    accept_differences: AcceptOption = False,
    as_json: JsonOption = False,
) -> None:
    """Estimate what one inference costs a core: instructions, in-core cycles, MAC a cycle, by layer and kernel."""
    progress = ConsoleProgress()
    limit = counting.parse_limit(fail_if_slower) if fail_if_slower is not None else None
    definition = load_board(board, project_dir=project.absolute()) if board is not None else None
    _check_words(model, int8=int8, precision=precision, shapes=shapes)
    if limit is not None and against is None:
        raise UsageError("--fail-if-slower than what?", hint="--against stock, or an earlier result's file")
    chosen = counting.core_of(core, definition)
    if limit is not None and chosen.priced_as is None:
        raise UsageError(
            f"the {chosen.name} has no estimate of cycles, so nothing can be slower", hint="name another core"
        )
    wish = counting.Wish(
        core=chosen,
        threads=threads,
        stock=against == STOCK,
        earlier=read_cycles(Path(against)) if against not in (None, STOCK) else None,
        caches=counting.caches_of(chosen, definition) if memory else None,
        command=_command(
            {
                "--model": model,
                "--int8": int8,
                "--core": core,
                "--board": board,
                "--against": against,
                "--threads": str(threads) if threads > 1 else None,
                "--precision": precision.value if precision else None,
                "--input-shape": shapes,
                "--memory": memory,
                "--project": str(project.absolute()) if project != HERE and model is None else None,
            }
        ),
    )
    with _subject(model, int8, precision, shapes, project, definition, accept_differences, progress) as subject:
        record = counting.count(subject, wish, progress=progress)
    show_result(record, output, limit, as_json=as_json)


def _check_words(model: str | None, *, int8: bool, precision: Precision | None, shapes: list[str] | None) -> None:
    if model is not None:
        return
    given = {"--int8": int8, "--precision": precision, "--input-shape": shapes}
    for name, value in given.items():
        if value:
            raise UsageError(f"{name} goes with --model", hint="a project's release is what edgedeploy.toml says")


@contextmanager
def _subject(
    model: str | None,
    int8: bool,
    precision: Precision | None,
    shapes: list[str] | None,
    project: Path,
    board: Board | None,
    accept_differences: bool,
    progress: ConsoleProgress,
) -> Iterator[Countable]:
    if model is not None:
        found = countable.of_model(
            model, parse_shapes(shapes or []), int8=int8, precision=precision or Precision.FP16, progress=progress
        )
    else:
        opened = open_project(project, progress=progress)
        target = board or load_board(default_board(opened.project), project_dir=opened.directory)
        found = countable.of_project(opened, target, accept_differences=accept_differences, progress=progress)
    with found as subject:
        yield subject


def show_result(record: CyclesRecord, output: Path | None, limit: float | None, *, as_json: bool) -> None:
    """Write and print the result, then fail where it is too slow: a failure's JSON takes the place of the result's."""
    if output is not None:
        write_cycles(record, output.absolute())
    if not as_json:
        render_cycles_terminal(record, stdout)
        if output is not None:
            stdout.print(f"result  {output.absolute()}", markup=False, soft_wrap=True)
    if limit is not None:
        counting.check_speed(record, limit)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))


def parse_shapes(words: list[str]) -> dict[str, tuple[int, ...]]:
    """Return input names and shapes of ``NAME=3,224,224``.

    Example:
        >>> parse_shapes(["data=3,224,224"])
        {'data': (3, 224, 224)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words:
        name, _, extents = word.partition("=")
        try:
            shapes[name] = tuple(int(extent) for extent in extents.split(","))
        except ValueError:
            shapes[name] = ()
        if not name or not shapes[name] or min(shapes[name]) < 1:
            raise UsageError(f"--input-shape takes NAME=C,H,W, not {word!r}", hint="for example data=3,224,224")
    return shapes


def _command(options: dict[str, str | bool | list[str] | None]) -> str:
    """Return the command line that counts the same again."""
    words = ["edgedeploy", "cycles"]
    for name, value in options.items():
        if value is True:
            words.append(name)
        elif value:
            words += [word for item in ([value] if isinstance(value, str) else value or []) for word in (name, item)]
    return shlex.join(words)
