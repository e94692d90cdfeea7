"""Files of the host: hashed, written whole or not at all, and held by one process at a time.

All of it raises plain ``OSError``: what a full disk means, and what to do about it, only the caller knows.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_POLL_S = 0.1
CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def start_sha256(path: Path, size_bytes: int) -> str:
    """Return the SHA-256 of a file's first ``size_bytes`` bytes (of all, where it has fewer) as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(min(CHUNK_BYTES, size_bytes)):
            digest.update(chunk)
            size_bytes -= len(chunk)
    return digest.hexdigest()


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file under a temporary name beside it and give it its name once it is on the disk.

    Until then nobody but the owner can read it; when it fails, a file that had the name before is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def exclusive(path: Path, *, deadline_s: float, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the advisory lock on ``path`` during the block; the kernel drops it when its holder ends, however it does.

    The lock file stays: removing it would let two processes hold locks on different files of one name.

    Args:
        path: The lock file; it and its directory are made where they are missing.
        deadline_s: Seconds to wait for another holder; infinity waits as long as it takes.
        on_wait: Called once where another process holds the lock.

    Yields:
        False if another process still held it at the deadline.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        end = time.monotonic() + deadline_s
        held = _try_lock(stream.fileno())
        if not held and on_wait is not None:
            on_wait()
        while not held and time.monotonic() < end:
            time.sleep(LOCK_POLL_S)
            held = _try_lock(stream.fileno())
        yield held


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
