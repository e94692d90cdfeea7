"""Several commands in one round trip, each run only where the one before it did what it should."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edgedeploy.errors import RemoteCommandError
from edgedeploy.transport.protocol import CommandResult, Transport, command_line


def run_together(
    transport: Transport, commands: Sequence[Sequence[str] | str], *, deadline_s: float
) -> list[CommandResult]:
    """Run commands one after the other until one fails.

    Args:
        deadline_s: For all of them.

    Returns:
        What each that was run gave; all but the last ended with status 0. Seconds are those of all of them.

    Raises:
        RemoteCommandError: The shell that runs them ended in between.
    """
    mark = f"edgedeploy-{secrets.token_hex(8)}"
    lines = [command_line(command) for command in commands]
    # No "||": behind it a shell would not end with its first failure.
    steps = [
        f"( eval {shlex.quote(line)} )\nstatus=$?\nprintf '\\n{mark} %d\\n' $status\nprintf '\\n{mark} 0\\n' >&2\n"
        "[ $status -eq 0 ] || exit 0\n"
        for line in lines
    ]
    result = transport.run("".join(steps), deadline_s=deadline_s, check=False)
    said, complained = (re.split(rf"\n{mark} (\d+)\n", text) for text in (result.stdout, result.stderr))
    answers = [
        replace(result, command=line, exit_status=int(status), stdout=stdout, stderr=stderr)
        for line, stdout, status, stderr in zip(lines, said[::2], said[1::2], complained[::2], strict=False)
    ]
    if len(answers) < len(lines) and (not answers or answers[-1].exit_status == 0):
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
    commands: Sequence[Sequence[str] | str]
    deadline_s: float
    _answers: list[CommandResult] = field(default_factory=list, init=False)

    def __call__(self) -> CommandResult:
        """Return what the next command gave; errors as ``run_together``."""
        if not self._answers:
            self._answers = run_together(self.transport, self.commands, deadline_s=self.deadline_s)
        return self._answers.pop(0)
