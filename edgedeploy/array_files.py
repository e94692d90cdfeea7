"""Reads .npy and .npz files, whatever may be in them: everything that is wrong is a ``ValueError`` that says so."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

ARRAY, ARRAYS = ".npy", ".npz"

_ZIP_MARK = b"PK"
_MOST_UNPACKED_BYTES = 256 << 20
_LARGEST_RATIO = 64
"""What an .npz may unpack to: 256 MiB, and 64 times its own size where that is more."""
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Return the array of a .npy file.

    Args:
        mapped: Only the header is read at once, and of the values those that are asked for.

    Raises:
        ValueError: It is no .npy file, or cut short.
    """
    with _described():
        if _is_zip(path):
            raise ValueError("is an .npz file with another name")
        # Mapping it holds the size that its header announces against the file's, before memory is taken.
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.asarray(content) if mapped else np.array(content)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name.

    Raises:
        ValueError: It is no .npz file, damaged, or unpacks to far more than its own size.
    """
    with _described(), _opened(path) as content:
        return {name: content[name] for name in content.files}


def read_named_array(path: Path, name: str) -> NDArray[Any]:
    """Return the array of a .npy file, or the one of that name in an .npz file.

    Raises:
        ValueError: It is neither, damaged, or has no array of that name.
    """
    with _described():
        if not _is_zip(path):
            return read_array(path)
        with _opened(path) as content:
            return np.asarray(content[name])


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file.

    Raises:
        ValueError: It is no .npz file.
    """
    with _described(), _opened(path) as content:
        return list(content.files)


def _opened(path: Path) -> NpzFile:
    if not _is_zip(path):
        raise ValueError("is no .npz file, or a .npy file with another name")
    _require_honest_sizes(path)
    content = np.load(path, allow_pickle=False)
    assert isinstance(content, NpzFile)
    return content


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_ZIP_MARK)) == _ZIP_MARK


def _require_honest_sizes(path: Path) -> None:
    """Refuse archives that unpack to far more than they are, and arrays that announce more than they have."""
    limit_bytes = max(_MOST_UNPACKED_BYTES, _LARGEST_RATIO * path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        unpacked_bytes = sum(info.file_size for info in archive.infolist())
        if unpacked_bytes > limit_bytes:
            raise ValueError(f"unpacks to {unpacked_bytes} bytes; {limit_bytes} are the most for its size")
        for info in archive.infolist():
            with archive.open(info) as member:
                read_header = _HEADER_READERS.get(np.lib.format.read_magic(member))
                if read_header is None:
                    raise ValueError(f"{info.filename} is no plain array")
                shape, _, dtype = read_header(member)
            if math.prod(shape) * dtype.itemsize > info.file_size:
                raise ValueError(f"{info.filename} announces the shape {shape} and is shorter")


@contextmanager
def _described() -> Iterator[None]:
    """Turn what zipfile, zlib and numpy raise on damaged files, which is documented nowhere, into ValueError."""
    try:
        yield
    except ValueError:
        raise
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
