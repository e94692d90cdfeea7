"""Processes by identity, not by number alone: a process id is reused, id and start time together are not."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

STATE_FIELD = 0
START_TIME_FIELD = 19
"""Positions in /proc/PID/stat counted behind the command name. Source: proc(5), fields 3 and 22."""


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process: its id, the clock tick it started at, and the boot of the host that the tick counts from."""

    pid: int
    start_ticks: int
    boot_id: str


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a living process, or None: there is no such process, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The command name is in brackets and may hold spaces and brackets itself.
    fields = stat.rpartition(")")[2].split()
    if fields[STATE_FIELD] in ("Z", "X"):
        return None
    return ProcessIdentity(pid=pid, start_ticks=int(fields[START_TIME_FIELD]), boot_id=boot_id)


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether this very process still runs."""
    return identify(identity.pid) == identity


def wait_for_exit(identity: ProcessIdentity, timeout_s: float) -> bool:
    """Wait until the process has ended, child or not; returns whether it has."""
    descriptor = _open(identity)
    if descriptor is None:
        return True
    try:
        return bool(select.select([descriptor], [], [], max(0.0, timeout_s))[0])
    finally:
        os.close(descriptor)


def kill(identity: ProcessIdentity, signal_number: int = signal.SIGKILL) -> None:
    """Send a signal to exactly this process; one that has ended is left in peace."""
    descriptor = _open(identity)
    if descriptor is None:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal_number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _open(identity: ProcessIdentity) -> int | None:
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    # The descriptor is bound to whoever has the id now; only then is it worth comparing.
    if is_alive(identity):
        return descriptor
    os.close(descriptor)
    return None
