"""Runs a fleet: wave after wave, a wave's boards side by side, until one has more failures than it may have."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgedeploy.artifacts import FlashResult
from edgedeploy.errors import ConnectionFailedError, EdgedeployError, InternalError, StoppedError
from edgedeploy.fleet.states import BoardState, Status, Stop

TICK_S = 0.1
HANG_UP_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a fleet is flashed.

    Args:
        parallel: Boards at a time.
        max_failures: Of a wave, before no more boards are begun.
        roll_back: Give the boards of a failed wave their former release back.
    """

    parallel: int
    max_failures: int = 0
    roll_back: bool = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done to a board; both raise what the board's failure is.

    Args:
        flash: Puts the release on it.
        roll_back: Makes the release active again that was before.
        hang_up: Closes the connections of all boards, so that what runs fails at once.
    """

    flash: Callable[[BoardState], FlashResult]
    roll_back: Callable[[BoardState], None]
    hang_up: Callable[[], None] = lambda: None


@dataclass(kw_only=True)
class Outcome:
    """How it went. ``failed_wave`` is the one that stopped the fleet, from 1; None: every wave was begun."""

    boards: tuple[BoardState, ...]
    failed_wave: int | None = None
    interrupted: bool = False
    seconds: float = 0.0
    begun_s: float = field(default_factory=time.monotonic)

    def count(self, *statuses: Status) -> int:
        return sum(state.status in statuses for state in self.boards)

    def to_json(self) -> dict[str, Any]:
        """Return the fleet's part of what ``flash --json`` prints."""
        waves = sorted({state.wave for state in self.boards})
        return {
            "boards": [state.to_json() for state in self.boards],
            "waves": [self._wave_json(wave) for wave in waves],
            "failed_wave": self.failed_wave,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
        }

    def _wave_json(self, wave: int) -> dict[str, Any]:
        members = [state for state in self.boards if state.wave == wave]
        return {
            "boards": [state.name for state in members],
            "begun": any(state.began_s is not None for state in members),
            "failures": sum(state.status is Status.FAILED for state in members),
        }


def run_fleet(
    boards: Sequence[BoardState], work: Work, rules: Rules, *, stop: Stop, watch: Callable[[], None] = lambda: None
) -> Outcome:
    """Flash a fleet.

    Once ``stop`` is requested, no board is begun any more, and ``work`` is to end what runs; once it is urgent, the
    connections are closed under it.

    Args:
        boards: In the order of their waves.
        work: What is done to each, in a thread of its own; it writes to the board's state and prints nothing.
        rules: How many at a time, and when to stop.
        stop: What ``work`` looks at.
        watch: Called ten times a second by this thread, for what people see.

    Returns:
        The outcome; failures of boards are in their states, nothing is raised for them.
    """
    outcome = Outcome(boards=tuple(boards))
    for wave in sorted({state.wave for state in boards}):
        members = [state for state in boards if state.wave == wave]

        def failed(members: list[BoardState] = members) -> bool:
            return sum(state.status is Status.FAILED for state in members) > rules.max_failures

        def may_begin(failed: Callable[[], bool] = failed) -> bool:
            return not stop.requested and not failed()

        crew = _Crew(members, lambda state: _flash(state, work, stop), rules.parallel, may_begin)
        _attend(crew, work, stop, watch)
        if failed():
            outcome.failed_wave = wave
        if stop.requested or failed():
            break
    if outcome.failed_wave is not None and rules.roll_back and not stop.requested:
        done = [state for state in boards if state.wave == outcome.failed_wave and state.status is Status.FLASHED]
        crew = _Crew(done, lambda state: _roll_back(state, work), rules.parallel, lambda: not stop.requested)
        _attend(crew, work, stop, watch)
    for state in boards:
        if state.status is Status.RUNNING:
            state.fail(
                StoppedError(f"{state.name} did not end in time", hint="its next flash cleans up behind this one")
            )
    outcome.interrupted = stop.requested
    outcome.seconds = time.monotonic() - outcome.begun_s
    return outcome


class _Crew:
    """Threads that take one board after the other. They end with the process: a stuck one must not hold it up."""

    def __init__(
        self,
        boards: Sequence[BoardState],
        act: Callable[[BoardState], None],
        size: int,
        may_begin: Callable[[], bool],
    ) -> None:
        self._waiting = deque(boards)
        self._act = act
        self._may_begin = may_begin
        # Whether one more may begin is asked, and it begins, in one step: else two could after the last failure.
        self._turn = threading.Lock()
        names = range(min(size, len(boards)))
        self._threads = [threading.Thread(target=self._work, name=f"board-{name}", daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    def at_work(self, wait_s: float) -> bool:
        """Wait a moment; return whether any thread still runs."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(wait_s)
                return True
        return False

    def _work(self) -> None:
        while (state := self._next()) is not None:
            self._act(state)

    def _next(self) -> BoardState | None:
        with self._turn:
            return self._waiting.popleft() if self._waiting and self._may_begin() else None


def _attend(crew: _Crew, work: Work, stop: Stop, watch: Callable[[], None]) -> None:
    """Wait for a crew; one that is to be left alone is given a moment to notice that its connections are gone."""
    end_s = float("inf")
    while crew.at_work(TICK_S) and time.monotonic() < end_s:
        if stop.urgent and end_s == float("inf"):
            work.hang_up()
            end_s = time.monotonic() + HANG_UP_S
        watch()
    watch()


def _flash(state: BoardState, work: Work, stop: Stop) -> None:
    state.begin()
    try:
        state.finish(work.flash(state))
    except EdgedeployError as error:
        hung_up = stop.urgent and isinstance(error, ConnectionFailedError)
        state.fail(StoppedError(error.message, hint="its next flash cleans up behind this one") if hung_up else error)
    except BaseException as error:
        state.fail(InternalError(f"{type(error).__name__}: {error}", hint="please report this fault of edgedeploy"))


def _roll_back(state: BoardState, work: Work) -> None:
    state.doing = "rolling back"
    try:
        work.roll_back(state)
        state.status = Status.ROLLED_BACK
    except EdgedeployError as error:
        state.rollback_error = error
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        state.rollback_error = InternalError(message, hint="please report this fault of edgedeploy")
    finally:
        state.doing = state.amount = ""
