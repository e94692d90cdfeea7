"""What a board tells of an app: its releases, and which one was active when."""

from __future__ import annotations

from dataclasses import dataclass


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
class BoardStatus:
    app: str
    directory: str
    current: str | None
    releases: tuple[ReleaseInfo, ...]
    store_bytes: int
    history: tuple[Activation, ...]
