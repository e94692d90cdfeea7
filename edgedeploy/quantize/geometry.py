"""How a 2-D convolution moves over its input.

Source: ``make_padding`` and ``load_param`` in the engine's src/layer/convolution.cpp and convolutiondepthwise.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.model import Layer

SAME_UPPER = -233
SAME_LOWER = -234


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A convolution's kernel on an input of one size: (height, width) each, pads in elements before and after."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the input that one window spans."""
        (height, width), (down, right) = self.kernel, self.dilation
        return down * (height - 1) + 1, right * (width - 1) + 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the output for an input of that size."""
        sizes = zip((height, width), self.pads, self.extent, self.stride, strict=True)
        rows, columns = ((size + sum(pads) - extent) // stride + 1 for size, pads, extent, stride in sizes)
        return rows, columns

    def windows(self, image: NDArray[Any], pad_value: float) -> NDArray[Any]:
        """Return what each output sees.

        Args:
            image: ``(channels, height, width)``.
            pad_value: Of the elements around it.

        Returns:
            A view ``(channels, out height, out width, kernel height, kernel width)``.
        """
        padded = np.pad(image, ((0, 0), *self.pads), constant_values=pad_value)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.extent, axis=(1, 2))
        return views[:, :: self.stride[0], :: self.stride[1], :: self.dilation[0], :: self.dilation[1]]


def geometry_of(layer: Layer, height: int, width: int) -> Geometry:
    """Return how a 2-D convolution moves over an input of that size."""
    kernel_width, dilation_width, stride_width = layer.integer(1, 0), layer.integer(2, 1), layer.integer(3, 1)
    kernel = (layer.integer(11, kernel_width), kernel_width)
    dilation = (layer.integer(12, dilation_width), dilation_width)
    stride = (layer.integer(13, stride_width), stride_width)
    unpadded = Geometry(kernel=kernel, stride=stride, dilation=dilation, pads=((0, 0), (0, 0)))
    pads = _pads(layer, (height, width), unpadded.extent, stride)
    return Geometry(kernel=kernel, stride=stride, dilation=dilation, pads=pads)


def _pads(
    layer: Layer, size: tuple[int, int], extent: tuple[int, int], stride: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (top, bottom), (left, right)."""
    left = layer.integer(4, 0)
    top = layer.integer(14, left)
    right, bottom = layer.integer(15, left), layer.integer(16, top)
    sides = {left, right, top, bottom}
    if sides in ({SAME_UPPER}, {SAME_LOWER}):
        vertical, horizontal = (
            max(0, span + (length - 1) // step * step - length)
            for span, length, step in zip(extent, size, stride, strict=True)
        )
        return _halves(vertical, left == SAME_UPPER), _halves(horizontal, left == SAME_UPPER)
    if max(sides) <= 0:
        return (0, 0), (0, 0)
    return (top, bottom), (left, right)


def _halves(total: int, smaller_first: bool) -> tuple[int, int]:
    smaller = total // 2
    return (smaller, total - smaller) if smaller_first else (total - smaller, smaller)
