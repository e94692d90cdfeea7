"""``boards list|show|probe|add``."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgedeploy.artifacts import BoardFacts
from edgedeploy.boards.load import BOARDS_DIRECTORY, list_boards, load_board, read_board_file
from edgedeploy.boards.model import Board
from edgedeploy.boards.probe import differences, probe
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import HERE, JsonOption, ProjectOption, TargetOptions, takes_target
from edgedeploy.cli.projects import open_project
from edgedeploy.cli.target import connection
from edgedeploy.errors import UsageError
from edgedeploy.paths import config_dir

app = typer.Typer(help="Board definitions, and what a live board says about itself.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Board name, or a path to a board .toml.")]


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
def show(name: NameArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
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


@app.command("probe")
@takes_target(board=NameArgument)
def probe_live(options: TargetOptions, as_json: JsonOption = False) -> None:
    """Read the live board over SSH and say where it and its definition differ."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        facts = probe(target.transport)
    vcpus = target.twin.vcpus if target.twin else None
    found = differences(target.board, facts, twin=target.twin is not None, twin_vcpus=vcpus)
    if as_json:
        document = {"board": target.board.name, "provenance": target.provenance.value, "facts": asdict(facts)}
        print_json({**document, "differences": [asdict(item) for item in found]})
        return
    _show_facts(facts)
    for item in found:
        stdout.print(f"differs: {item.what}: defined {item.defined}, found {item.found}", markup=False)
    if not found:
        whole = "The board is as its definition says."
        stdout.print(whole if target.twin is None else "The twin is as its definition says.")


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


def _show_facts(facts: BoardFacts) -> None:
    rows = {
        "model": facts.model or "not shown",
        "system": f"{facts.os_name}, Linux {facts.kernel}, {facts.architecture}",
        "libc": facts.libc or "not shown",
        "cores": ", ".join(f"cpu{core.index} {core.part}" for core in facts.cores),
        "features": " ".join(sorted(facts.features)),
        "RAM": f"{facts.memory_total_bytes >> 20} MiB, {facts.memory_available_bytes >> 20} MiB available",
        "governors": ", ".join(f"{cpu} {name}" for cpu, name in facts.governors.items()) or "not shown",
        "thermal": ", ".join(zone.kind for zone in facts.thermal_zones) or "not shown",
        "python": facts.python or "none",
    }
    for name, value in rows.items():
        stdout.print(f"{name:9} {value}", markup=False)
