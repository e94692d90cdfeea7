"""What calibration sees of each blob: exact ranges, and a histogram of magnitudes.

Ranges are of every value; the histogram is of a sample of positions (``edgedeploy.quantize.probes`` says which). Bins
end at powers of two, so that a histogram with a larger range is an exact sum of bins of one with a smaller range: what
is merged does not depend on the order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray

BINS = 8192
"""A power of two; between a half of them and all are below the largest magnitude."""

SMALLEST_EXPONENT = -100
"""No edge is below two to this power: the scale to bins stays a float32."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class BlobStatistics:
    """One blob over all items.

    A channel is an index of the first axis of a ``(C, H, W)`` or ``(C, D, H, W)`` blob, an element of a vector, and a
    column (an index of the last axis) of a matrix, since a matrix is a batch of rows to the layers that multiply it.

    Args:
        blob: Its name.
        count: Values seen; the ranges are theirs.
        channel_minimum: float32 ``(channels,)``. 0 where the layers before it leave nothing negative: a bound, exact
            or not.
        channel_maximum: float32 ``(channels,)``, exact.
        histogram: int64 ``(BINS,)``: how many sampled magnitudes lie in each of the equal bins over ``[0, edge)``.
        edge: A power of two above every magnitude.
        zeros: How many of the sampled values are zero; they are in the first bin.
    """

    blob: str
    count: int
    channel_minimum: FloatArray
    channel_maximum: FloatArray
    histogram: Counts
    edge: float
    zeros: int = 0

    @property
    def minimum(self) -> float:
        """The smallest value."""
        return float(self.channel_minimum.min())

    @property
    def maximum(self) -> float:
        """The largest value."""
        return float(self.channel_maximum.max())

    @property
    def absmax(self) -> float:
        """The largest magnitude."""
        return max(abs(self.minimum), abs(self.maximum))

    @property
    def sampled(self) -> int:
        """How many values the histogram holds."""
        return int(self.histogram.sum())

    def merge(self, other: BlobStatistics) -> BlobStatistics:
        """Return the statistics of both one's and the other's items, whichever is named first.

        Args:
            other: Of the same blob, with as many channels.
        """
        edge = max(self.edge, other.edge)
        return replace(
            self,
            count=self.count + other.count,
            channel_minimum=np.minimum(self.channel_minimum, other.channel_minimum),
            channel_maximum=np.maximum(self.channel_maximum, other.channel_maximum),
            histogram=_coarser(self.histogram, self.edge, edge) + _coarser(other.histogram, other.edge, edge),
            edge=edge,
            zeros=self.zeros + other.zeros,
        )


class MagnitudeHistogram:
    """Counts magnitudes; the range grows with what comes."""

    def __init__(self) -> None:
        self._counts: Counts = np.zeros(BINS, np.int64)
        self._edge = edge_above(0.0)
        self.zeros = 0

    def add(self, values: NDArray[Any]) -> bool:
        """Count values, float32 of any shape.

        Returns:
            False where one of them is not finite: then nothing was counted.
        """
        magnitudes = np.abs(values).ravel()
        largest = float(magnitudes.max(initial=0.0))
        if not math.isfinite(largest):
            return False
        self.zeros += magnitudes.size - int(np.count_nonzero(magnitudes))
        self._grow(largest)
        # By a power of two, so exact: a value's bin is the same whichever item comes first.
        magnitudes *= np.float32(BINS / self._edge)
        self._counts += np.bincount(magnitudes.astype(np.intp), minlength=BINS)
        return True

    def within(self, absmax: float) -> tuple[Counts, float]:
        """Return counts and edge, with an edge above ``absmax`` as well."""
        self._grow(absmax)
        return self._counts.copy(), self._edge

    def _grow(self, largest: float) -> None:
        edge = max(self._edge, edge_above(largest))
        if edge > self._edge:
            self._counts = _coarser(self._counts, self._edge, edge)
            self._edge = edge


def edge_above(magnitude: float) -> float:
    """Return the smallest power of two above a magnitude.

    Example:
        >>> edge_above(4.0), edge_above(5.9), edge_above(0.3)
        (8.0, 8.0, 0.5)
    """
    exponent = math.frexp(magnitude)[1] if magnitude else SMALLEST_EXPONENT
    return math.ldexp(1.0, max(exponent, SMALLEST_EXPONENT))


def _coarser(counts: Counts, edge: float, wanted: float) -> Counts:
    """The same counts in bins that are wider by a power of two."""
    ratio = round(wanted / edge) if wanted / edge < BINS else BINS
    grouped = counts.reshape(-1, ratio).sum(axis=1)
    return np.concatenate([grouped, np.zeros(BINS - len(grouped), np.int64)])
