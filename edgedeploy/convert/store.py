"""The cache of conversions: ``models/KEY/`` holds the two model files, ``conversion.json`` and comparisons."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedeploy import modelcache
from edgedeploy.artifacts import (
    Comparison,
    ComparisonLimits,
    ModelOutput,
    OutputComparison,
    Sample,
    canonical_json,
)
from edgedeploy.files import write_whole
from edgedeploy.modelcache import PARAM_NAME, WEIGHTS_NAME
from edgedeploy.paths import cache_dir
from edgedeploy.reading import load_json

RECIPE = 2
"""Raise it with every change to how models are prepared, converted or compared: old entries are then left alone."""

RECORD_NAME = "conversion.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One conversion on disk. ``input_names`` are the engine's, in the order of the specs in the key."""

    directory: Path
    input_names: tuple[str, ...]
    outputs: tuple[ModelOutput, ...]

    @property
    def param(self) -> Path:
        return self.directory / PARAM_NAME

    @property
    def weights(self) -> Path:
        return self.directory / WEIGHTS_NAME


def conversion_key(document: dict[str, Any]) -> str:
    """Return the entry's name: a hash over everything that goes into the conversion."""
    return modelcache.entry_key(RECIPE, document)


def samples_key(samples: Sequence[Sample]) -> str:
    """Return a hash over the samples' tensors."""
    digest = hashlib.sha256()
    for sample in samples:
        for name, tensor in sorted(sample.tensors.items()):
            digest.update(f"{name} {tensor.shape} {tensor.dtype}\n".encode())
            digest.update(tensor.tobytes())
    return digest.hexdigest()[:32]


def find_entry(key: str) -> Entry | None:
    """Return a whole, undamaged conversion, or None. A damaged one is removed."""
    return modelcache.find_whole(models_dir() / key, _read)


def scratch_directory() -> AbstractContextManager[Path]:
    """Give a directory on the cache's file system, removed at the end."""
    return modelcache.scratch_directory(models_dir())


def add_entry(
    key: str, scratch: Path, *, param: Path, weights: Path, input_names: Sequence[str], outputs: Sequence[ModelOutput]
) -> Entry:
    """Put a conversion into the cache; it appears whole or not at all.

    Raises:
        OSError: The cache cannot be written.
    """
    made = modelcache.begin_entry(scratch)
    shutil.copyfile(param, made / PARAM_NAME)
    shutil.copyfile(weights, made / WEIGHTS_NAME)
    record = {
        "inputs": list(input_names),
        "outputs": [asdict(item) for item in outputs],
        "sha256": modelcache.model_hashes(made),
    }
    (made / RECORD_NAME).write_bytes(canonical_json(record))
    return modelcache.keep_entry(made, models_dir() / key, _read)


def find_comparison(entry: Entry, key: str) -> Comparison | None:
    """Return a stored comparison, or None where there is none that can be read."""
    try:
        document = load_json(_comparison_path(entry, key).read_text(encoding="utf-8"))
        return Comparison(
            reference=document["reference"],
            samples=document["samples"],
            limits=ComparisonLimits(**document["limits"]),
            outputs=tuple(OutputComparison(**{**item, "shape": tuple(item["shape"])}) for item in document["outputs"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def add_comparison(entry: Entry, key: str, comparison: Comparison) -> None:
    """Store a comparison; the file appears whole or not at all."""
    write_whole(_comparison_path(entry, key), canonical_json(asdict(comparison)))


def models_dir() -> Path:
    """Return the directory of all conversions."""
    return cache_dir() / "models"


def _read(directory: Path) -> Entry | None:
    record = load_json((directory / RECORD_NAME).read_text(encoding="utf-8"))
    outputs = tuple(ModelOutput(**{**item, "shape": tuple(item["shape"])}) for item in record["outputs"])
    entry = Entry(directory=directory, input_names=tuple(record["inputs"]), outputs=outputs)
    return entry if record["sha256"] == modelcache.model_hashes(directory) else None


def _comparison_path(entry: Entry, key: str) -> Path:
    return entry.directory / f"comparison-{key}.json"
