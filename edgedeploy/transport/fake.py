"""Faults that a healthy connection cannot be made to show, injected into a real transport."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from edgedeploy.errors import ConnectionLostError
from edgedeploy.transport.protocol import DEFAULT_DEADLINE_S, TRANSFER_STALL_S, CommandResult, Transport
from edgedeploy.transport.wrapped import WrappedTransport


class FaultKind(str, Enum):
    """What goes wrong.

    ``LOST_BEFORE`` breaks the connection before the board hears of the operation, ``LOST_AFTER`` when the board has
    done it but the answer is still under way. ``FLIP_BIT`` changes one bit of a file or stream on its way to the board,
    ``TO_FULL_DISK`` lets it land on a device that is full.
    """

    LOST_BEFORE = "lost-before"
    LOST_AFTER = "lost-after"
    FLIP_BIT = "flip-bit"
    TO_FULL_DISK = "to-full-disk"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. ``operation`` counts all operations from 0, or puts and streams alone for the last two kinds."""

    kind: FaultKind
    operation: int


class FaultyTransport(WrappedTransport):
    """Passes everything to ``inner`` except for the one fault. After a lost connection every call fails.

    ``commands`` lists the commands run so far, ``puts`` the destinations of the files put, ``stream`` for each stream.
    """

    def __init__(self, inner: Transport, fault: Fault | None = None) -> None:
        super().__init__(inner)
        self._fault = fault
        self._lost = False
        self.operations = 0
        self.commands: list[str] = []
        self.puts: list[PurePosixPath] = []

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        check: bool = True,
        on_stderr_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run a command; see the protocol."""
        self.commands.append(command if isinstance(command, str) else " ".join(command))
        breaks = self._begin()
        result = self._inner.run(
            command, stdin=stdin, deadline_s=deadline_s, check=check, on_stderr_line=on_stderr_line
        )
        self._end(breaks)
        return result

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        """Feed a command; see the protocol."""
        hit = self._fault is not None and self._fault.operation == len(self.puts)
        text = command if isinstance(command, str) else " ".join(command)
        self.commands.append(text)
        self.puts.append(PurePosixPath("stream"))
        breaks = self._begin()
        if hit and self._kind is FaultKind.TO_FULL_DISK:
            result = self._inner.stream("LC_ALL=C cat > /dev/full", chunks, stall_s=stall_s)
        else:
            damages = hit and self._kind is FaultKind.FLIP_BIT
            given = [_damaged(b"".join(chunks))] if damages else chunks
            result = self._inner.stream(command, given, stall_s=stall_s)
        self._end(breaks)
        return result

    def put(
        self,
        source: Path,
        destination: PurePosixPath,
        *,
        mode: int = 0o644,
        offset: int = 0,
        on_bytes: Callable[[int, int], None] | None = None,
    ) -> None:
        """Copy a file; see the protocol."""
        hit = self._fault is not None and self._fault.operation == len(self.puts)
        self.puts.append(destination)
        breaks = self._begin()
        if hit and self._kind is FaultKind.TO_FULL_DISK:
            self._inner.put(source, PurePosixPath("/dev/full"), mode=mode, on_bytes=on_bytes)
        elif hit and self._kind is FaultKind.FLIP_BIT:
            self._put_damaged(source, destination, mode)
        else:
            self._inner.put(source, destination, mode=mode, offset=offset, on_bytes=on_bytes)
        self._end(breaks)

    def get(self, source: PurePosixPath, destination: Path) -> None:
        """Copy a file; see the protocol."""
        breaks = self._begin()
        self._inner.get(source, destination)
        self._end(breaks)

    @property
    def _kind(self) -> FaultKind | None:
        return self._fault.kind if self._fault else None

    def _begin(self) -> bool:
        """Count an operation; return whether the connection breaks at its end."""
        if self._lost:
            raise self._lost_error()
        hit = self._fault is not None and self._fault.operation == self.operations
        self.operations += 1
        if hit and self._kind is FaultKind.LOST_BEFORE:
            self._lost = True
            raise self._lost_error()
        return hit and self._kind is FaultKind.LOST_AFTER

    def _end(self, breaks: bool) -> None:
        if breaks:
            self._lost = True
            raise self._lost_error()

    def _lost_error(self) -> ConnectionLostError:
        return ConnectionLostError(f"the connection to {self.description} was lost", hint="run the command again")

    def _put_damaged(self, source: Path, destination: PurePosixPath, mode: int) -> None:
        content = _damaged(source.read_bytes())
        with tempfile.NamedTemporaryFile() as damaged:
            damaged.write(content)
            damaged.flush()
            self._inner.put(Path(damaged.name), destination, mode=mode)


def _damaged(content: bytes) -> bytes:
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    return bytes(damaged)
