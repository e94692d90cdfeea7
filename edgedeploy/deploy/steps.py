"""Keeping the record of a flash's steps: seconds, bytes, round trips, and which one an error belongs to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgedeploy.artifacts import StepRecord
from edgedeploy.errors import EdgedeployError
from edgedeploy.progress import Progress, Task
from edgedeploy.transport.protocol import Transport

FAILED = "failed"


@contextmanager
def recorded(
    transport: Transport, records: list[StepRecord], name: str, *, progress: Progress, title: str
) -> Iterator[RunningStep]:
    """Record what happens inside as the step ``name``, as failed where it raises; people see ``title``."""
    before = transport.traffic
    started = time.monotonic()
    note = FAILED
    try:
        with progress.task(title) as task:
            running = RunningStep(task)
            yield running
        note = running.note
    finally:
        after = transport.traffic
        records.append(
            StepRecord(
                name=name,
                seconds=time.monotonic() - started,
                bytes=after.sent_bytes + after.received_bytes - before.sent_bytes - before.received_bytes,
                round_trips=after.round_trips - before.round_trips,
                note=note,
            )
        )


@dataclass
class RunningStep:
    """A step under way; ``note`` may be set for people."""

    task: Task
    note: str = ""


@dataclass
class Steps:
    """Runs steps one after the other and records them.

    An error that leaves a step keeps its type; its message gets the step's name and what is active on the board.

    Args:
        active: The active release, "" where none is, None while nobody knows.
    """

    transport: Transport
    progress: Progress
    action: str
    active: str | None = None
    records: list[StepRecord] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[RunningStep]:
        """Record what happens inside as the step ``name``; people see ``title``."""
        try:
            with recorded(self.transport, self.records, name, progress=self.progress, title=title) as running:
                yield running
        except EdgedeployError as error:
            self._name_step(error, name)
            raise

    def _name_step(self, error: EdgedeployError, name: str) -> None:
        stays = f" (release {self.active[:12]} stays active)" if self.active else " (nothing is active there)"
        error.message = f"{self.action}, step {name}: {error.message}{'' if self.active is None else stays}"
        error.args = (error.message,)
