"""Run a program of the host with its output in a log file, and never leave it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from edgedeploy.errors import ImageBuildError
from edgedeploy.progress import Task

TERMINATION_GRACE_S = 15.0
TAIL_LINES = 15
POLL_S = 0.2


def run_logged(command: Sequence[str], *, name: str, log: Path, task: Task, deadline_s: float, hint: str) -> None:
    """Run a command; its output goes to ``log``, its last line is shown as the task's note; errors call it ``name``.

    Raises:
        ImageBuildError: Non-zero status, or no end within the deadline; the message carries the output's last lines.
    """
    begin = time.monotonic()
    with log.open("wb") as stream:
        # A session of its own: Ctrl-C reaches it once, through us, so that it can clean up after itself.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while process.poll() is None:
                elapsed_s = time.monotonic() - begin
                if elapsed_s > deadline_s:
                    raise ImageBuildError(f"{name} did not end within {deadline_s:.0f} s\n{tail(log)}", hint=hint)
                task.update(elapsed_s, None, tail(log, 1))
                time.sleep(POLL_S)
        finally:
            _end(process)
    if process.returncode != 0:
        raise ImageBuildError(f"{name} failed with status {process.returncode}\n{tail(log)}", hint=hint)


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text file; empty when there is no file."""
    try:
        data = path.read_bytes()[-16384:]
    except OSError:
        return ""
    text = data.decode("utf-8", errors="replace").replace("\r", "\n")
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(TERMINATION_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
