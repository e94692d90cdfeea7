"""Where in a flash the power goes, and the connection that makes it go there."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import CommandResult, Transport

CRITICAL = ("store", "stream", "activate")
CRITICAL_WEIGHT = 3
"""What gives files their names gets as many more points than other operations."""
PIECE_BYTES = 1 << 13
_SCRIPT = re.compile(r"# edgedeploy (\w+)")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A command, file or stream of a flash that went through. ``name``: the script's, ``put`` or ``stream``."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The power goes in operation ``operation``: when ``share`` of a file's bytes went out, or of a command's time is
    over; at its end at the latest. Half a stream's shares are of its bytes, half of the time after the last."""

    operation: int
    name: str
    share: float

    def __str__(self) -> str:
        return f"{self.name} (operation {self.operation}) at {self.share:.0%}"


def spread(points: int, operations: Sequence[Operation]) -> tuple[Cut, ...]:
    """Return so many cuts, spread evenly over the operations and over each; the last one is at the very end.

    Args:
        operations: Of a whole flash, in order, as a trial had them.
    """
    weights = [CRITICAL_WEIGHT if item.name in CRITICAL else 1 for item in operations]
    cuts = []
    for point in range(points):
        place = (point + 1) / points * sum(weights)
        index = 0
        while place > weights[index] and index + 1 < len(weights):
            place -= weights[index]
            index += 1
        share = min(1.0, place / weights[index])
        cuts.append(Cut(operation=index, name=operations[index].name, share=share))
    return tuple(cuts)


class Recorder(FaultyTransport):
    """Notes each operation and how long it takes."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.record: list[Operation] = []

    def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
        """Run a command; see the protocol."""
        begin = time.monotonic()
        result = super().run(command, **options)
        text = command if isinstance(command, str) else " ".join(command)
        found = _SCRIPT.search(text)
        self.record.append(Operation(name=found[1] if found else "self-test", seconds=time.monotonic() - begin))
        return result

    def stream(self, command: Sequence[str] | str, chunks: Iterable[bytes], **options: Any) -> CommandResult:
        """Feed a command; see the protocol."""
        begin = time.monotonic()
        result = super().stream(command, chunks, **options)
        self.record.append(Operation(name="stream", seconds=time.monotonic() - begin))
        return result

    def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
        """Copy a file; see the protocol."""
        begin = time.monotonic()
        super().put(source, destination, **options)
        self.record.append(Operation(name="put", seconds=time.monotonic() - begin))


class CuttingTransport(FaultyTransport):
    """Calls ``cut_power`` at the cut's place, once.

    Args:
        seconds: What the cut's operation took in the trial.
    """

    def __init__(self, inner: Transport, cut: Cut, *, seconds: float, cut_power: Callable[[], None]) -> None:
        super().__init__(inner)
        self._cut = cut
        self._seconds = seconds
        self._cut_power = cut_power

    def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
        """Run a command; see the protocol."""
        if self.operations != self._cut.operation:
            return super().run(command, **options)
        timer = threading.Timer(self._cut.share * self._seconds, self._cut_power)
        if self._cut.share < 1.0:
            timer.start()
        try:
            return super().run(command, **options)
        finally:
            timer.cancel()
            if timer.is_alive():
                timer.join()
            self._cut_power()

    def stream(self, command: Sequence[str] | str, chunks: Iterable[bytes], **options: Any) -> CommandResult:
        """Feed a command; see the protocol."""
        if self.operations != self._cut.operation:
            return super().stream(command, chunks, **options)
        whole = b"".join(chunks)
        pieces = [whole[start : start + PIECE_BYTES] for start in range(0, len(whole), PIECE_BYTES)]
        # What the board does with the files begins when the last of them is there.
        timer = threading.Timer((2 * self._cut.share - 1) * self._seconds, self._cut_power)

        def watched() -> Iterator[bytes]:
            for number, piece in enumerate(pieces):
                if number >= 2 * self._cut.share * len(pieces):
                    self._cut_power()
                yield piece
            if 0.5 <= self._cut.share < 1.0:
                timer.start()

        try:
            return super().stream(command, watched(), **options)
        finally:
            timer.cancel()
            if timer.is_alive():
                timer.join()
            self._cut_power()

    def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
        """Copy a file; see the protocol."""
        if self.operations != self._cut.operation:
            super().put(source, destination, **options)
            return

        def watch(done: int, total: int) -> None:
            if done >= self._cut.share * total:
                self._cut_power()

        try:
            super().put(source, destination, **{**options, "on_bytes": watch})
        finally:
            self._cut_power()
