"""``flash``, ``rollback``, ``status``: what is on the board."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer
from rich.table import Table

from edgedeploy.artifacts import FlashResult
from edgedeploy.boards.load import load_board
from edgedeploy.boards.probe import probe
from edgedeploy.cli import measuring
from edgedeploy.cli.building import ToolchainOption
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.health_pages import show_health, show_history
from edgedeploy.cli.model_commands import AcceptOption
from edgedeploy.cli.options import JsonOption, TargetOptions, takes_target
from edgedeploy.cli.projects import open_project
from edgedeploy.cli.releases import bundle_for
from edgedeploy.cli.signing import SignKeyOption, signing_key
from edgedeploy.cli.target import connection, require_target
from edgedeploy.deploy.flash import flash as flash_bundle
from edgedeploy.deploy.release import rollback as rollback_release
from edgedeploy.deploy.release import status as release_status
from edgedeploy.deploy.status import BoardStatus

BreakLockOption = Annotated[bool, typer.Option("--break-lock", help="Take over the lock of a dead flash.")]


def register(app: typer.Typer) -> None:
    app.command()(flash)
    app.command()(status)
    app.command()(rollback)


@takes_target()
def flash(
    options: TargetOptions,
    accept_differences: AcceptOption = False,
    break_lock: BreakLockOption = False,
    sign_key: SignKeyOption = None,
    toolchain: ToolchainOption = None,
    no_bench: Annotated[
        bool, typer.Option("--no-bench", help="Stop after activation: no benchmark, no report.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert, build, push, verify, activate, benchmark and report: the whole path."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    definition = load_board(options.board, project_dir=opened.directory)
    require_target(options, definition, opened.project)
    key = signing_key(opened, sign_key)
    live = None
    if not options.emulated:
        # A board that does not answer is said before minutes go into converting and building for it.
        with connection(options, opened, progress=progress) as target:
            live = probe(target.transport)
            progress.say(f"{target.transport.description} answers: {live.os_name}, {live.libc or 'unknown C library'}")
    bundle = bundle_for(
        definition,
        opened,
        accept_differences=accept_differences,
        key=key,
        family=toolchain,
        facts=live,
        progress=progress,
    )
    with connection(options, opened, progress=progress) as target:
        with progress.task(f"Probing {target.transport.description}"):
            facts = probe(target.transport)
        result = flash_bundle(
            target.transport,
            bundle,
            board_name=definition.name,
            facts=facts,
            provenance=target.provenance,
            clock=target.clock,
            directory=target.directory,
            progress=progress,
            break_lock=break_lock,
            budget=opened.project.budget.to_budget(),
            threads=opened.project.bench.threads,
        )
        measured = None
        if not no_bench:
            measured = measuring.measure_and_report(
                target,
                opened,
                facts,
                plan=measuring.planned(opened.project, emulated=options.emulated),
                command=measuring.rerun_command(options, target.clock),
                golden=result.golden,
                progress=progress,
            )
    if as_json:
        print_json(_flash_document(result, measured))
        return
    _show_flash(result)
    if measured is not None:
        measuring.show(measured)


@takes_target()
def status(options: TargetOptions, as_json: JsonOption = False) -> None:
    """Show the releases on the board, which one is active, how healthy it is, and the history."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        found = release_status(target.transport, opened.project.app.name, directory=target.directory)
        document = {"board": target.board.name, "provenance": target.provenance.value, **asdict(found)}
    if as_json:
        print_json(document)
    else:
        _show_status(found)


@takes_target()
def rollback(
    options: TargetOptions,
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--to", help="Digest (or its start) of the release; the one before the active otherwise."),
    ] = None,
    break_lock: BreakLockOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make an earlier release active again; it proves itself as in a flash."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        result = rollback_release(
            target.transport,
            opened.project.app.name,
            directory=target.directory,
            to=to,
            progress=progress,
            clock=target.clock,
            break_lock=break_lock,
            budget=opened.project.budget.to_budget(),
            threads=opened.project.bench.threads,
        )
        document = {"board": target.board.name, "provenance": target.provenance.value, **asdict(result)}
    if as_json:
        print_json(document)
    else:
        stdout.print(f"active: {document['release']} (was {document['previous_release']})", markup=False)


def _flash_document(result: FlashResult, measured: measuring.Measured | None) -> dict[str, Any]:
    document = result.to_json()
    document["run"] = str(measured.run_file) if measured else None
    document["report"] = str(measured.report_file) if measured else None
    return document


def _show_flash(result: FlashResult) -> None:
    table = Table("step", "seconds", "bytes", "", box=None, pad_edge=False)
    for step in result.steps:
        table.add_row(step.name, f"{step.seconds:.1f}", f"{step.bytes:,}" if step.bytes else "", step.note)
    stdout.print(table)
    state = "already active" if result.unchanged else "active"
    stdout.print(
        f"{result.app} {result.release[:12]} is {state} on {result.board}, passed its golden self-test, and is healthy."
    )


def _show_status(found: BoardStatus) -> None:
    table = Table("", "release", "activated", "size", "engine", box=None, pad_edge=False)
    for release in found.releases:
        table.add_row(
            "*" if release.current else "",
            release.digest[:12],
            release.activated_at or "never",
            f"{release.size_bytes / 1e6:.1f} MB",
            release.versions.get("engine", "?"),
        )
    stdout.print(f"{found.app} in {found.directory}", markup=False)
    stdout.print(table)
    if found.unfinished is not None:
        stdout.print(found.unfinished.describe(), markup=False)
    show_health(found)
    show_history(found)
