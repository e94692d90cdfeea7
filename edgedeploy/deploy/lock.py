"""Who holds the board: the owner's note inside the lock, and whether that owner still lives."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import secrets
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgedeploy.errors import BoardBusyError
from edgedeploy.reading import load_json

BREAK_ANY = "any"
_LARGEST_PID = 2**31 - 1
_AGE = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The note. ``machine`` tells hosts, their boots and containers apart: a process id means nothing elsewhere."""

    token: str
    who: str
    machine: str
    pid: int
    since: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def new_owner() -> Owner:
    """Return a note for this process with a fresh token."""
    return Owner(
        token=secrets.token_hex(8),
        who=f"{_user()}@{socket.gethostname()}",
        machine=_machine(),
        pid=os.getpid(),
        since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def parse_owner(text: str) -> Owner | None:
    """Return the note found in a lock, None where it is empty or damaged."""
    try:
        document = load_json(text)
        pid = int(document["pid"])
        if not 0 < pid <= _LARGEST_PID:
            return None
        return Owner(
            token=str(document["token"]),
            who=str(document["who"]),
            machine=str(document["machine"]),
            pid=pid,
            since=str(document["since"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def parse_age(text: str) -> int | None:
    """Return a lock's age in seconds; None for ``-`` and whatever else is none."""
    return int(text) if _AGE.fullmatch(text) else None


def is_dead(owner: Owner) -> bool:
    """Return whether the owner certainly runs no more: a process of this machine that is gone."""
    if owner.machine != _machine():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def describe_holder(owner: Owner | None, age_s: int | None) -> str:
    """Return who holds a lock and how long, for people.

    Args:
        age_s: Seconds by the board's count since its start; None where it does not say.

    Example:
        ``"ana@desk (process 7), for 3 min, since 2026-01-02T03:04:05Z by its clock"``
    """
    who = f"{owner.who} (process {owner.pid})" if owner else "somebody who left no readable note"
    held = f", for {_duration(age_s)}" if age_s is not None else ""
    return who + held + (f", since {owner.since} by its clock" if owner else "")


def busy_error(owner: Owner | None, age_s: int | None, where: str) -> BoardBusyError:
    """Return the error for a lock that somebody else holds."""
    message = f"the lock of {where} is held by {describe_holder(owner, age_s)}"
    return BoardBusyError(message, hint="wait for it; if it is dead for certain, take the lock over with --break-lock")


def _duration(seconds: int) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _machine() -> str:
    parts = [socket.gethostname()]
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    if boot_id.is_file():
        parts.append(boot_id.read_text(encoding="ascii").strip())
    namespace = Path("/proc/self/ns/pid")
    if namespace.is_symlink():
        parts.append(str(namespace.readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
