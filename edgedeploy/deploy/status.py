"""What a board tells of an app: its releases, and which one was active when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_REMEDIES = {"finish": "finishes", "undo": "takes up or undoes"}


@dataclass(frozen=True, kw_only=True)
class ReleaseInfo:
    """A release as the board lists it. ``activated_at``: the board's clock, ISO 8601, None if it never was current."""

    digest: str
    current: bool
    activated_at: str | None
    size_bytes: int
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One line of the board's history: at ``time`` (its clock, ISO 8601) the release ``to`` became current."""

    time: str
    action: str
    to: str


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """What the board's journal says is under way or was cut off.

    Args:
        action: ``flash`` or ``rollback``.
        to: The release that was to become current.
        since: When it began, by the board's clock, ISO 8601.
        remedy: What the next command does about it: ``finish`` (``to`` is current already) or ``undo``.
        holder: Who holds the lock, so that it may well be running still; None where nobody does.
    """

    action: str
    to: str
    since: str
    remedy: Literal["finish", "undo"]
    holder: str | None

    def describe(self) -> str:
        """Return a sentence for people.

        Example:
            ``"a flash to 0123456789ab, begun 2026-01-02T03:04:05Z by the board's clock, was cut off: the next flash or
            rollback finishes it"``
        """
        what = f"a {self.action} to {self.to[:12]}, begun {self.since} by the board's clock,"
        if self.holder is not None:
            return f"{what} is under way: the lock is held by {self.holder}"
        return f"{what} was cut off: the next flash or rollback {_REMEDIES[self.remedy]} it"


@dataclass(frozen=True, kw_only=True)
class BoardStatus:
    """``unfinished`` is None where nothing is under way and nothing was cut off."""

    app: str
    directory: str
    current: str | None
    releases: tuple[ReleaseInfo, ...]
    store_bytes: int
    history: tuple[Activation, ...]
    unfinished: Unfinished | None
