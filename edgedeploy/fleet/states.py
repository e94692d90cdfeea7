"""What became of each board of a fleet; a snapshot of it at any time, for the table and for JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from edgedeploy.artifacts import FlashResult, StepRecord
from edgedeploy.errors import EdgedeployError, StoppedError
from edgedeploy.progress import Task


class Status(str, Enum):
    """``FLASHED``: the release is active and was not before. ``INTERRUPTED``: stopped by Ctrl-C, the old one active."""

    NOT_BEGUN = "not-begun"
    RUNNING = "running"
    FLASHED = "flashed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    ROLLED_BACK = "rolled-back"


@dataclass
class BoardState:
    """One board's. Its own thread writes, others read: every field is replaced whole.

    Args:
        name: In the fleet.
        board: The definition's name.
        where: Host, place or twin, for people.
        wave: From 1.
        steps: Those that ended, in their order; of a flash that failed, the failed one is the last.
    """

    name: str
    board: str
    where: str
    wave: int
    status: Status = Status.NOT_BEGUN
    doing: str = ""
    amount: str = ""
    error: EdgedeployError | None = None
    notes: tuple[str, ...] = ()
    result: FlashResult | None = None
    steps: list[StepRecord] = field(default_factory=list)
    rollback_error: EdgedeployError | None = None
    began_s: float | None = None
    ended_s: float | None = None

    @property
    def seconds(self) -> float:
        """From its beginning to its end, or to now while it runs."""
        if self.began_s is None:
            return 0.0
        return (self.ended_s or time.monotonic()) - self.began_s

    @property
    def bytes(self) -> int:
        return sum(step.bytes for step in self.steps)

    @property
    def round_trips(self) -> int:
        return sum(step.round_trips for step in self.steps)

    def begin(self) -> None:
        self.began_s = time.monotonic()
        self.status = Status.RUNNING

    def finish(self, result: FlashResult) -> None:
        """The flash went through."""
        self.result = result
        self._end(Status.UNCHANGED if result.unchanged else Status.FLASHED)

    def fail(self, error: EdgedeployError) -> None:
        """The flash did not go through; the old release is active unless the error says otherwise."""
        self.error = error
        self._end(Status.INTERRUPTED if isinstance(error, StoppedError) else Status.FAILED)

    def to_json(self) -> dict[str, Any]:
        """Return an element of ``boards`` in what ``flash --json`` prints for a fleet."""
        result = self.result
        told = result.to_json() if result else {}
        return {
            "name": self.name,
            "board": self.board,
            "where": self.where,
            "wave": self.wave,
            "status": self.status.value,
            "release": result.release if result else None,
            "previous_release": result.previous_release if result else None,
            "verified": result.verified if result else False,
            "provenance": result.provenance.value if result else None,
            "clock": result.clock.value if result and result.clock else None,
            "golden": told.get("golden"),
            "health": told.get("health"),
            "error": self.error.to_json()["error"] if self.error else None,
            "rollback_error": self.rollback_error.to_json()["error"] if self.rollback_error else None,
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            "round_trips": self.round_trips,
            "steps": [asdict(step) for step in self.steps],
            "notes": list(self.notes),
        }

    def _end(self, status: Status) -> None:
        self.doing = self.amount = ""
        self.ended_s = time.monotonic()
        self.status = status


class BoardProgress:
    """``edgedeploy.progress.Progress`` of one board: what it does goes to its state, and nothing to the terminal."""

    def __init__(self, state: BoardState) -> None:
        self._state = state

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        self._state.amount = ""
        self._state.doing = title
        yield _BoardTask(self._state)

    def say(self, text: str) -> None:
        self._state.notes = (*self._state.notes, text)


class _BoardTask:
    def __init__(self, state: BoardState) -> None:
        self._state = state

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        del note
        scale, suffix = (1e6, " MB") if unit == "bytes" else (1.0, "")
        end = f"/{total / scale:.4g}" if total else ""
        self._state.amount = f"{done / scale:.3g}{end}{suffix}" if done or total else ""


class Stop:
    """A wish to end early, which threads look at. ``request`` may come from a signal; a second one makes it urgent."""

    def __init__(self) -> None:
        self._requests = 0

    def request(self) -> None:
        self._requests += 1

    @property
    def requested(self) -> bool:
        return self._requests > 0

    @property
    def urgent(self) -> bool:
        return self._requests > 1
