"""What every transport does alike with a running command: gather its output, keep its deadline, count its traffic."""

from __future__ import annotations

import codecs
import errno
import time
from collections.abc import Callable

from edgedeploy.errors import DeadlineError, DiskFullError, EdgedeployError, RemoteCommandError, TransferError
from edgedeploy.transport.protocol import CommandResult, Traffic

NO_SPACE_TEXTS = ("No space left on device", "Disk quota exceeded")
NO_SPACE_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY_TEXT = "Read-only file system"
READ_ONLY_HINT = (
    "mount the board's file system with write access; where it turned read-only by itself, its card is probably "
    "failing (dmesg on the board says more), and the release that was active is still there"
)
NO_SPACE_HINT = "free some space on the board; edgedeploy keeps the last three releases of each app and nothing else"


class Deadline:
    """A point in time that can be pushed back.

    Args:
        seconds: From now, or from the last ``touch`` where the caller reports progress.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def touch(self) -> None:
        """Start anew: something moved."""
        self._end = time.monotonic() + self.seconds

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining_s == 0.0


class Counter:
    """Round trips and payload bytes of one connection."""

    def __init__(self) -> None:
        self.round_trips = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def add_sent(self, count: int) -> None:
        self.sent_bytes += count

    def snapshot(self) -> Traffic:
        return Traffic(round_trips=self.round_trips, sent_bytes=self.sent_bytes, received_bytes=self.received_bytes)


class LineRelay:
    """Hands whole lines of a byte stream to a callback as they arrive.

    Example:
        >>> lines = []
        >>> relay = LineRelay(lines.append)
        >>> relay.feed(b"run 1/5\\nru")
        >>> relay.feed(b"n 2/5\\n")
        >>> lines
        ['run 1/5', 'run 2/5']
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        # Incremental, because a chunk may end in the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        for line in lines:
            self._on_line(line)

    def finish(self) -> None:
        """Hand over what is left after the last newline."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        if rest:
            self._on_line(rest)


class Output:
    """Gathers a command's stdout and stderr and makes its result."""

    def __init__(self, on_stderr_line: Callable[[str], None] | None = None) -> None:
        self._started = time.monotonic()
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._relay = LineRelay(on_stderr_line) if on_stderr_line else None

    def add_stdout(self, chunk: bytes) -> None:
        self._stdout += chunk

    def add_stderr(self, chunk: bytes) -> None:
        self._stderr += chunk
        if self._relay:
            self._relay.feed(chunk)

    @property
    def stderr(self) -> str:
        return self._stderr.decode(errors="replace")

    def result(self, command: str, exit_status: int, *, check: bool) -> CommandResult:
        """Return the result.

        Raises:
            RemoteCommandError: The status is not 0 and ``check``.
        """
        if self._relay:
            self._relay.finish()
        if check and exit_status != 0:
            raise RemoteCommandError(command=command, exit_status=exit_status, stderr=self.stderr)
        return CommandResult(
            command=command,
            exit_status=exit_status,
            stdout=self._stdout.decode(errors="replace"),
            stderr=self.stderr,
            seconds=time.monotonic() - self._started,
        )


def says_no_space(text: str) -> bool:
    """Return whether a program's message means that the board's disk or quota is full."""
    return any(phrase in text for phrase in NO_SPACE_TEXTS)


def write_error(destination: object, where: str, detail: str, *, no_space: bool | None = None) -> EdgedeployError:
    """Return the error for a file that could not be written on the board."""
    if no_space or (no_space is None and says_no_space(detail)):
        return DiskFullError(f"no space left on {where} while writing {destination}: {detail}", hint=NO_SPACE_HINT)
    hint = "check that its directory exists and that the user may write there"
    if READ_ONLY_TEXT in detail:
        hint = READ_ONLY_HINT
    return TransferError(f"cannot write {destination} on {where}: {detail}", hint=hint)


def changed_error(destination: object, where: str) -> TransferError:
    """Return the error for a file that is not as long any more as the caller knew it."""
    return TransferError(f"{destination} on {where} changed meanwhile", hint="run the command again")


def deadline_error(command: str, where: str, seconds: float) -> DeadlineError:
    """Return the error for a command that was given up."""
    return DeadlineError(
        f"no end within {seconds:g} s on {where}, so it was stopped: {shorten(command)}",
        hint="a busy or emulated board may need a longer deadline; else look at the board's load and disk",
    )


def shorten(command: str, limit: int = 200) -> str:
    """Return a command's first line, cut to ``limit`` characters: scripts are long, messages are read."""
    first = command.strip().split("\n", 1)[0]
    return first if first == command.strip() and len(first) <= limit else first[: limit - 4] + " ..."
