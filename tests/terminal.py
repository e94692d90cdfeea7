"""A command in a terminal of its own, its secrets typed as a person would."""

from __future__ import annotations

import os
import pty
import select
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

DEADLINE_S = 540.0


def in_terminal(
    words: list[str],
    answers: list[tuple[str, str]],
    *,
    environment: Mapping[str, str],
    directory: Path,
    watch: Callable[[], None] = lambda: None,
    program: Sequence[str] = ("-m", "edgedeploy"),
) -> tuple[int, str]:
    """Run ``edgedeploy`` in a terminal.

    Args:
        words: The command's words.
        answers: Pairs of a question and what to type, in this order, once the terminal shows no more what is typed: a
            question is out a moment before that, and what is typed in this moment is lost.
        environment: The command's.
        directory: Where it runs.
        watch: Called again and again while it runs.
        program: Python's words for what stands in for the command.

    Returns:
        The exit status, and all that the terminal showed.
    """
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  (the child)
        os.chdir(directory)
        os.execve(sys.executable, [sys.executable, *program, *words], dict(environment))
    shown, seen, left = "", 0, list(answers)
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        watch()
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:  # how Linux tells that the other end is gone
                break
            if not chunk:
                break
            shown += chunk.decode("utf-8", "replace")
        if left and left[0][0] in shown[seen:] and not _echoes(terminal):
            watch()
            seen = len(shown)
            os.write(terminal, left.pop(0)[1].encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert not left, f"never asked {left[0][0]!r}:\n{shown}"
    return os.waitstatus_to_exitcode(status), shown


def _echoes(terminal: int) -> bool:
    """Tell whether a terminal shows what is typed."""
    _, _, _, local_modes, *_ = termios.tcgetattr(terminal)
    return bool(local_modes & termios.ECHO)


def process_secrets(secret: str) -> list[str]:
    """Return the command lines and environments of this machine's processes that hold a text."""
    found = []
    # Globbed no deeper: that looks at each file, and fails where a process ends meanwhile.
    for process in Path("/proc").glob("[0-9]*"):
        for path in (process / "cmdline", process / "environ"):
            try:
                content = path.read_bytes()
            except OSError:  # it ended meanwhile, or is another user's
                continue
            if secret.encode() in content:
                found.append(str(path))
    return found


def files_with(secret: str, *directories: Path) -> list[Path]:
    """Return the files that hold a text, as it is or in the usual encodings."""
    needles = (secret.encode(), secret.encode("utf-16-le"), secret.encode().hex().encode())
    return [
        path
        for directory in directories
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink() and any(needle in path.read_bytes() for needle in needles)
    ]
