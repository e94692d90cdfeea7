"""The cache of built-in networks: ``builtin_nets/KEY/`` holds the two model files and ``net.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy import modelcache
from edgedeploy.artifacts import canonical_json
from edgedeploy.graph import Graph, write_graph
from edgedeploy.modelcache import PARAM_NAME, WEIGHTS_NAME
from edgedeploy.paths import cache_dir
from edgedeploy.reading import load_json

RECIPE = 1
"""Raise it with every change to how built-in networks are made: old entries are then left alone."""

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
    return modelcache.entry_key(RECIPE, document)


def find_entry(key: str) -> Entry | None:
    """Return a whole, undamaged network, or None. A damaged one is removed."""
    return modelcache.find_whole(nets_dir() / key, _read)


def add_entry(
    key: str, graph: Graph, *, inputs: dict[str, tuple[int, int, int]], outputs: dict[str, tuple[int, ...]]
) -> Entry:
    """Put a network into the cache; it appears whole or not at all.

    Raises:
        OSError: The cache cannot be written.
    """
    with modelcache.scratch_directory(nets_dir()) as scratch:
        made = modelcache.begin_entry(scratch)
        write_graph(graph, made / PARAM_NAME, made / WEIGHTS_NAME)
        record = {"inputs": inputs, "outputs": outputs, "sha256": modelcache.model_hashes(made)}
        (made / RECORD_NAME).write_bytes(canonical_json(record))
        return modelcache.keep_entry(made, nets_dir() / key, _read)


def nets_dir() -> Path:
    """Return the directory of all built-in networks."""
    return cache_dir() / "builtin_nets"


def _read(directory: Path) -> Entry | None:
    record = load_json((directory / RECORD_NAME).read_text(encoding="utf-8"))
    entry = Entry(
        directory=directory,
        inputs={name: (shape[0], shape[1], shape[2]) for name, shape in record["inputs"].items()},
        outputs={name: tuple(shape) for name, shape in record["outputs"].items()},
    )
    return entry if record["sha256"] == modelcache.model_hashes(directory) else None
