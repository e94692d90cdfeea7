"""``boards list|show|add``; ``boards probe`` is in ``board_probe.py``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgedeploy.boards.load import BOARDS_DIRECTORY, list_boards, load_board, read_board_file
from edgedeploy.boards.model import Board
from edgedeploy.cli.console import print_json, stdout
from edgedeploy.cli.lazy import lazy_group
from edgedeploy.cli.options import HERE, BoardArgument, JsonOption, ProjectOption
from edgedeploy.errors import UsageError
from edgedeploy.paths import config_dir

app = typer.Typer(
    cls=lazy_group({"probe": "edgedeploy.cli.board_probe"}),
    help="Board definitions, and what a live board says about itself.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="boards")


@app.command("list")
def list_all(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the boards: the project's, your own, and those that come with edgedeploy."""
    entries = list_boards(project_dir=project.absolute())
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "soc": entry.board.soc if entry.board else None,
                    "origin": entry.origin.value,
                    "file": str(entry.path),
                    "fault": entry.fault.message if entry.fault else None,
                }
                for entry in entries
            ]
        )
        return
    table = Table("name", "SoC", "cores", "twin", "from", box=None, pad_edge=False)
    for entry in entries:
        if entry.board:
            table.add_row(entry.name, entry.board.soc, _cores(entry.board), entry.board.twin.core, entry.origin.value)
        else:
            table.add_row(
                entry.name, "broken file", f"edgedeploy boards show {entry.name} says why", "", entry.origin.value
            )
    stdout.print(table)


@app.command()
def show(name: BoardArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show a board's definition with the source of each figure."""
    board = load_board(name, project_dir=project.absolute())
    if as_json:
        print_json(board.to_json())
        return
    stdout.print(f"{board.name}: {board.soc}, {board.description}", markup=False)
    stdout.print(f"RAM {', '.join(str(size) for size in board.memory.sizes_mib)} MiB; {board.triple}", markup=False)
    table = Table("cores", "count", "max MHz", "L1D", "L2", "features", box=None, pad_edge=False)
    for cluster in board.clusters:
        table.add_row(
            cluster.core,
            str(cluster.count),
            f"{cluster.max_mhz:g}",
            _kib(cluster.l1d),
            _kib(cluster.l2),
            " ".join(cluster.features),
        )
    stdout.print(table)
    twin = board.twin
    stdout.print(f"twin: {twin.core}, {twin.vcpus} vCPUs, {twin.memory_mib} MiB. {twin.note}", markup=False)
    for figure, source in board.sources.items():
        stdout.print(f"source of {figure}: {source}", markup=False)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Your own board .toml.")],
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite your board of that name.")] = False,
) -> None:
    """Check a board file and keep it among your own boards."""
    board = read_board_file(file)
    target = config_dir() / BOARDS_DIRECTORY / f"{board.name}.toml"
    if target.exists() and not replace:
        raise UsageError(f"{target} exists already", hint="--replace overwrites it")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".tmp")
    shutil.copyfile(file, unfinished)
    unfinished.rename(target)
    stdout.print(f"kept as {target}", markup=False, soft_wrap=True)


def _cores(board: Board) -> str:
    return " + ".join(f"{cluster.count}x {cluster.core.removeprefix('cortex-')}" for cluster in board.clusters)


def _kib(cache: object) -> str:
    return f"{getattr(cache, 'size_kib', '?')} KiB" if cache else "-"
