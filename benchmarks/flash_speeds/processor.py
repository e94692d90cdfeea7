"""Processor time of a twin and this process with its children: a busy machine stretches it less than time."""

from __future__ import annotations

import resource
from pathlib import Path


def processor_seconds(twin_pid: int) -> float:
    """Return what a twin's QEMU, this process and its ended children have used of the processors so far, seconds."""
    threads = Path(f"/proc/{twin_pid}/task").iterdir()
    twin_ns = sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads)
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return twin_ns / 1e9 + sum(usage.ru_utime + usage.ru_stime for usage in own)
