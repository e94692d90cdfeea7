"""What deploy, bench and the board probe need of a connection. ``ssh``, ``local`` and ``fake`` implement it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

DEFAULT_DEADLINE_S = 60.0
TRANSFER_STALL_S = 60.0


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command on the board did. Outputs are bytes decoded as UTF-8 with replacement."""

    command: str
    exit_status: int
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Exact counts since the connection was made: round trips are commands and transfers, bytes are payload."""

    round_trips: int
    sent_bytes: int
    received_bytes: int


class Transport(Protocol):
    """A connection to one board. Not safe for use by several threads at once."""

    @property
    def description(self) -> str:
        """For people, such as ``edge@192.168.1.20:22``."""

    @property
    def traffic(self) -> Traffic: ...

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        check: bool = True,
        on_stderr_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run a command in a POSIX shell on the board.

        Args:
            command: A sequence is quoted word by word; a string is a shell script as it is.
            stdin: Bytes to feed; the command's stdin is closed after them.
            deadline_s: Seconds until the command is given up (and killed where possible).
            check: Raise when the exit status is not 0.
            on_stderr_line: Called with each whole line of stderr as it arrives: progress of long commands.

        Raises:
            RemoteCommandError: Non-zero status and ``check``; carries command, status and stderr.
            DeadlineError: No end within ``deadline_s``.
            ConnectionLostError: The connection broke.
        """

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        """Run a command and feed it what it reads, as it comes.

        Args:
            command: As for ``run``; its exit status is the caller's to judge.
            chunks: What it reads, of any sizes; may be asked for by another thread, and raise errors of the tree.
            stall_s: It is given up when it reads nothing and does not end for so long.

        Raises:
            DeadlineError, ConnectionLostError: As ``run``.
        """

    def put(
        self,
        source: Path,
        destination: PurePosixPath,
        *,
        mode: int = 0o644,
        offset: int = 0,
        on_bytes: Callable[[int, int], None] | None = None,
    ) -> None:
        """Copy a file to the board under exactly this name, with this mode; its directory exists.

        Atomicity is the caller's (temporary name, hash, rename). ``on_bytes(done, total)`` reports progress.
        With ``offset`` the file is there already with exactly so many bytes, and only what follows is sent.

        Raises:
            TransferError: It could not be written; DiskFullError where the board says that no space is left.
        """

    def get(self, source: PurePosixPath, destination: Path) -> None:
        """Copy a file from the board; the destination is replaced only by a whole file."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def command_line(command: Sequence[str] | str) -> str:
    """Return the shell text of a command.

    Example:
        >>> command_line(["ls", "a b"])
        "ls 'a b'"
    """
    return command if isinstance(command, str) else shlex.join(command)
