"""The threshold of a blob: the magnitude that gets the code 127, chosen from the histogram of its values.

What a method needs of the distribution comes from ``BlobStatistics``: the exact largest magnitude, and a histogram with
at least ``BINS / 2`` bins below it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgedeploy.quantize.blob_statistics import BlobStatistics
from edgedeploy.quantize.choices import LARGEST_CODE
from edgedeploy.quantize.kl import kl_threshold
from edgedeploy.quantize.settings import Calibrator

DEFAULT_PERCENTILE = 99.99

_CANDIDATES = 96
"""Thresholds that the search for the least error on the histogram tries: equal parts of the largest magnitude."""
_FINE_CANDIDATES = 17
"""More of them, from the neighbour below the best one to the neighbour above."""

Values = NDArray[np.float64]


def threshold(statistics: BlobStatistics, calibrator: Calibrator, percentile: float = DEFAULT_PERCENTILE) -> float:
    """Return the threshold of a blob.

    Args:
        statistics: Of the blob.
        calibrator: The method. ``MSE`` is the least square error of the values themselves; the search for the least
            error of the outputs of the layers that read the blob needs these layers, and is elsewhere.
        percentile: Share of the magnitudes that are not clipped, in percent, for ``PERCENTILE``.

    Returns:
        Above 0 and at most the largest magnitude; 0.0 where all values are zero: no data flow through the blob.

    Example:
        >>> threshold(statistics, Calibrator.PERCENTILE, 99.9)
        4.87
    """
    absmax = statistics.absmax
    if absmax == 0 or not statistics.histogram.any():
        return absmax
    match calibrator:
        case Calibrator.ABSMAX:
            return absmax
        case Calibrator.PERCENTILE:
            return _percentile(statistics, percentile)
        case Calibrator.KL:
            return kl_threshold(statistics)
        case Calibrator.MSE:
            return _least_square_error(statistics)


def _percentile(statistics: BlobStatistics, percentile: float) -> float:
    """Interpolate within the bin in which the share is reached, as if its values were spread evenly."""
    cumulated = np.cumsum(statistics.histogram)
    wanted = cumulated[-1] * min(max(percentile, 0.0), 100.0) / 100
    place = int(np.searchsorted(cumulated, wanted))
    before = cumulated[place - 1] if place else 0
    within = (wanted - before) / statistics.histogram[place] if statistics.histogram[place] else 1.0
    width = statistics.edge / len(statistics.histogram)
    # At least one bin: half the values of a sparse blob are zeros, and a threshold of 0 would clip all others.
    return min(max(place + float(within), 1.0) * width, statistics.absmax)


def _least_square_error(statistics: BlobStatistics) -> float:
    """Try thresholds over the whole range, then more of them around the best."""
    used = int(statistics.absmax / statistics.edge * len(statistics.histogram)) + 1
    counts = statistics.histogram[:used].astype(np.float64)
    counts[0] -= statistics.zeros
    errors = _SquareErrors(counts, statistics.edge / len(statistics.histogram))
    step = statistics.absmax / _CANDIDATES
    best = errors.smallest([step * index for index in range(1, _CANDIDATES + 1)])
    around = np.clip(best + step * np.linspace(-1, 1, _FINE_CANDIDATES), step / 2, statistics.absmax)
    return errors.smallest([float(limit) for limit in around])


class _SquareErrors:
    """What thresholds cost. A bin's error is that of its middle; steps finer than bins are taken to be hit evenly.

    Args:
        counts: Of each bin from 0 on, zeros left out.
        width: Of a bin.
    """

    def __init__(self, counts: Values, width: float) -> None:
        self._counts = counts
        self._width = width
        self._middles = np.asarray((np.arange(len(counts)) + 0.5) * width, dtype=np.float64)
        self._cumulated = np.concatenate([[0.0], np.cumsum(counts)])

    def smallest(self, tried: Sequence[float]) -> float:
        """Return the threshold with the smallest error."""
        return min(tried, key=self._error)

    def _error(self, limit: float) -> float:
        kept = int(np.searchsorted(self._middles, limit))
        step = limit / LARGEST_CODE
        if step > self._width:
            codes = self._middles[:kept] / step
            rounding = step * step * float(self._counts[:kept] @ np.square(codes - np.rint(codes)))
        else:
            rounding = step * step / 12 * float(self._cumulated[kept])
        return rounding + float(self._counts[kept:] @ np.square(self._middles[kept:] - limit))
