"""The threshold that loses least information, as the engine's own calibration tool takes it.

A histogram of 2048 bins up to the largest magnitude, zeros left out. For every number of bins that is kept, from 128
up: what lies beyond is added to the last bin kept; the kept bins are averaged in 128 levels of equal width, at whose
borders bins are divided; and the divergence of the averaged from the clipped histogram is measured, both with a small
number added everywhere. The threshold is half a bin above the best number of bins.

Source: Migacz, 8-bit Inference with TensorRT, GTC 2017; the details are those of the engine's ``ncnn2table``. All
numbers of bins are tried at once, and a level's bins share one logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.quantize.blob_statistics import BlobStatistics

KL_BINS = 2048
LEVELS = 128

_EPSILON = 1e-4

Values = NDArray[np.float64]
Indices = NDArray[np.intp]


def kl_threshold(statistics: BlobStatistics) -> float:
    """Return the threshold of a blob that is not all zero.

    The bins of calibration are narrower and end elsewhere: one that lies across a border is divided as if its values
    were spread evenly.
    """
    absmax = statistics.absmax
    return (best_bins(_rebinned(statistics, absmax)) + 0.5) * absmax / KL_BINS


def best_bins(histogram: NDArray[Any]) -> int:
    """Return the number of bins to keep, from ``LEVELS`` to ``KL_BINS - 1``; ``LEVELS`` where nothing was counted.

    Args:
        histogram: ``(KL_BINS,)``, of magnitudes without zeros.
    """
    total = float(histogram.sum())
    return LEVELS + int(np.argmin(divergences(histogram / total))) if total > 0 else LEVELS


def divergences(share: Values) -> Values:
    """Return the divergence for each number of bins kept, float64 ``(KL_BINS - LEVELS,)``.

    Args:
        share: ``(KL_BINS,)``, of the values in each bin; they add up to 1.
    """
    borders = _borders()
    cumulated = np.concatenate([[0.0], np.cumsum(share)])
    divided = np.append(share, 0.0)[borders.floor]
    level = np.diff(cumulated[borders.floor] + borders.part * divided) / borders.width
    beyond = cumulated[-1] - cumulated[borders.kept]
    whole = cumulated[borders.upper] - cumulated[borders.lower] + _EPSILON * (borders.upper - borders.lower)
    whole[:, -1] += beyond
    cross = (whole * np.log(level + _EPSILON)).sum(axis=1)
    # Bins that two levels share; the outermost borders divide none.
    inner = borders.part[:, 1:-1]
    mixed = inner * level[:, :-1] + (1 - inner) * level[:, 1:] + _EPSILON
    cross += ((inner > 0) * (divided[:, 1:-1] + _EPSILON) * np.log(mixed)).sum(axis=1)
    return np.asarray(_clipped_entropy(share, beyond, borders.kept) - cross)


def _clipped_entropy(share: Values, beyond: Values, kept: Indices) -> Values:
    """Sum of ``p log p`` over the bins kept, the last of which has all that lies beyond as well."""
    shares = share + _EPSILON
    cumulated = np.concatenate([[0.0], np.cumsum(shares * np.log(shares))])
    last = shares[kept - 1] + beyond
    return np.asarray(cumulated[kept - 1] + last * np.log(last))


@dataclass(frozen=True)
class _Borders:
    """Where levels begin and end, a row for each number of bins kept; in bins."""

    kept: Indices
    width: Values
    """Of a level, ``(rows, 1)``."""
    floor: Indices
    """The bin in which each of the ``LEVELS + 1`` borders lies,"""
    part: Values
    """and how much of that bin lies before the border."""
    lower: Indices
    """The first bin that is wholly within each level,"""
    upper: Indices
    """and the one after the last."""


@cache
def _borders() -> _Borders:
    kept = np.arange(LEVELS, KL_BINS, dtype=np.intp)
    # In whole 128ths of a bin, so that no rounding moves a border off a bin's edge.
    parts = np.arange(LEVELS + 1, dtype=np.intp) * kept[:, np.newaxis]
    floor, rest = np.divmod(parts, LEVELS)
    lower = (floor + (rest > 0))[:, :-1]
    return _Borders(kept, kept[:, np.newaxis] / LEVELS, floor, rest / LEVELS, lower, floor[:, 1:])


def _rebinned(statistics: BlobStatistics, absmax: float) -> Values:
    counts = statistics.histogram.astype(np.float64)
    counts[0] -= statistics.zeros
    borders = np.linspace(0.0, absmax / statistics.edge * len(counts), KL_BINS + 1)
    cumulated = np.concatenate([[0.0], np.cumsum(counts)])
    below = np.interp(borders, np.arange(len(counts) + 1), cumulated)
    # The largest magnitude lies within a bin, all of which is below it.
    below[-1] = cumulated[-1]
    return np.diff(below)
