"""``emulator up|down|list|ssh``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from edgedeploy.artifacts import Clock, TwinEndpoint
from edgedeploy.boards.load import load_board
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import HERE, ClockOption, FreshOption, JsonOption, ProjectOption
from edgedeploy.cli.twins import running_twin, spec_of
from edgedeploy.emulate import twin
from edgedeploy.emulate.shell import run_shell

app = typer.Typer(help="Boards' emulated twins: QEMU with a real kernel and a real SSH server.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The board's name.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="emulator")


@app.command()
def up(
    name: NameArgument,
    clock: ClockOption = None,
    fresh: FreshOption = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Start a board's twin and keep it running."""
    board = load_board(name, project_dir=project.absolute())
    progress = ConsoleProgress()
    endpoint = twin.up(spec_of(board), name=board.name, clock=clock or Clock.REAL, fresh=fresh, progress=progress)
    if as_json:
        print_json(_document(endpoint))
        return
    stdout.print(f"{endpoint.name} is up after {endpoint.boot_s:.1f} s: {endpoint.ssh}", markup=False)
    stdout.print(f"edgedeploy emulator ssh {endpoint.name}", markup=False)


@app.command()
def down(name: NameArgument, as_json: JsonOption = False) -> None:
    """Shut a twin down; its disk stays."""
    clean = twin.down(name, progress=ConsoleProgress())
    if as_json:
        print_json({"name": name, "clean": clean})
        return
    stdout.print(f"{name} is down" if clean else f"{name} did not shut down in time and was ended", markup=False)


@app.command("list")
def list_running(as_json: JsonOption = False) -> None:
    """List the running twins."""
    endpoints = twin.list_twins()
    if as_json:
        print_json([_document(endpoint) for endpoint in endpoints])
        return
    if not endpoints:
        stdout.print("no twin is running")
        return
    table = Table("name", "core", "vCPUs", "MiB", "clock", "ssh", "pid", box=None, pad_edge=False)
    for item in endpoints:
        table.add_row(
            item.name,
            item.core,
            str(item.vcpus),
            str(item.memory_mib),
            item.clock.value,
            f"{item.ssh.host}:{item.ssh.port}",
            str(item.pid),
        )
    stdout.print(table)


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    name: NameArgument,
    command: Annotated[list[str] | None, typer.Argument(help="Command after `--`; a shell without it.")] = None,
    clock: ClockOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run a command on a twin, or a shell; output and exit code pass through."""
    board = load_board(name, project_dir=project.absolute())
    with running_twin(board, clock=clock, fresh=False, progress=ConsoleProgress()) as endpoint:
        status = run_shell(endpoint, command or [])
    sys.exit(status)


def _document(endpoint: TwinEndpoint) -> dict[str, Any]:
    return {**asdict(endpoint), "clock": endpoint.clock.value}
