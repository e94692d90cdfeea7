"""What a board tells of an app: its releases, and which one was active when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
