"""The root of the tree, and what serves all of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

EXIT_INTERNAL = 1
EXIT_USAGE = 2
LONGEST_TEXT = 65536


class EdgedeployError(Exception):
    """Root of the tree. ``message`` says what is wrong, ``hint`` what to do about it.

    What a damaged file has in its names may be in either: both are cut at 65536 characters and fit for UTF-8.

    Args:
        message: One or two sentences with the offending value in them.
        hint: The command or the change that mends it; empty only where nothing helps.
    """

    slug: ClassVar[str] = "error"
    exit_code: ClassVar[int] = EXIT_INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = _printable(message)
        self.hint = _printable(hint)
        super().__init__(self.message)

    def to_json(self) -> dict[str, object]:
        """Return ``{"error": {"slug": ..., "message": ..., "hint": ..., "exit_code": ...}}``."""
        return {
            "error": {
                "slug": self.slug,
                "message": self.message,
                "hint": self.hint,
                "exit_code": self.exit_code,
            }
        }


class UsageError(EdgedeployError):
    """Options that contradict each other or lack a value."""

    slug = "usage"
    exit_code = EXIT_USAGE


class InternalError(EdgedeployError):
    """A fault of edgedeploy itself; the hint names a file with the traceback."""

    slug = "internal"
    exit_code = EXIT_INTERNAL


def close_matches(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known names nearest to ``name``.

    Example:
        >>> close_matches("rk3999", ["rk3399", "rpi4"])
        'did you mean rk3399?'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}" if known else ""


def _printable(text: str) -> str:
    more = len(text) - LONGEST_TEXT
    text = f"{text[:LONGEST_TEXT]} ... ({more} characters more)" if more > 0 else text
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")
