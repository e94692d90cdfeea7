"""Reads every item that is used once: which cannot be used, and a hash over the rest, by which results are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edgedeploy.errors import MissingFileError, ShapeMismatchError, UnreadableInputError
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.items import Data, Item

_READERS = 2
_SHOWN_FAULTS = 50


@dataclass(frozen=True, kw_only=True)
class DataDigest:
    """What was read: the items' names in order, a SHA-256 over names, labels and tensors, and how many have a label."""

    names: tuple[str, ...]
    sha256: str
    labelled: int


def read_all(data: Data, indices: Sequence[int], *, progress: Progress = SILENT) -> DataDigest:
    """Load every item once.

    Raises:
        UnreadableInputError: Lists all that cannot be loaded.
    """
    with progress.task(f"Reading {len(indices)} items") as task, ThreadPoolExecutor(_READERS) as pool:
        names: list[str] = []
        faults: list[str] = []
        total = hashlib.sha256()
        labelled = 0
        for done, (name, digest, has_label, fault) in enumerate(pool.map(lambda index: _read(data, index), indices), 1):
            task.update(done, len(indices))
            names.append(name)
            total.update(digest)
            labelled += has_label
            if fault:
                faults.append(f"  {fault}")
    if faults:
        rest = len(faults) - _SHOWN_FAULTS
        shown = faults[:_SHOWN_FAULTS] + ([f"  and {rest} more"] if rest > 0 else [])
        raise UnreadableInputError(
            f"{len(faults)} of {len(indices)} items cannot be used:\n" + "\n".join(shown),
            hint="mend or remove them",
        )
    return DataDigest(names=tuple(names), sha256=total.hexdigest(), labelled=labelled)


def _read(data: Data, index: int) -> tuple[str, bytes, bool, str]:
    """Return name, digest, whether there is a label, and what is wrong."""
    try:
        item = data.item(index)
    except (UnreadableInputError, ShapeMismatchError, MissingFileError) as error:
        return "", b"", False, error.message
    return item.name, _digest(item), item.label is not None, ""


def _digest(item: Item) -> bytes:
    digest = hashlib.sha256(f"{item.name}\n{item.label}\n".encode(errors="surrogateescape"))
    for name, tensor in sorted(item.tensors.items()):
        digest.update(f"{name} {tensor.shape}\n".encode())
        digest.update(tensor.tobytes())
    return digest.digest()
