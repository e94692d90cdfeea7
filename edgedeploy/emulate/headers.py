"""The C headers of the guest's Python, for building extension modules on the host."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from edgedeploy.emulate.image import BUILD_DEADLINE_S, SCRATCH_PREFIX, UNWRITABLE_HINT, extract, unpack_packages
from edgedeploy.emulate.recipe import RECIPE
from edgedeploy.errors import ImageBuildError
from edgedeploy.files import exclusive
from edgedeploy.paths import cache_dir
from edgedeploy.progress import Progress

PACKAGE = "libpython3.11-dev"
INCLUDE = "usr/include/python3.11"
ARCHITECTURE_INCLUDE = "usr/include/aarch64-linux-gnu/python3.11"
VERSION = 1


def ensure_python_headers(*, progress: Progress) -> Path:
    """Return a directory with the headers of the guest's Python 3.11, downloading them where the cache lacks them.

    Returns:
        A sysroot with ``usr/include/python3.11`` and ``usr/include/aarch64-linux-gnu/python3.11``. A compiler needs
        ``-I SYSROOT/usr/include/python3.11 -I SYSROOT/usr/include``: the first one's pyconfig.h includes the second's
        ``aarch64-linux-gnu/python3.11/pyconfig.h``.

    Raises:
        MissingToolError: A program of the host is missing.
        ImageBuildError: The download failed; nothing half-made is left.
    """
    key = hashlib.sha256(f"{VERSION} {RECIPE.suite} {PACKAGE}".encode()).hexdigest()[:16]
    parent = cache_dir() / "python-headers"
    directory = parent / key
    if directory.is_dir():
        return directory
    try:
        with exclusive(parent / f"{key}.lock", deadline_s=BUILD_DEADLINE_S) as held:
            if not held:
                raise ImageBuildError(f"another process holds {parent / key}.lock", hint="wait for it, then try again")
            if not directory.is_dir():
                _download_into(directory, progress)
    except OSError as error:
        raise ImageBuildError(f"the Python headers cannot be written: {error}", hint=UNWRITABLE_HINT) from error
    return directory


def _download_into(directory: Path, progress: Progress) -> None:
    parent = directory.parent
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=parent, ignore_cleanup_errors=True) as scratch:
        _download(Path(scratch), progress).rename(directory)


def _download(scratch: Path, progress: Progress) -> Path:
    packages = scratch / "packages.tar"
    title = "Python headers for arm64"
    unpack_packages(RECIPE.suite, (PACKAGE,), packages, scratch=scratch, title=title, progress=progress)
    result = scratch / "sysroot"
    extract(packages, result, only=(f"./{INCLUDE}", f"./{ARCHITECTURE_INCLUDE}"))
    for header in (f"{INCLUDE}/Python.h", f"{ARCHITECTURE_INCLUDE}/pyconfig.h"):
        if not (result / header).is_file():
            raise ImageBuildError(f"{PACKAGE} has no {header}", hint=f"is the mirror really {RECIPE.suite}'s?")
    return result
