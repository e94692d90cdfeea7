"""A transport whose user can be stopped between two operations, and inside a file's transfer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from edgedeploy.errors import StoppedError
from edgedeploy.transport.protocol import DEFAULT_DEADLINE_S, TRANSFER_STALL_S, CommandResult, Transport
from edgedeploy.transport.wrapped import WrappedTransport


class StoppableTransport(WrappedTransport):
    """Passes everything to ``inner``; once ``stopped`` says so, the next operation raises instead, one time only.

    What is done while an error is handled, that one or another, is cleaning up and goes through. A command that runs
    is never cut short: the board would be left with half of it.
    """

    def __init__(self, inner: Transport, stopped: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._stopped = stopped
        self._raised = False

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
        self._look()
        return self._inner.run(command, stdin=stdin, deadline_s=deadline_s, check=check, on_stderr_line=on_stderr_line)

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        """Feed a command; see the protocol."""

        def watched() -> Iterator[bytes]:
            for chunk in chunks:
                self._look()
                yield chunk

        self._look()
        return self._inner.stream(command, watched(), stall_s=stall_s)

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

        def moved(done: int, total: int) -> None:
            self._look()
            if on_bytes:
                on_bytes(done, total)

        self._look()
        self._inner.put(source, destination, mode=mode, offset=offset, on_bytes=moved)

    def get(self, source: PurePosixPath, destination: Path) -> None:
        """Copy a file; see the protocol."""
        self._look()
        self._inner.get(source, destination)

    def _look(self) -> None:
        if sys.exception() is None and not self._raised and self._stopped():
            self._raised = True
            raise StoppedError(f"stopped on {self.description}", hint="run the command again")
