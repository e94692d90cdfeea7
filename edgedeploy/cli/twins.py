"""Twins as commands need them: the one that runs, or one of the command's own that ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgedeploy.artifacts import Clock, TwinEndpoint
from edgedeploy.boards.model import Board
from edgedeploy.emulate import twin
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.errors import UsageError
from edgedeploy.progress import Progress

_LOOPBACK = ("127.0.0.1", "localhost")


def spec_of(board: Board) -> TwinSpec:
    """Return the machine that stands in for a board."""
    twin_of = board.twin
    return TwinSpec(
        board=board.name,
        cpu=twin_of.core,
        vcpus=twin_of.vcpus,
        memory_mib=twin_of.memory_mib,
        architecture=board.architecture,
    )


@contextmanager
def running_twin(
    board: Board, *, clock: Clock | None, fresh: bool, progress: Progress, name: str | None = None
) -> Iterator[TwinEndpoint]:
    """Use the board's twin where one is kept running; else boot one and shut it down at the end.

    Args:
        name: Of the twin, where a board has several; its own otherwise.
        clock: None takes the clock of the running twin, or the real one.
        fresh: Boot from a clean disk.

    Raises:
        UsageError: A twin is kept running, and on another clock, or a clean disk is asked for; or it is another
            board's.
    """
    name = name or board.name
    kept = [endpoint for endpoint in twin.list_twins() if endpoint.name == name]
    if kept:
        _require_as_asked(kept[0], board, clock=clock, fresh=fresh)
        progress.say(f"Using the running twin of {name}")
        yield kept[0]
        return
    keeps = f" (edgedeploy emulator up {name} keeps one)" if name == board.name else ""
    progress.say(f"Starting the twin of {name} for this command{keeps}")
    clock = clock or Clock.REAL
    with twin.running(spec_of(board), name=name, clock=clock, fresh=fresh, progress=progress) as endpoint:
        yield endpoint


def twin_at(address: str, port: int) -> TwinEndpoint | None:
    """Return the running twin of this machine that answers there, if one does."""
    if address not in _LOOPBACK:
        return None
    return next((endpoint for endpoint in twin.list_twins() if endpoint.ssh.port == port), None)


@contextmanager
def counting_twin(board: Board, *, progress: Progress) -> Iterator[TwinEndpoint]:
    """Give a twin of the board that counts instructions; one that runs on the other clock stays as it is."""
    kept = [endpoint for endpoint in twin.list_twins() if endpoint.board == board.name]
    counting = [endpoint for endpoint in kept if endpoint.clock is Clock.INSTRUCTIONS]
    if counting:
        progress.say(f"Using the running twin {counting[0].name}, which counts instructions")
        yield counting[0]
        return
    name = f"{board.name}-counting" if kept else board.name
    progress.say(f"Starting a twin of {board.name} that counts instructions")
    with twin.running(spec_of(board), name=name, clock=Clock.INSTRUCTIONS, progress=progress) as endpoint:
        yield endpoint


def _require_as_asked(kept: TwinEndpoint, board: Board, *, clock: Clock | None, fresh: bool) -> None:
    if kept.board != board.name:
        raise UsageError(
            f"the twin {kept.name} is one of {kept.board}, not of {board.name}",
            hint=f"end it first: edgedeploy emulator down {kept.name}",
        )
    if fresh:
        raise UsageError(
            f"the twin of {kept.name} is running on the disk it has", hint=f"edgedeploy emulator up {kept.name} --fresh"
        )
    if clock not in (None, kept.clock):
        raise UsageError(
            f"the twin of {kept.name} is running on the clock {kept.clock.value!r}",
            hint=f"leave --clock out, or end it first: edgedeploy emulator down {kept.name}",
        )
