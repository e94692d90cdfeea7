"""One process at a time for one thing: an advisory lock on a file, given up by the kernel when its holder ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.1


@contextmanager
def exclusive(path: Path, *, deadline_s: float) -> Iterator[bool]:
    """Hold the lock on ``path`` during the block; yields False if another process still held it at the deadline.

    The lock file stays: removing it would let two processes hold locks on different files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        end = time.monotonic() + deadline_s
        held = _try_lock(stream.fileno())
        while not held and time.monotonic() < end:
            time.sleep(POLL_S)
            held = _try_lock(stream.fileno())
        yield held


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
