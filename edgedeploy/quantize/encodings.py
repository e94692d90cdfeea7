"""Chooses how every blob that int8 layers read is encoded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import (
    Activation,
    activation_of,
    activation_params_of,
    is_linear,
    output_channels,
    weight_of,
)
from edgedeploy.progress import Task
from edgedeploy.quantize.blob_statistics import BlobStatistics
from edgedeploy.quantize.calibrators import threshold
from edgedeploy.quantize.chains import Chains, can_shift
from edgedeploy.quantize.choices import Encoding
from edgedeploy.quantize.ranges import Reader, encoding_for, search_threshold
from edgedeploy.quantize.settings import Calibrator, RangeRule, Settings
from edgedeploy.quantize.windows import SampledWindows


def choose_encodings(
    graph: Graph,
    chains: Chains,
    *,
    statistics: Mapping[str, BlobStatistics],
    windows: Mapping[str, SampledWindows],
    settings: Settings,
    task: Task,
) -> dict[str, Encoding]:
    """Return the encoding of every source blob.

    Args:
        graph: In float.
        chains: With all candidates in int8.
        statistics: Of every source blob.
        windows: Of every int8 layer's input.
    """
    producers = wiring_of(graph).producers
    encodings: dict[str, Encoding] = {}
    for count, (source, names) in enumerate(chains.readers.items()):
        task.update(count, len(chains.readers), source)
        maker = producers[source]
        shifted = settings.ranges is RangeRule.SHIFTED and source in chains.handed_on and can_shift(maker)
        readers = [_reader(graph.layer(name), windows[name]) for name in names]
        chosen = _threshold(maker, statistics[source], readers, settings, shifted=shifted)
        encodings[source] = encoding_for(chosen, shifted=shifted)
    return encodings


def _threshold(
    maker: Layer, statistics: BlobStatistics, readers: Sequence[Reader], settings: Settings, *, shifted: bool
) -> float:
    limit = _upper_bound(maker)
    if settings.calibrator is Calibrator.MSE:
        return search_threshold(statistics, readers, shifted=shifted, limit=limit)
    return min(threshold(statistics, settings.calibrator, settings.percentile), limit)


def _reader(layer: Layer, windows: SampledWindows) -> Reader:
    return Reader(windows=windows, weight=weight_of(layer).reshape(output_channels(layer), -1))


def _upper_bound(maker: Layer) -> float:
    """Return the largest number that a layer's fused activation lets through."""
    clips = is_linear(maker) and activation_of(maker) is Activation.CLIP
    return activation_params_of(maker)[1] if clips and activation_params_of(maker)[0] >= 0 else math.inf
