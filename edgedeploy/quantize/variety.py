"""Whether calibration items say anything: that not all of them are the same, and not all of them plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import CalibrationDataError

_SPATIAL_DIMENSIONS = 4
"""Batch, channels, height, width."""


class Variety:
    """What is known of the items so far; settled, and nearly free, as soon as two differ and one is not plain."""

    def __init__(self) -> None:
        self._first: Mapping[str, FloatArray] | None = None
        self._same = True
        self._plain = True
        self._items = 0

    def add(self, tensors: Mapping[str, FloatArray]) -> None:
        """Take one item in.

        Args:
            tensors: Input -> float32, batch first.
        """
        self._items += 1
        self._plain = self._plain and _is_plain(tensors)
        if self._first is None:
            self._first = tensors
        elif self._same:
            self._same = _are_same(self._first, tensors)

    def merge(self, other: Variety) -> None:
        """Take in what another has seen."""
        self._items += other._items
        self._plain = self._plain and other._plain
        self._same = self._same and other._same
        if self._first is None:
            self._first = other._first
        elif self._same and other._first is not None:
            self._same = _are_same(self._first, other._first)

    def require(self) -> None:
        """Check that the items can be calibrated with.

        Raises:
            CalibrationDataError: There is more than one and all are the same, or every one is an image of one color.
        """
        if self._items and self._plain:
            raise CalibrationDataError(
                f"all {self._items} calibration items are images of one color",
                hint="calibrate with images as the model meets them in use",
            )
        if self._items > 1 and self._same:
            raise CalibrationDataError(
                f"all {self._items} calibration items are the same",
                hint="calibrate with different images; if there is only one, give it once",
            )


def _are_same(first: Mapping[str, FloatArray], other: Mapping[str, FloatArray]) -> bool:
    return all(np.array_equal(first[name], other[name]) for name in first)


def _is_plain(tensors: Mapping[str, FloatArray]) -> bool:
    """Whether each channel of each input is one number; only of images, where it means something."""
    shapes = [tensor.shape for tensor in tensors.values()]
    if any(len(shape) < _SPATIAL_DIMENSIONS or _positions(shape) == 1 for shape in shapes):
        return False
    return all(_channels_are_constant(tensor) for tensor in tensors.values())


def _positions(shape: Sequence[int]) -> int:
    return int(np.prod(shape[2:]))


def _channels_are_constant(tensor: FloatArray) -> bool:
    channels = tensor.reshape(tensor.shape[1], -1)
    return bool((channels == channels[:, :1]).all())
