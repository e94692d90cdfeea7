"""Running the scripts on a board, and what their failures mean."""

from __future__ import annotations

import re
from dataclasses import replace

from edgedeploy.deploy import script_parts, scripts
from edgedeploy.errors import BoardBusyError, DiskFullError, EdgedeployError, RemoteCommandError
from edgedeploy.reading import load_json
from edgedeploy.transport.exchange import NO_SPACE_HINT, READ_ONLY_HINT, READ_ONLY_TEXT, says_no_space
from edgedeploy.transport.protocol import CommandResult, Transport

SCRIPT_DEADLINE_S = 120.0
# What hashing and syncing may take on a slow card in a slow board (or its twin).
SLOWEST_BYTES_PER_S = 1_000_000

_COUNT = re.compile(r"[0-9]{1,18}")


def script_deadline_s(size_bytes: int = 0) -> float:
    """Return a deadline for a script that reads or syncs this much."""
    return SCRIPT_DEADLINE_S + size_bytes / SLOWEST_BYTES_PER_S


def run_script(
    transport: Transport,
    name: str,
    script: str,
    *arguments: str,
    stdin: str = "",
    deadline_s: float = SCRIPT_DEADLINE_S,
    check: bool = True,
) -> CommandResult:
    """Run one of the scripts.

    Raises:
        DiskFullError, BoardBusyError: What the script says is a full disk, or a lock taken over by somebody else.
        RemoteCommandError: It failed otherwise, and ``check``.
    """
    result = transport.run(
        scripts.command(name, script, *arguments), stdin=stdin.encode(), deadline_s=deadline_s, check=False
    )
    if check and result.exit_status != 0:
        raise script_error(transport, name, result)
    return result


def script_error(transport: Transport, name: str, result: CommandResult) -> EdgedeployError:
    """Return the error that a failed script stands for."""
    if result.exit_status == script_parts.LOCK_LOST_STATUS:
        return BoardBusyError(
            f"the lock on {transport.description} was taken over by somebody else meanwhile",
            hint="see edgedeploy status, then run the command again",
        )
    if says_no_space(result.stderr):
        return DiskFullError(f"no space left on {transport.description}: {result.stderr.strip()}", hint=NO_SPACE_HINT)
    hint = "the board needs what docs/flash.md lists (a POSIX shell, mv -T, sync, timeout), and leave to write there"
    if READ_ONLY_TEXT in result.stderr:
        hint = READ_ONLY_HINT
    return RemoteCommandError(
        command=f"edgedeploy's script '{name}'", exit_status=result.exit_status, stderr=result.stderr, hint=hint
    )


def read_report(result: CommandResult) -> CommandResult:
    """Return what the on-board program gave in place of a script: its report as a script would have said it.

    Its document is ``{"schema": 1, "report": [LINE, ...]}``; the output of anything else stays as it is.
    """
    try:
        document = load_json(result.stdout)
        lines = document["report"]
        if document["schema"] != 1 or not all(isinstance(line, str) for line in lines):
            return result
    except (ValueError, TypeError, KeyError):
        return result
    return replace(result, stdout="".join(f"{line}\n" for line in lines))


def report_lines(result: CommandResult) -> list[tuple[str, str]]:
    """Return a script's report as ``(key, value)`` lines.

    Example:
        ``"root /home/edge\\nend\\n"`` gives ``[("root", "/home/edge"), ("end", "")]``.
    """
    # Not splitlines: a name in a manifest may hold one of the other characters that end a line in Unicode.
    pairs = (line.partition(" ") for line in result.stdout.split("\n") if line)
    return [(key, value) for key, _, value in pairs]


def parse_count(text: str) -> int:
    """Return a number of a report: 0 or more, in digits alone.

    Raises:
        ValueError: It is none, or larger than any that a board has.
    """
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no count")
    return int(text)
