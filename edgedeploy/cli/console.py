"""What people see: progress and messages on stderr, the answer on stdout, one JSON document there with ``--json``."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from edgedeploy.errors import EdgedeployError, InternalError
from edgedeploy.progress import Task, time_left

_REPORT_EVERY_S = 10.0
_KNOWN_AFTER_S = 3.0
_LEFT = " left"

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)


class _LiveTask:
    """A line with a spinner and a bar on a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._started_s = time.monotonic()

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        note = _with_time_left(note, done, total, time.monotonic() - self._started_s)
        self._progress.update(self._task, completed=done, total=total, note=_amount(done, total, note, unit))


class _LoggedTask:
    """A plain line now and then where stderr is no terminal, as in CI."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started_s = self._last_s = time.monotonic()

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= _REPORT_EVERY_S:
            self._last_s = now_s
            note = _with_time_left(note, done, total, now_s - self._started_s)
            stderr.print(f"  {self._title}: {_amount(done, total, note, unit)}", markup=False)


class ConsoleProgress:
    """``edgedeploy.progress.Progress`` on stderr."""

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        started_s = time.monotonic()
        try:
            if stderr.is_terminal:
                with _bar() as progress:
                    yield _LiveTask(progress, progress.add_task(title, total=None, note=""))
            else:
                stderr.print(f"… {title}", markup=False)
                yield _LoggedTask(title)
        except BaseException:
            stderr.print(Text.assemble(("✗ ", "red"), title))
            raise
        stderr.print(Text.assemble(("✓ ", "green"), title, (f"  {time.monotonic() - started_s:.1f} s", "dim")))

    def say(self, text: str) -> None:
        stderr.print(text, markup=False)


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
    )


def _with_time_left(note: str, done: float, total: float | None, elapsed_s: float) -> str:
    """Add how long the rest takes, once that can be told, where the stage does not say it itself."""
    left = time_left(done, total, elapsed_s) if total and elapsed_s >= _KNOWN_AFTER_S else ""
    return note if not left or note.endswith(_LEFT) else f"{note} {left}".lstrip()


def _amount(done: float, total: float | None, note: str, unit: str) -> str:
    if unit == "bytes":
        return f"{done / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB {note}".rstrip() if total else " MB")
    if total:
        return f"{done:g}/{total:g} {note}".rstrip()
    return note


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n")
    sys.stdout.flush()


def print_error(error: EdgedeployError, *, as_json: bool) -> None:
    """Print an error for people on stderr, and as JSON on stdout where the answer was to be JSON."""
    stderr.print(Text.assemble(("error", "bold red"), f" [{error.slug}]: {error.message}"), soft_wrap=True)
    if error.hint:
        stderr.print(Text.assemble(("hint", "bold cyan"), f": {error.hint}"), soft_wrap=True)
    if as_json:
        print_json(error.to_json())


def keep_traceback(error: Exception) -> InternalError:
    """Write an unexpected exception's traceback to a file, and return the error that names it."""
    with tempfile.NamedTemporaryFile("w", prefix="edgedeploy-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    return InternalError(
        f"{type(error).__name__}: {error}", hint=f"this is a fault of edgedeploy; please report it with {log.name}"
    )


def _plain(value: Any) -> Any:
    return str(value)
