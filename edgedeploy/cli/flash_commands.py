"""``flash``, ``rollback``, ``status``: what is on the board."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from edgedeploy.artifacts import BoardFacts, Bundle, FlashResult, Provenance, StepRecord
from edgedeploy.boards.load import load_board
from edgedeploy.build import ToolchainFamily
from edgedeploy.cli import measuring
from edgedeploy.cli.building import ToolchainOption
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.flashing import flash_target, probe_target, roll_back_target
from edgedeploy.cli.fleets import FleetFlash, flash_fleet
from edgedeploy.cli.health_pages import show_health, show_history
from edgedeploy.cli.members import (
    BoardsOption,
    FleetOption,
    FleetOptions,
    MaxFailuresOption,
    ParallelOption,
    RollBackOption,
    WavesOption,
    members_of_boards,
    members_of_file,
    rules_for,
)
from edgedeploy.cli.model_commands import AcceptOption
from edgedeploy.cli.options import JsonOption, TargetOptions, takes_target
from edgedeploy.cli.places import CoordinatorOption, PlaceOption, coordinator_address, held_places
from edgedeploy.cli.projects import OpenProject, open_project
from edgedeploy.cli.releases import bundle_for
from edgedeploy.cli.signing import SignKeyOption, signing_key
from edgedeploy.cli.target import Connection, connection, lent_connection, require_target
from edgedeploy.deploy.release import status as release_status
from edgedeploy.deploy.status import BoardStatus
from edgedeploy.errors import UsageError
from edgedeploy.fleetfile import load_fleet
from edgedeploy.lab.coordinator import Lease

LONGEST_WAIT_S = 30.0
"""While a release is made; a board that waited longer may have been switched off meanwhile, and is looked at anew."""

BreakLockOption = Annotated[bool, typer.Option("--break-lock", help="Take over the lock of a dead flash.")]


def register(app: typer.Typer) -> None:
    app.command()(flash)
    app.command()(status)
    app.command()(rollback)


@takes_target(board=None)
def flash(
    options: TargetOptions,
    boards: BoardsOption = None,
    fleet: FleetOption = None,
    place: PlaceOption = None,
    coordinator: CoordinatorOption = None,
    waves: WavesOption = None,
    max_failures: MaxFailuresOption = None,
    parallel: ParallelOption = None,
    roll_back_wave: RollBackOption = False,
    accept_differences: AcceptOption = False,
    break_lock: BreakLockOption = False,
    sign_key: SignKeyOption = None,
    toolchain: ToolchainOption = None,
    no_bench: Annotated[
        bool, typer.Option("--no-bench", help="Stop after activation: no benchmark, no report. A fleet has none.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert, build, push, verify, activate, benchmark and report: the whole path, for one board or a fleet."""
    chosen = FleetOptions(waves=waves, max_failures=max_failures, parallel=parallel, roll_back_wave=roll_back_wave)
    boards = boards or []
    _require_boards(options, boards, fleet, place, chosen)
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    if fleet is None and len(boards) == 1:
        with held_places(
            (place,) if place else (), coordinator_address(coordinator, None), progress=progress
        ) as leases:
            result, measured = _flash_one(
                replace(options, board=boards[0]),
                opened,
                leases.get(place) if place else None,
                accept_differences=accept_differences,
                break_lock=break_lock,
                sign_key=sign_key,
                toolchain=toolchain,
                no_bench=no_bench,
                progress=progress,
            )
        _tell_flash(result, measured, as_json=as_json)
        return
    listed = load_fleet(fleet) if fleet else None
    members = (
        members_of_file(listed, fleet, options, opened)
        if listed is not None and fleet is not None
        else members_of_boards(boards, options, opened)
    )
    sizes, rules = rules_for(chosen, listed, members)
    key = signing_key(opened, sign_key)
    places = tuple(member.place for member in members if member.place is not None)
    address = coordinator_address(coordinator, listed.labgrid.coordinator if listed and listed.labgrid else None)
    common = FleetFlash(
        opened=opened,
        key=key,
        toolchain=toolchain,
        accept_differences=accept_differences,
        break_lock=break_lock,
    )
    with held_places(places, address, progress=progress) as leases:
        flash_fleet(common, members, leases, sizes=sizes, rules=rules, as_json=as_json, progress=progress)


def _require_boards(
    options: TargetOptions, boards: list[str], fleet: Path | None, place: str | None, chosen: FleetOptions
) -> None:
    """Check that the options name one board or one fleet.

    Raises:
        UsageError: They name none, or contradict each other.
    """
    if fleet is None and not boards:
        raise UsageError("nothing says which board to flash", hint="give --board NAME, or --fleet FILE for many")
    if fleet is not None and boards:
        raise UsageError("--board and --fleet exclude each other", hint="the fleet file lists the boards")
    several = fleet is not None or len(boards) > 1
    if several and place:
        raise UsageError("--place is of one board", hint="a fleet file names a place for each board: place = NAME")
    if not several and chosen.named:
        raise UsageError(f"{chosen.named} is for many boards", hint="give --board several times, or --fleet FILE")
    if place and (options.host or options.emulated):
        raise UsageError("--place excludes --host and --emulated", hint="the place says where the board is")
    if place and (options.clock or options.fresh):
        raise UsageError("--clock and --fresh are for twins that a command starts", hint="leave them out")


def _flash_one(
    options: TargetOptions,
    opened: OpenProject,
    lease: Lease | None,
    *,
    accept_differences: bool,
    break_lock: bool,
    sign_key: str | None,
    toolchain: ToolchainFamily | None,
    no_bench: bool,
    progress: ConsoleProgress,
) -> tuple[FlashResult, measuring.Measured | None]:
    definition = load_board(options.board, project_dir=opened.directory)
    if lease is None:
        require_target(options, definition, opened.project)

    def connected() -> AbstractContextManager[Connection]:
        if lease is None:
            return connection(options, opened, progress=progress)
        return lent_connection(options, definition, lease.service)

    key = signing_key(opened, sign_key)

    def bundled(live: BoardFacts | None) -> Bundle:
        return bundle_for(
            definition,
            opened,
            accept_differences=accept_differences,
            key=key,
            family=toolchain,
            facts=live,
            progress=progress,
        )

    records: list[StepRecord] = []
    reached = _reached_and_bundled(
        connected, bundled, board_first=not options.emulated, records=records, progress=progress
    )
    with reached as (target, facts, bundle):
        seen = target.as_probed(facts)
        result = flash_target(
            seen,
            bundle,
            facts,
            project=opened.project,
            break_lock=break_lock,
            progress=progress,
            records=records,
        )
        measured = None
        if not no_bench:
            measured = measuring.measure_and_report(
                seen,
                opened,
                facts,
                plan=measuring.planned(opened.project, emulated=seen.provenance is not Provenance.HARDWARE),
                command=measuring.rerun_command(_as_host(options, lease), seen.clock),
                golden=result.golden,
                progress=progress,
            )
    return result, measured


@contextmanager
def _reached_and_bundled(
    connected: Callable[[], AbstractContextManager[Connection]],
    bundled: Callable[[BoardFacts | None], Bundle],
    *,
    board_first: bool,
    records: list[StepRecord],
    progress: ConsoleProgress,
) -> Iterator[tuple[Connection, BoardFacts, Bundle]]:
    """Connect to the board, probe it and make the release for it.

    Args:
        board_first: A board that does not answer is said before minutes go into converting and building for it. A twin
            that is started for this command starts when the release is there.
        records: Take the probe.
    """
    with ExitStack() as stack:

        def reach() -> tuple[Connection, BoardFacts]:
            target = stack.enter_context(connected())
            return target, probe_target(target.transport, records, progress=progress)

        if not board_first:
            bundle = bundled(None)
            yield *reach(), bundle
            return
        target, facts = reach()
        progress.say(f"{target.transport.description} answers: {facts.os_name}, {facts.libc or 'unknown C library'}")
        begun_s = time.monotonic()
        bundle = bundled(facts)
        if time.monotonic() - begun_s > LONGEST_WAIT_S:
            stack.close()
            target, facts = reach()
        yield target, facts, bundle


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
        str | None,
        typer.Option("--to", help="Digest (or its start) of the release; the one before the active otherwise."),
    ] = None,
    break_lock: BreakLockOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make an earlier release active again; it proves itself as in a flash."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        project = opened.project
        result = roll_back_target(
            target, project.app.name, project=project, to=to, break_lock=break_lock, progress=progress
        )
        document = {"board": target.board.name, "provenance": target.provenance.value, **asdict(result)}
    if as_json:
        print_json(document)
    else:
        stdout.print(f"active: {document['release']} (was {document['previous_release']})", markup=False)


def _as_host(options: TargetOptions, lease: Lease | None) -> TargetOptions:
    if lease is None:
        return options
    service = lease.service
    address = f"[{service.address}]" if ":" in service.address else service.address
    return replace(options, host=f"{service.user}@{address}:{service.port}")


def _tell_flash(result: FlashResult, measured: measuring.Measured | None, *, as_json: bool) -> None:
    if as_json:
        print_json(_flash_document(result, measured))
        return
    _show_flash(result)
    if measured is not None:
        measuring.show(measured)


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
    table = Table("", "release", "activated", "size", "engine", "health", box=None, pad_edge=False)
    for release in found.releases:
        table.add_row(
            "*" if release.current else "",
            release.digest[:12],
            release.activated_at or "never",
            f"{release.size_bytes / 1e6:.1f} MB",
            release.versions.get("engine", "?"),
            release.health or "not known",
        )
    stdout.print(f"{found.app} in {found.directory}", markup=False)
    stdout.print(table)
    if found.unfinished is not None:
        stdout.print(found.unfinished.describe(), markup=False)
    show_health(found)
    show_history(found)
