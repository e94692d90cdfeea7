"""Progress as stages see it. The command line shows it with rich; libraries and tests may pass ``SILENT``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One thing under way."""

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        """Say how far it is. ``total`` None means that the end is not known; ``unit`` is ``bytes`` or a plain count."""


class Progress(Protocol):
    """Where stages announce what takes longer than a moment."""

    def task(self, title: str) -> AbstractContextManager[Task]:
        """Show ``title`` while the block runs; a block that raises is shown as failed."""

    def say(self, text: str) -> None:
        """Print one line for people (on stderr)."""


class _SilentTask:
    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        pass


class _Silent:
    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        yield _SilentTask()

    def say(self, text: str) -> None:
        pass


SILENT: Progress = _Silent()
