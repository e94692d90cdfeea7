"""Build products by the content of what went into them: keys, locks, and entries that appear whole or not at all."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from edgedeploy.artifacts import canonical_json
from edgedeploy.errors import BuildFailedError
from edgedeploy.files import exclusive, file_sha256
from edgedeploy.paths import cache_dir
from edgedeploy.progress import Progress
from edgedeploy.reading import load_json

_PRODUCTS_FILE = "products.json"
_SKIPPED_DIRECTORIES = frozenset({"__pycache__"})
_SKIPPED_SUFFIXES = frozenset({".o", ".pyc", ".so"})


def build_cache_dir() -> Path:
    """Return the directory under which all builds live."""
    return cache_dir() / "build"


def content_key(inputs: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) over a JSON-able description of everything that goes into a product."""
    return hashlib.sha256(canonical_json(dict(inputs))).hexdigest()


def tree_digest(root: Path, *, without: tuple[str, ...] = ()) -> str:
    """Return one SHA-256 over the relative paths and contents of all files under ``root`` (or of the file ``root``).

    Hidden files and compiled code are left out: editors, interpreters and an in-place ``pip install`` write them, no
    build reads them.

    Args:
        root: A directory or a file.
        without: Names of directories directly under ``root`` that do not count.
    """
    if root.is_file():
        return file_sha256(root)
    contents = {
        path.relative_to(root).as_posix(): file_sha256(path)
        for path in sorted(root.rglob("*"))
        if _counts(path.relative_to(root), without) and path.is_file()
    }
    return hashlib.sha256(canonical_json(contents)).hexdigest()


def _counts(path: Path, without: tuple[str, ...]) -> bool:
    if path.parts[0] in without or path.suffix in _SKIPPED_SUFFIXES:
        return False
    return not any(part.startswith(".") or part in _SKIPPED_DIRECTORIES for part in path.parts)


def ensure_entry(entry: Path, make: Callable[[Path], None], *, progress: Progress) -> Path:
    """Return a cache entry, making it first where it is absent or damaged.

    Args:
        entry: The entry's final directory; its name carries the content key.
        make: Fills an empty directory. What it raises passes through and leaves no entry behind.
        progress: Says so when another process builds the same entry and this one waits for it.

    Raises:
        BuildFailedError: The cache cannot be written.
    """
    if _is_sound(entry):
        return entry
    lock = entry.parent / f"{entry.name}.lock"

    def waiting() -> None:
        progress.say(f"Waiting for another build of {entry.name}")

    try:
        with exclusive(
            lock, deadline_s=math.inf, on_wait=lambda: progress.say(f"Waiting for another build of {entry.name}")
        ):
            if not _is_sound(entry):
                _make_entry(entry, make)
    except OSError as error:
        raise _unwritable(entry.parent, error) from error
    return entry


def _make_entry(entry: Path, make: Callable[[Path], None]) -> None:
    for leftover in (entry, *entry.parent.glob(f".{entry.name}-*")):  # of a build that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        make(staging)
        _seal(staging)
        staging.chmod(0o755)
        staging.rename(entry)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _seal(directory: Path) -> None:
    products = {
        path.relative_to(directory).as_posix(): path.stat().st_size for path in directory.rglob("*") if path.is_file()
    }
    (directory / _PRODUCTS_FILE).write_bytes(canonical_json(products))


def _is_sound(entry: Path) -> bool:
    """Say whether every file of the entry is there in full length: a disk that ran full or a stray rm shows here."""
    try:
        products = load_json((entry / _PRODUCTS_FILE).read_text(encoding="utf-8"))
        return all((entry / name).stat().st_size == size for name, size in products.items())
    except (OSError, ValueError):
        return False


def _unwritable(parent: Path, error: OSError) -> BuildFailedError:
    return BuildFailedError(
        f"the build cache {parent} cannot be written: {error}",
        hint="free the disk or set EDGEDEPLOY_CACHE to a directory of yours",
    )
