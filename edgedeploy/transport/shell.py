"""A shell that waits on the board for commands: starting one for each costs a slow board more than most commands do.

It reads its own text from stdin. A command runs in a subshell, whose variables, directory and end are its own, and is
followed by a mark on both outputs. Its stdin is a here-document; what is no text, or too long, comes as the rest of the
shell's own stdin instead, and that shell ends with its command.
"""

from __future__ import annotations

import re
import secrets
import select
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

import paramiko

from edgedeploy.transport.channel import CHUNK_BYTES
from edgedeploy.transport.exchange import Counter, Deadline

START = "exec sh"
# Longer ones than a pipe takes cost the shell a process to write them.
LONGEST_TEXT_BYTES = 1 << 15

_LEADER = 'echo "edgedeploy-pid $$" >&2\n'
_LEADER_LINE = re.compile(rb"edgedeploy-pid (\d+)\n")


class LeaderFilter:
    """Takes the shell's line with its process id out of stderr and passes the rest on.

    What a login shell says before it is passed on too.
    """

    def __init__(self) -> None:
        self._held = b""
        self.pid: int | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return what of the outputs so far can be passed on now."""
        if self.pid is not None:
            return chunk
        self._held += chunk
        match = _LEADER_LINE.search(self._held)
        if not match:
            return b""
        self.pid = int(match[1])
        rest = self._held[: match.start()] + self._held[match.end() :]
        self._held = b""
        return rest

    def finish(self) -> bytes:
        """Return what was held back when no shell ever spoke."""
        rest, self._held = self._held, b""
        return rest


class MarkFilter:
    """Takes the mark and the number behind it out of an output and passes on what comes before.

    Example:
        >>> output = MarkFilter(b"end-7f")
        >>> output.feed(b"a\\nen"), output.feed(b"d-7f 3\\n"), output.status
        (b'a\\n', b'', 3)
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark + b" "
        self._held = b""
        self.status: int | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return what of the output so far can be passed on now."""
        self._held += chunk
        if self.status is not None:
            return b""
        place = self._held.find(self._mark)
        if place < 0:
            place = len(self._held) - self._overlap()
        rest, self._held = self._held[:place], self._held[place:]
        number, newline, after = self._held.removeprefix(self._mark).partition(b"\n")
        if self._held.startswith(self._mark) and newline:
            self.status, self._held = int(number), after
        return rest

    def finish(self) -> bytes:
        """Return what was held back: what may have been a mark, or what followed it."""
        rest, self._held = self._held, b""
        return rest

    def _overlap(self) -> int:
        """Return how many bytes at the end may be the beginning of the mark."""
        longest = min(len(self._held), len(self._mark) - 1)
        return next((count for count in range(longest, 0, -1) if self._mark.startswith(self._held[-count:])), 0)


@dataclass
class Shell:
    """The far end of a channel that runs ``START``."""

    channel: paramiko.Channel
    leader: LeaderFilter = field(default_factory=LeaderFilter)
    mark: str = field(default_factory=lambda: f"edgedeploy-{secrets.token_hex(8)}")
    _is_used: bool = False

    @property
    def is_alive(self) -> bool:
        return not (self.channel.closed or self.channel.eof_received)

    def command(self, script: str, stdin: bytes | None) -> bytes:
        """Return what has the shell run a script, and mark its end on both outputs with its status."""
        source = f"<<'{self.mark}'\n".encode() + stdin + f"{self.mark}\n".encode() if stdin else b"</dev/null\n"
        end = f"printf '{self.mark} %d\\n' $?\nprintf '{self.mark} 0\\n' >&2\n"
        return self._greeting() + f"( eval {shlex.quote(script)} ) ".encode() + source + end.encode()

    def last_command(self, script: str) -> bytes:
        """Return what has the shell run a script with its own stdin, once it has said its mark, and end with it.

        One line of the shell's language: what follows it is the script's to read.
        """
        line = f"{{ echo '{self.mark} 0'; ( eval {shlex.quote(script)} ); exit $?; }}\n"
        return self._greeting() + line.encode()

    def _greeting(self) -> bytes:
        is_used, self._is_used = self._is_used, True
        return b"" if is_used else _LEADER.encode()


class Outputs:
    """Reads what a shell's command says, and where it ends.

    Args:
        counter: Gets the bytes of the command's own.
    """

    def __init__(
        self,
        shell: Shell,
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        counter: Counter,
    ) -> None:
        self._channel, self._leader, self._counter = shell.channel, shell.leader, counter
        self._sinks = on_stdout, on_stderr
        self._marks = MarkFilter(shell.mark.encode()), MarkFilter(shell.mark.encode())
        self._is_fed = False

    @property
    def status(self) -> int | None:
        """What the mark on stdout says; None before it came."""
        return self._marks[0].status

    def drain_to_marks(self, deadline: Deadline) -> bool:
        """Read both outputs to their marks, or to their ends where the shell ended; False where the deadline passed."""
        return self._drain(deadline, lambda: all(mark.status is not None for mark in self._marks))

    def drain_to_ready(self, deadline: Deadline) -> bool:
        """Read until the shell says that its last command begins, or to the outputs' ends; else as above."""
        return self._drain(deadline, lambda: self.status is not None)

    def drain(self, deadline: Deadline) -> bool:
        """Read both outputs of a last command to their ends; else as above."""
        self._is_fed = True
        self._pass(0, self._marks[0].finish())
        return self._drain(deadline, lambda: False)

    def _drain(self, deadline: Deadline, is_done: Callable[[], bool]) -> bool:
        while not is_done():
            # Asked before reading: what arrived before the end is then read for certain.
            ended = self._channel.eof_received or self._channel.closed
            if self._channel.recv_ready():
                chunk = self._channel.recv(CHUNK_BYTES)
                self._pass(0, chunk if self._is_fed else self._marks[0].feed(chunk))
            elif self._channel.recv_stderr_ready():
                said = self._leader.feed(self._channel.recv_stderr(CHUNK_BYTES))
                self._pass(1, self._marks[1].feed(said))
            elif ended:
                self._pass(0, self._marks[0].finish())
                self._pass(1, self._marks[1].feed(self._leader.finish()) + self._marks[1].finish())
                return True
            else:
                select.select([self._channel], [], [], min(deadline.remaining_s, 1.0))
            if deadline.passed and not ended:
                return False
        return True

    def _pass(self, output: int, chunk: bytes) -> None:
        self._counter.received_bytes += len(chunk)
        if chunk:
            self._sinks[output](chunk)


def is_text(stdin: bytes) -> bool:
    """Return whether a here-document can be made of it."""
    return len(stdin) <= LONGEST_TEXT_BYTES and stdin.endswith(b"\n") and b"\0" not in stdin
