"""What has been seen of a network's blobs so far."""

from __future__ import annotations

import math

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import CalibrationDataError
from edgedeploy.quantize.blob_statistics import BlobStatistics, MagnitudeHistogram
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.probes import Observation, ProbedNetwork
from edgedeploy.quantize.variety import Variety

_MATRIX_DIMENSIONS = 2


class Accumulated:
    """What the items of one thread have shown; of constant size.

    Args:
        network: That shows them.
    """

    def __init__(self, network: ProbedNetwork) -> None:
        self.variety = Variety()
        self._network = network
        self._items = 0
        self._highest: FloatArray | None = None
        self._lowest: FloatArray | None = None
        self._whole: dict[str, tuple[FloatArray, FloatArray]] = {}
        self._histograms = {blob: MagnitudeHistogram() for blob in network.blobs}

    def add(self, item: Item, seen: Observation) -> None:
        """Take one item in.

        Raises:
            CalibrationDataError: A blob is not finite.
        """
        self._require_finite(item, seen)
        self.variety.add(item.tensors)
        self._widen(seen)
        for blob, sample in seen.samples.items():
            if not self._histograms[blob].add(sample):
                raise _not_finite(blob, item)
        self._items += 1

    def statistics(self) -> dict[str, BlobStatistics]:
        """Return the statistics of each blob; empty where no item was added."""
        return {blob: self._blob(blob) for blob in self._network.blobs} if self._items else {}

    def _widen(self, seen: Observation) -> None:
        if self._lowest is None or self._highest is None:
            self._lowest, self._highest = seen.ranges.copy(), seen.ranges.copy()
        np.minimum(self._lowest, seen.ranges, out=self._lowest)
        np.maximum(self._highest, seen.ranges, out=self._highest)
        for blob, values in seen.whole.items():
            lowest, highest = _channel_range(values)
            low, high = self._whole.get(blob, (lowest, highest))
            self._whole[blob] = np.minimum(low, lowest), np.maximum(high, highest)

    def _blob(self, blob: str) -> BlobStatistics:
        low, high = self._whole[blob] if blob in self._whole else self._probed(blob)
        histogram = self._histograms[blob]
        counts, edge = histogram.within(max(abs(float(low.min())), abs(float(high.max()))))
        return BlobStatistics(
            blob=blob,
            count=self._items * math.prod(self._network.shapes[blob]),
            channel_minimum=low,
            channel_maximum=high,
            histogram=counts,
            edge=edge,
            zeros=histogram.zeros,
        )

    def _probed(self, blob: str) -> tuple[FloatArray, FloatArray]:
        assert self._lowest is not None
        assert self._highest is not None
        place = self._network.places[blob]
        high = self._highest[place.maximum].copy()
        if place.minimum is None:
            return np.zeros_like(high), high
        return (-self._highest[place.minimum] if place.negated else self._lowest[place.minimum].copy()), high

    def _require_finite(self, item: Item, seen: Observation) -> None:
        for blob, values in seen.whole.items():
            if not np.isfinite(values).all():
                raise _not_finite(blob, item)
        if np.isfinite(seen.ranges).all():
            return
        # In the order of production: what follows from the first is not told.
        for blob, place in self._network.places.items():
            if not np.isfinite(seen.ranges[place.all]).all():
                raise _not_finite(blob, item)


def _channel_range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    channel_axis = 1 if values.ndim == _MATRIX_DIMENSIONS else 0
    axes = tuple(axis for axis in range(values.ndim) if axis != channel_axis)
    return values.min(axis=axes), values.max(axis=axes)


def _not_finite(blob: str, item: Item) -> CalibrationDataError:
    return CalibrationDataError(
        f"blob {blob} holds NaN or infinity on calibration item {item.name}",
        hint="check the item and the preprocessing; a model that overflows in float cannot be quantized",
    )
