"""Random numbers whose bits depend on the seed alone: not on the platform, nor on NumPy's version."""

from __future__ import annotations

from math import sqrt

import numpy as np

from edgedeploy.graph.passes.linear import Values

_MANTISSA_BITS = 53
_RAW_BITS = 64


class UniformStream:
    """Draws from one generator, one array after the other.

    NumPy keeps what its bit generators put out, and may change what its distributions make of it: the numbers are made
    of the bits here.

    Args:
        seed: One number, or several that stand for one.
    """

    def __init__(self, seed: int | tuple[int, ...]) -> None:
        self._bits = np.random.PCG64(seed)

    def draw(self, shape: tuple[int, ...], deviation: float) -> Values:
        """Return numbers around zero with this standard deviation; the largest magnitude is sqrt(3) times that.

        Example:
            >>> UniformStream(1).draw((2, 3), 0.1).shape
            (2, 3)
        """
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64)
        shares = (raw >> np.uint64(_RAW_BITS - _MANTISSA_BITS)).astype(np.float64) * 2.0**-_MANTISSA_BITS
        return np.asarray(((2.0 * shares - 1.0) * (sqrt(3.0) * deviation)).reshape(shape))
