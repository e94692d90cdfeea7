"""Reads .npy and .npz files, whatever may be in them: everything that is wrong is a ``ValueError`` that says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

ARRAY, ARRAYS = ".npy", ".npz"


def read_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Return the array of a .npy file.

    Args:
        mapped: Only the header is read at once, and of the values those that are asked for.

    Raises:
        ValueError: It is no .npy file, or cut short.
    """
    with _described():
        content = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    if isinstance(content, NpzFile):
        content.close()
        raise ValueError("is an .npz file with another name")
    return np.asarray(content)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name.

    Raises:
        ValueError: It is no .npz file, or damaged.
    """
    with _described(), _opened(path) as content:
        return {name: content[name] for name in content.files}


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file.

    Raises:
        ValueError: It is no .npz file.
    """
    with _described(), _opened(path) as content:
        return list(content.files)


def _opened(path: Path) -> NpzFile:
    content = np.load(path, allow_pickle=False)
    if not isinstance(content, NpzFile):
        raise ValueError("is a .npy file with another name")
    return content


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
