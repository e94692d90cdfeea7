"""Several commands in one round trip, each run only where the one before it did what it should."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edgedeploy.errors import RemoteCommandError
from edgedeploy.transport.protocol import CommandResult, Transport, command_line


@dataclass(frozen=True, kw_only=True)
class Part:
    """A command, and what its stdout begins with where it did what it should; any does where that is empty."""

    command: Sequence[str] | str
    says: str = ""

    def script(self, mark: str) -> str:
        """Return shell text that runs it, marks the ends of its outputs, and goes no further where it failed."""
        run = f"eval {shlex.quote(command_line(self.command))}"
        # No "||" behind it: with one a script would not end with its first failure.
        text = f"( {run} )\nstatus=$?\n"
        go = "true"
        if self.says:
            text = f"said=$( {run} )\nstatus=$?\nprintf '%s\\n' \"$said\"\n"
            go = f"case $said in {shlex.quote(self.says)}*) true ;; *) false ;; esac"
        marks = f"printf '\\n{mark} %d\\n' $status\nprintf '\\n{mark} 0\\n' >&2\n"
        return f"{text}{marks}{{ [ $status -eq 0 ] && {go}; }} || exit 0\n"


def run_together(transport: Transport, parts: Sequence[Part], *, deadline_s: float) -> list[CommandResult]:
    """Run commands one after the other until one fails.

    Args:
        deadline_s: For all of them.

    Returns:
        What each that was run gave; all but the last did what they should. Seconds are those of all of them.

    Raises:
        RemoteCommandError: The shell that runs them ended in between.
    """
    mark = f"edgedeploy-{secrets.token_hex(8)}"
    lines = [command_line(part.command) for part in parts]
    result = transport.run("".join(part.script(mark) for part in parts), deadline_s=deadline_s, check=False)
    said, complained = (re.split(rf"\n{mark} (\d+)\n", text) for text in (result.stdout, result.stderr))
    answers = [
        replace(result, command=line, exit_status=int(status), stdout=stdout, stderr=stderr)
        for line, stdout, status, stderr in zip(lines, said[::2], said[1::2], complained[::2], strict=False)
    ]
    if len(answers) < len(lines) and (not answers or result.exit_status != 0):
        raise RemoteCommandError(
            command=lines[len(answers)].split("\n", 1)[0], exit_status=result.exit_status, stderr=complained[-1]
        )
    return answers


@dataclass
class Together:
    """Commands that are asked for one by one, and all run when the first is.

    Whoever asks for one takes a failure of the one before as the end.
    """

    transport: Transport
    parts: Sequence[Part]
    deadline_s: float
    _answers: list[CommandResult] | None = field(default=None, init=False)

    def __call__(self) -> CommandResult:
        """Return what the next command gave.

        Raises:
            RemoteCommandError: It was not run, for the one before did not do what it should; or as ``run_together``.
        """
        if self._answers is None:
            self._answers = run_together(self.transport, self.parts, deadline_s=self.deadline_s)
        if not self._answers:
            raise RemoteCommandError(
                command="the rest of the flash",
                exit_status=1,
                stderr="the command before it did not say what it should",
            )
        return self._answers.pop(0)
