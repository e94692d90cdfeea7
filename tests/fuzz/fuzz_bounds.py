"""What no reader may need, whatever its file: 1 GB more than before, or seconds of CPU time."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

MEMORY_BYTES = 1_000_000_000
CPU_S = 20.0


class TooSlowError(AssertionError):
    """A reader was stopped."""


@contextmanager
def bounded(*, memory_bytes: int = MEMORY_BYTES, cpu_s: float = CPU_S) -> Iterator[None]:
    """Run the block with at most so much more address space, and so much CPU time.

    Raises:
        MemoryError: From an allocation beyond the bound.
        TooSlowError: The time ran out, even where the block took the exception for its own.
    """
    stopped = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        raise TooSlowError(f"more than {cpu_s} s of CPU time")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space_bytes() + memory_bytes, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        if stopped:
            raise TooSlowError(f"more than {cpu_s} s of CPU time")


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
