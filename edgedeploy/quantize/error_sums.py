"""How far arrays are from their reference, as sums that add up over items: memory does not grow with the data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgedeploy.artifacts import FloatArray

SQNR_CAP_DB = 200.0
"""Stands for infinity, so that results stay valid JSON; float32 cannot show more than about 150 dB."""
_BLOCK = 8192
"""Elements that are summed at once: they stay in the cache, and the BLAS shares out to threads only more than 10,000,
which would make the last digits depend on how many there are."""


@dataclass(frozen=True, kw_only=True)
class ErrorSums:
    """Sums over elements, in float64.

    Args:
        signal: Squares of the reference.
        noise: Squares of the differences; infinite where a value is not finite and the reference's is another one.
        product: Reference times found.
        found: Squares of what was found.
    """

    signal: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    found: float = 0.0

    @classmethod
    def of(cls, expected: FloatArray, found: FloatArray) -> ErrorSums:
        """Return the sums of one pair of arrays.

        Args:
            expected: The reference, any shape.
            found: As many elements in the same order.

        Returns:
            For example ``ErrorSums(signal=14.0, noise=0.25, product=14.5, found=15.25)``. Elements that are not finite
            and the same on both sides do not count.
        """
        left, right = expected.ravel(), found.ravel()
        starts = range(0, left.size, _BLOCK)
        with np.errstate(invalid="ignore"):  # two infinities are looked at below
            sums = cls.total(_of_block(left[start : start + _BLOCK], right[start : start + _BLOCK]) for start in starts)
        if math.isfinite(sums.noise):
            return sums
        finite = np.isfinite(left) & np.isfinite(right)
        if np.array_equal(left[~finite], right[~finite], equal_nan=True):
            return cls.of(left[finite], right[finite])
        known = left[np.isfinite(left)]
        return cls(signal=cls.of(known, known).signal, noise=math.inf)

    @classmethod
    def total(cls, items: Iterable[ErrorSums]) -> ErrorSums:
        """Return the sum of several; the order of the items decides the last digits."""
        signal = noise = product = found = 0.0
        for item in items:
            signal, noise = signal + item.signal, noise + item.noise
            product, found = product + item.product, found + item.found
        return cls(signal=signal, noise=noise, product=product, found=found)

    @property
    def noise_share(self) -> float:
        """Noise over signal: 0.01 at 20 dB; of a signal of zeros as at the lowest SQNR there is."""
        return float(10.0 ** (-self.sqnr_db / 10.0)) if self.noise else 0.0

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio in decibels, between -200 and 200."""
        if self.noise == 0.0:
            return SQNR_CAP_DB
        if self.signal == 0.0 or math.isinf(self.noise):
            return -SQNR_CAP_DB
        return float(np.clip(10.0 * math.log10(self.signal / self.noise), -SQNR_CAP_DB, SQNR_CAP_DB))

    @property
    def cosine(self) -> float:
        """Cosine between the two; 1 for two of zeros, 0 where only one is, -1 where values are not finite."""
        if math.isinf(self.noise):
            return -1.0
        if self.noise == 0.0:
            return 1.0
        lengths = math.sqrt(self.signal) * math.sqrt(self.found)
        return max(-1.0, min(1.0, self.product / lengths)) if lengths else 0.0


def _of_block(expected: FloatArray, found: FloatArray) -> ErrorSums:
    left, right = expected.astype(np.float64), found.astype(np.float64)
    error = right - left
    return ErrorSums(
        signal=float(left @ left), noise=float(error @ error), product=float(left @ right), found=float(right @ right)
    )
