"""The cache of int8 models: ``quantized/KEY/`` holds the two model files and the record of how they came to be.

Where a calibration table can say the scales, it lies there too, with the float network that it belongs to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy import modelcache
from edgedeploy.errors import CalibrationTableError
from edgedeploy.files import file_sha256
from edgedeploy.graph.files import write_graph
from edgedeploy.graph.model import Graph
from edgedeploy.modelcache import PARAM_NAME, WEIGHTS_NAME
from edgedeploy.paths import cache_dir
from edgedeploy.quantfile import (
    RECORD_FILE,
    FileEntry,
    FilesRecord,
    QuantizationRecord,
    read_quantization,
    write_quantization,
)
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.table import table_of, write_table

RECIPE = 3
"""Raise it with every change to how models are quantized or judged: old entries are then left alone."""

TABLE_NAME = "model.table"
FLOAT_PARAM_NAME = "float.param"
FLOAT_WEIGHTS_NAME = "float.bin"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One int8 model on disk."""

    directory: Path
    record: QuantizationRecord

    @property
    def param(self) -> Path:
        return self.directory / PARAM_NAME

    @property
    def weights(self) -> Path:
        return self.directory / WEIGHTS_NAME

    @property
    def float_param(self) -> Path:
        """Of the float network that the table belongs to: after passes and equalisation."""
        return self.directory / FLOAT_PARAM_NAME

    @property
    def float_weights(self) -> Path:
        return self.directory / FLOAT_WEIGHTS_NAME

    @property
    def table(self) -> Path:
        """The calibration table in ncnn's text format.

        Raises:
            CalibrationTableError: The format cannot say this network's scales.
        """
        path = self.directory / TABLE_NAME
        if not path.is_file():
            raise CalibrationTableError(
                "this model has no calibration table: no layer is in int8, or a name has blanks in it",
                hint="leave --table out; the int8 model does without it",
            )
        return path


def quantization_key(document: dict[str, Any]) -> str:
    """Return the entry's name: a hash over everything that the result depends on."""
    return modelcache.entry_key(RECIPE, document)


def find_entry(key: str) -> Entry | None:
    """Return a whole, undamaged int8 model, or None. A damaged one is removed."""
    return modelcache.find_whole(quantized_dir() / key, _read)


def add_entry(
    key: str, model: Int8Model, float_graph: Graph, make_record: Callable[[FilesRecord], QuantizationRecord]
) -> Entry:
    """Put an int8 model into the cache; it appears whole or not at all.

    Args:
        model: Its network and its calibration table are written.
        float_graph: What it was made from, after passes and equalisation; written beside a table.
        make_record: Called with the written files' hashes.

    Raises:
        OSError: The cache cannot be written.
    """
    with modelcache.scratch_directory(quantized_dir()) as scratch:
        made = modelcache.begin_entry(scratch)
        write_graph(model.graph, made / PARAM_NAME, made / WEIGHTS_NAME)
        # The format cannot say every network's scales, and most people want none.
        with contextlib.suppress(CalibrationTableError):
            write_table(made / TABLE_NAME, table_of(model))
            write_graph(float_graph, made / FLOAT_PARAM_NAME, made / FLOAT_WEIGHTS_NAME)
        write_quantization(make_record(_files_of(made)), made / RECORD_FILE)
        return modelcache.keep_entry(made, quantized_dir() / key, _read)


def quantized_dir() -> Path:
    """Return the directory of all int8 models."""
    return cache_dir() / "quantized"


def _read(directory: Path) -> Entry | None:
    entry = Entry(directory=directory, record=read_quantization(directory / RECORD_FILE))
    return entry if _files_of(directory) == entry.record.files else None


def _files_of(directory: Path) -> FilesRecord:
    return FilesRecord(param=_file_of(directory / PARAM_NAME), weights=_file_of(directory / WEIGHTS_NAME))


def _file_of(path: Path) -> FileEntry:
    return FileEntry(name=path.name, sha256=file_sha256(path), size_bytes=path.stat().st_size)
