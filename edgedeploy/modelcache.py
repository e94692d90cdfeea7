"""What the caches of models share: a directory an entry, with a network's two files and a record of one's own.

An entry appears whole or not at all, and is whole as long as it can be read; a damaged one is removed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from edgedeploy.artifacts import canonical_json
from edgedeploy.errors import RunFileError
from edgedeploy.files import file_sha256

PARAM_NAME = "model.param"
WEIGHTS_NAME = "model.bin"

_ENTRY = "entry"
# What reading a record that is cut short, edited or of another make can end in.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RunFileError)

Entry = TypeVar("Entry")


def entry_key(recipe: int, document: dict[str, Any]) -> str:
    """Return an entry's name: a hash over everything that its content depends on.

    Args:
        recipe: Number of the way of making entries; another number leaves old entries alone.
    """
    return hashlib.sha256(canonical_json({"recipe": recipe, **document})).hexdigest()[:32]


def model_hashes(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of an entry's two model files, by name.

    Raises:
        OSError: One cannot be read.
    """
    return {name: file_sha256(directory / name) for name in (PARAM_NAME, WEIGHTS_NAME)}


def find_whole(directory: Path, read: Callable[[Path], Entry | None]) -> Entry | None:
    """Return what ``read`` makes of an entry; one that it cannot read, or gives None for, is removed."""
    try:
        entry = read(directory)
    except _DAMAGE:
        entry = None
    if entry is None:
        shutil.rmtree(directory, ignore_errors=True)
    return entry


@contextmanager
def scratch_directory(cache: Path) -> Iterator[Path]:
    """Give a directory on the cache's file system, removed at the end."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=cache) as name:
        yield Path(name)


def begin_entry(scratch: Path) -> Path:
    """Make the directory of an entry to be, in a scratch directory."""
    made = scratch / _ENTRY
    made.mkdir()
    return made


def keep_entry(made: Path, directory: Path, read: Callable[[Path], Entry | None]) -> Entry:
    """Put a finished entry in its place and return what ``read`` makes of it.

    Where somebody else made the same entry meanwhile, theirs is as good.

    Raises:
        OSError: The cache cannot be written.
    """
    failure: OSError | None = None
    try:
        made.rename(directory)
    except OSError as error:
        failure = error
    entry = find_whole(directory, read)
    if entry is None:
        raise failure or OSError(f"{directory} was damaged while it was made")
    return entry
