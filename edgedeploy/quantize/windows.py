"""What a layer's weights are multiplied with at single positions of its output: windows of its input.

A layer is a matrix product of its windows and its weights, so a few thousand windows out of real data stand for the
layer wherever its outputs are to be predicted: for ranges, for rounding, for accumulators.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D, groups_of, pad_value_of
from edgedeploy.quantize.geometry import geometry_of

Windows = NDArray[np.float32]
"""``(rows, groups, inputs of a group x kernel height x kernel width)``."""


@dataclass(frozen=True, kw_only=True)
class SampledWindows:
    """Windows of one layer over several items.

    Args:
        values: Rows of the first item first.
        items: Which item each row is of, int64 ``(rows,)``.
    """

    values: Windows
    items: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[Windows]) -> SampledWindows:
        """Join the windows of each item."""
        items = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return cls(values=np.concatenate(parts), items=items)


def windows_of(layer: Layer, blob: FloatArray, *, limit: int, seed: tuple[int, ...]) -> Windows:
    """Return windows of one input at positions chosen by the seed; all of them where there are fewer than ``limit``.

    Args:
        layer: A 2-D convolution or an inner product with weights.
        blob: Its input, float32, without batch.
        limit: Most rows.
        seed: Together with the layer's name it decides the positions, so that two runs see the same ones.
    """
    if layer.type in CONVOLUTIONS_2D and blob.ndim == 3:
        return _convolution_windows(layer, blob, limit, seed)
    inputs = layer.weight("weight").shape[1]
    rows = blob.reshape(-1, 1, inputs)
    chosen = _choose(layer.name, len(rows), limit, seed)
    return np.ascontiguousarray(rows[chosen])


def output_size_of(layer: Layer, blob: FloatArray) -> tuple[int, int] | None:
    """Return height and width of what a 2-D convolution makes of an image; None for anything else."""
    if layer.type not in CONVOLUTIONS_2D or blob.ndim != 3:
        return None
    height, width = blob.shape[1:]
    return geometry_of(layer, height, width).output_size(height, width)


def _convolution_windows(layer: Layer, blob: FloatArray, limit: int, seed: tuple[int, ...]) -> Windows:
    views = geometry_of(layer, *blob.shape[1:]).windows(blob, pad_value_of(layer))
    height, width = views.shape[1:3]
    chosen = _choose(layer.name, height * width, limit, seed)
    taken = views[:, chosen // width, chosen % width].transpose(1, 0, 2, 3)
    return np.ascontiguousarray(taken).reshape(len(chosen), groups_of(layer), -1)


def _choose(name: str, count: int, limit: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    if count <= limit:
        return np.arange(count)
    random = np.random.default_rng((zlib.crc32(name.encode()), *seed))
    return np.sort(random.choice(count, size=limit, replace=False))
