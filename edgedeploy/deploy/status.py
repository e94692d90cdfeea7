"""What a board tells of an app: its releases, and which one was active when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgedeploy.healthfile import Health

AUTOMATIC_ROLLBACK = "automatic-rollback"
_REMEDIES = {"finish": "finishes", "undo": "takes up or undoes"}


@dataclass(frozen=True, kw_only=True)
class ReleaseInfo:
    """A release as the board lists it.

    Args:
        activated_at: By the board's clock, ISO 8601; None if it never was current.
        health: ``proven``, ``failed`` or ``pending``, as of its last activation; None where nothing is known.
    """

    digest: str
    current: bool
    activated_at: str | None
    size_bytes: int
    versions: dict[str, str]
    health: str | None = None


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One line of the board's history: at ``time`` (its clock, ISO 8601) the release ``to`` became current.

    Args:
        action: ``flash``, ``rollback``, or ``automatic-rollback``: what had just become current failed the health gate.
        to: None where nothing is current any more: the release that failed was the first.
        left: What was current before, None where nothing was.
        reason: Of an automatic rollback: what was measured.
    """

    time: str
    action: str
    to: str | None
    left: str | None = None
    reason: str = ""

    def describe(self) -> str:
        """Return a line for people.

        Example:
            ``"2026-01-02T03:04:05Z  rolled back automatically to 0123456789ab: latency 35.2 ms, ..."``
        """
        what = f"{self.action} to {short(self.to)}"
        if self.action == AUTOMATIC_ROLLBACK:
            what = f"rolled back automatically from {short(self.left)} to {short(self.to)}"
        return f"{self.time}  {what}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """What the board's journal says is under way or was cut off.

    Args:
        action: ``flash``, ``rollback`` or ``automatic-rollback``.
        to: The release that was to become current; None: none was to be, for the first one failed the health gate.
        since: When it began, by the board's clock, ISO 8601.
        remedy: What the next command does about it: ``finish`` (``to`` is current already, or the health
            gate's verdict is there) or ``undo``.
        holder: Who holds the lock, so that it may well be running still; None where nobody does.
    """

    action: str
    to: str | None
    since: str
    remedy: Literal["finish", "undo"]
    holder: str | None

    def describe(self) -> str:
        """Return a sentence for people.

        Example:
            ``"a flash to 0123456789ab, begun 2026-01-02T03:04:05Z by the board's clock, was cut off: the next flash or
            rollback finishes it"``
        """
        what = f"{describe_change(self.action, self.to)}, begun {self.since} by the board's clock,"
        if self.holder is not None:
            return f"{what} is under way: the lock is held by {self.holder}"
        return f"{what} was cut off: the next flash or rollback {_REMEDIES[self.remedy]} it"


@dataclass(frozen=True, kw_only=True)
class BoardStatus:
    """``unfinished`` is None where nothing is under way and nothing was cut off.

    ``health`` is the active release's; None where nothing is known of it: nothing is active, it was flashed before
    there was a health gate, or what the board keeps of it is damaged.
    """

    app: str
    directory: str
    current: str | None
    releases: tuple[ReleaseInfo, ...]
    store_bytes: int
    history: tuple[Activation, ...]
    unfinished: Unfinished | None
    health: Health | None = None


def short(digest: str | None) -> str:
    """Return a release for people: twelve digits of it, or ``none``."""
    return digest[:12] if digest else "none"


def describe_change(action: str, to: str | None) -> str:
    """Return a change for people: ``"a flash to 0123456789ab"``."""
    return f"an automatic rollback to {short(to)}" if action == AUTOMATIC_ROLLBACK else f"a {action} to {short(to)}"
