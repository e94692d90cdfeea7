"""Maximum pooling in numpy, as the engine defines it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class PoolWindow:
    """Width and height of each; ``full``: a partial window at the end counts. Padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int] = (0, 0)
    full: bool = False

    @property
    def parameters(self) -> str:
        pairs = {1: self.kernel[0], 11: self.kernel[1], 2: self.stride[0], 12: self.stride[1]}
        pairs |= {3: self.pad[0], 13: self.pad[1], 5: 0 if self.full else 1}
        return "0=0 " + " ".join(f"{key}={value}" for key, value in pairs.items())

    def outputs(self, size: int, axis: int) -> int:
        rest = size + 2 * self.pad[axis] - self.kernel[axis]
        return (-(-rest // self.stride[axis]) if self.full else rest // self.stride[axis]) + 1

    def maxima(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the largest of each window; ``values`` is channels, height, width of any type."""
        channels, height, width = values.shape
        made = np.empty((channels, self.outputs(height, 1), self.outputs(width, 0)), values.dtype)
        for y in range(made.shape[1]):
            for x in range(made.shape[2]):
                top, left = y * self.stride[1] - self.pad[1], x * self.stride[0] - self.pad[0]
                seen = values[:, max(top, 0) : top + self.kernel[1], max(left, 0) : left + self.kernel[0]]
                made[:, y, x] = seen.max(axis=(1, 2))
        return made
