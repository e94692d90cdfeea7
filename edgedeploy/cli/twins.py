"""Twins as commands need them: the one that runs, or one of the command's own that ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgedeploy.artifacts import Clock, TwinEndpoint
from edgedeploy.boards.model import Board
from edgedeploy.emulate import twin
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.progress import Progress


def spec_of(board: Board) -> TwinSpec:
    """Return the machine that stands in for a board."""
    return TwinSpec(board=board.name, cpu=board.twin.core, vcpus=board.twin.vcpus, memory_mib=board.twin.memory_mib)


@contextmanager
def running_twin(board: Board, *, clock: Clock, fresh: bool, progress: Progress) -> Iterator[TwinEndpoint]:
    """Use the board's twin where it runs on this clock; else boot it and shut it down at the end."""
    for endpoint in twin.list_twins():
        if endpoint.name == board.name and endpoint.clock is clock and not fresh:
            progress.say(f"Using the running twin of {board.name}")
            yield endpoint
            return
    progress.say(f"Starting the twin of {board.name} for this command (edgedeploy emulator up {board.name} keeps one)")
    with twin.running(spec_of(board), name=board.name, clock=clock, fresh=fresh, progress=progress) as endpoint:
        yield endpoint
