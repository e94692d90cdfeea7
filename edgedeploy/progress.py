"""Progress as stages see it. The command line shows it with rich; libraries and tests may pass ``SILENT``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

_MINUTE_S = 60.0


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


def time_left(done: float, total: float, elapsed_s: float) -> str:
    """Return for people how long the rest takes; empty where that is not known.

    Example:
        >>> time_left(100, 300, 60.0)
        '2 min left'
    """
    if not 0 < done < total:
        return ""
    left_s = max(1.0, elapsed_s / done * (total - done))
    return f"{left_s / _MINUTE_S:.0f} min left" if left_s > 1.5 * _MINUTE_S else f"{left_s:.0f} s left"


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
