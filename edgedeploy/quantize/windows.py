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

SAME_UPPER = -233
SAME_LOWER = -234

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


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A convolution's kernel on its input: (height, width) each, pads in elements."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the input that one window spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))  # type: ignore[return-value]


def geometry_of(layer: Layer, height: int, width: int) -> Geometry:
    """Return how a 2-D convolution moves over an input of that size.

    Source: ``make_padding`` and ``load_param`` in the engine's src/layer/convolution.cpp.
    """
    kernel_width, dilation_width, stride_width = layer.integer(1, 0), layer.integer(2, 1), layer.integer(3, 1)
    kernel = (layer.integer(11, kernel_width), kernel_width)
    dilation = (layer.integer(12, dilation_width), dilation_width)
    stride = (layer.integer(13, stride_width), stride_width)
    left = layer.integer(4, 0)
    top = layer.integer(14, left)
    if left in (SAME_UPPER, SAME_LOWER):
        pads = tuple(
            _same_pads(size, k, s, d, upper=left == SAME_UPPER)
            for size, k, s, d in zip((height, width), kernel, stride, dilation, strict=True)
        )
        return Geometry(kernel=kernel, stride=stride, dilation=dilation, pads=(pads[0], pads[1]))
    vertical, horizontal = (top, layer.integer(16, top)), (left, layer.integer(15, left))
    return Geometry(kernel=kernel, stride=stride, dilation=dilation, pads=(vertical, horizontal))


def _same_pads(size: int, kernel: int, stride: int, dilation: int, *, upper: bool) -> tuple[int, int]:
    total = max(0, dilation * (kernel - 1) + 1 + (size - 1) // stride * stride - size)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


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


def _convolution_windows(layer: Layer, blob: FloatArray, limit: int, seed: tuple[int, ...]) -> Windows:
    geometry = geometry_of(layer, blob.shape[1], blob.shape[2])
    padded = np.pad(blob, ((0, 0), *geometry.pads), constant_values=pad_value_of(layer))
    views = np.lib.stride_tricks.sliding_window_view(padded, geometry.extent, axis=(1, 2))
    views = views[:, :: geometry.stride[0], :: geometry.stride[1], :: geometry.dilation[0], :: geometry.dilation[1]]
    height, width = views.shape[1:3]
    chosen = _choose(layer.name, height * width, limit, seed)
    taken = views[:, chosen // width, chosen % width].transpose(1, 0, 2, 3)
    return np.ascontiguousarray(taken).reshape(len(chosen), groups_of(layer), -1)


def _choose(name: str, count: int, limit: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    if count <= limit:
        return np.arange(count)
    random = np.random.default_rng((zlib.crc32(name.encode()), *seed))
    return np.sort(random.choice(count, size=limit, replace=False))
