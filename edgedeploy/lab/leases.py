"""Notes of the places that commands of this account hold, so that what a killed one leaves acquired is known.

A note is a file that its command keeps locked. The kernel drops the lock however the command ends, so a note that is
not locked is of a command that is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from edgedeploy.paths import state_dir
from edgedeploy.progress import Progress
from edgedeploy.reading import load_json

ACQUIRE_DEADLINE_S = 30.0
CLOCKS_APART_S = 5.0
"""The coordinator's clock and ours may be that far apart for an acquisition that was only asked for to be known."""
_LARGEST_NOTE_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Note:
    """One acquisition, written before it is asked for and again once it is there.

    Args:
        coordinator: ``HOST:PORT``.
        place: Its name.
        identity: ``HOST/USER`` that it was acquired as.
        changed: When the coordinator last changed the place, in seconds since 1970 by its clock: by this acquisition.
            Once it says something else, somebody has acquired the place anew, and the note means nothing. None: the
            acquisition was asked for, and nobody knows what came of it.
        asked: When it was asked for, in seconds since 1970 by the clock of this machine.
        pid: Of the command, for people.
    """

    coordinator: str
    place: str
    identity: str
    changed: float | None
    asked: float
    pid: int

    def is_of(self, changed: float) -> bool:
        """Whether a place that the identity has acquired, and that was last changed then, is held by this note."""
        if self.changed is not None:
            return changed == self.changed
        return self.asked - CLOCKS_APART_S <= changed <= self.asked + ACQUIRE_DEADLINE_S + CLOCKS_APART_S


class Pen:
    """Writes the note that ``noting`` keeps. ``stream`` is None where it cannot be kept."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream

    def write(self, note: Note) -> None:
        """Write the note behind what it was before: the last whole line counts, and is on the disk at the end."""
        if self._stream is not None:
            self._stream.write(json.dumps(asdict(note)).encode() + b"\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())


@contextmanager
def noting(progress: Progress) -> Iterator[Pen]:
    """Keep a note during the block. Where the state directory cannot be written, that is a warning and no more."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
        path = Path(f"{name}.json")
        Path(name).rename(path)
        _sync(folder)
    except OSError as error:
        progress.say(f"warning: no note of the place is kept, so that a killed command leaves it acquired: {error}")
        yield Pen(None)
        return
    with os.fdopen(handle, "wb") as stream:
        try:
            yield Pen(stream)
        finally:
            path.unlink(missing_ok=True)


def holder(coordinator: str, place: str) -> int | None:
    """Return the process of a living command of this account that holds a place."""
    for _, stream in _notes():
        # Shared: commands that look at the same time take nobody for the living.
        note = None if _lock(stream, fcntl.LOCK_SH) else _read(stream)
        if note is not None and (note.coordinator, note.place) == (coordinator, place):
            return note.pid
    return None


def left_behind(coordinator: str, identity: str) -> Iterator[Note]:
    """Yield the notes of commands that are gone; each is removed once the caller comes for the next.

    Args:
        coordinator, identity: Whose notes; others stay.
    """
    for path, stream in _notes():
        if not _lock(stream, fcntl.LOCK_EX):
            continue
        note = _read(stream)
        if note is not None and (note.coordinator, note.identity) != (coordinator, identity):
            continue
        if note is not None:
            yield note
        path.unlink(missing_ok=True)


def parse_note(text: str) -> Note | None:
    """Return the last whole line's note, None where that is damaged or none is written yet."""
    lines = text.split("\n")[:-1]
    try:
        found = load_json(lines[-1] if lines else "")
        changed = found["changed"]
        return Note(
            coordinator=str(found["coordinator"]),
            place=str(found["place"]),
            identity=str(found["identity"]),
            changed=None if changed is None else float(changed),
            asked=float(found["asked"]),
            pid=int(found["pid"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _folder() -> Path:
    return state_dir() / "places"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _notes() -> Iterator[tuple[Path, BinaryIO]]:
    """Open each note in turn; those whose commands end meanwhile are passed over."""
    for path in sorted(_folder().glob("*.json")):
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            continue
        with stream:
            yield path, stream


def _lock(stream: BinaryIO, kind: int) -> bool:
    """Lock a note until it is closed; return whether its command's own lock is gone."""
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(stream: BinaryIO) -> Note | None:
    return parse_note(stream.read(_LARGEST_NOTE_BYTES).decode(errors="replace"))
