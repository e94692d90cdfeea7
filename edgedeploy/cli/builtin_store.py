"""The cache of built-in networks: ``builtin_nets/KEY/`` holds the two model files and ``net.json``."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.artifacts import canonical_json
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph, write_graph
from edgedeploy.paths import cache_dir

RECIPE = 1
"""Raise it with every change to how built-in networks are made: old entries are then left alone."""

PARAM_NAME = "model.param"
WEIGHTS_NAME = "model.bin"
RECORD_NAME = "net.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network on disk. Shapes are without batch."""

    directory: Path
    inputs: dict[str, tuple[int, int, int]]
    outputs: dict[str, tuple[int, ...]]

    @property
    def param(self) -> Path:
        return self.directory / PARAM_NAME

    @property
    def weights(self) -> Path:
        return self.directory / WEIGHTS_NAME


def entry_key(document: dict[str, Any]) -> str:
    """Return the entry's name: a hash over everything that the network depends on."""
    return hashlib.sha256(canonical_json({"recipe": RECIPE, **document})).hexdigest()[:32]


def find_entry(key: str) -> Entry | None:
    """Return a whole, undamaged network, or None. A damaged one is removed."""
    directory = nets_dir() / key
    try:
        record = json.loads((directory / RECORD_NAME).read_text(encoding="utf-8"))
        entry = Entry(
            directory=directory,
            inputs={name: (shape[0], shape[1], shape[2]) for name, shape in record["inputs"].items()},
            outputs={name: tuple(shape) for name, shape in record["outputs"].items()},
        )
        whole = record["sha256"] == _hashes(directory)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        whole = False
    if whole:
        return entry
    shutil.rmtree(directory, ignore_errors=True)
    return None


def add_entry(
    key: str, graph: Graph, *, inputs: dict[str, tuple[int, int, int]], outputs: dict[str, tuple[int, ...]]
) -> Entry:
    """Put a network into the cache; it appears whole or not at all.

    Raises:
        OSError: The cache cannot be written.
    """
    nets_dir().mkdir(parents=True, exist_ok=True)
    directory = nets_dir() / key
    with tempfile.TemporaryDirectory(prefix=".making-", dir=nets_dir()) as name:
        made = Path(name) / "entry"
        made.mkdir()
        write_graph(graph, made / PARAM_NAME, made / WEIGHTS_NAME)
        record = {"inputs": inputs, "outputs": outputs, "sha256": _hashes(made)}
        (made / RECORD_NAME).write_bytes(canonical_json(record))
        try:
            made.rename(directory)
        except OSError:
            # Somebody else made the same network meanwhile; theirs is as good.
            other = find_entry(key)
            if other is None:
                raise
            return other
    return Entry(directory=directory, inputs=inputs, outputs=outputs)


def nets_dir() -> Path:
    """Return the directory of all built-in networks."""
    return cache_dir() / "builtin_nets"


def _hashes(directory: Path) -> dict[str, str]:
    return {name: file_sha256(directory / name) for name in (PARAM_NAME, WEIGHTS_NAME)}
