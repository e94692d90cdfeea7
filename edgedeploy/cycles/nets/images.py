"""Inputs for the reference networks."""

from __future__ import annotations

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.cycles.nets.uniform import UniformStream

_SEED = 20261
_PATCH_PIXELS = 16
_PATCH_DEVIATION = 0.8
_GRAIN_DEVIATION = 0.6
"""Together a variance of one, which is what the weights are made for."""


def patterned_image(shape: tuple[int, int, int], index: int) -> FloatArray:
    """Return one of a fixed series of images: coloured patches with grain, zero mean, variance one.

    Grain alone would be the same image to a network that averages, whatever the seed.

    Args:
        shape: Channels, height, width.
        index: Which of the series.

    Returns:
        float32 ``(1, channels, height, width)``.
    """
    channels, height, width = shape
    stream = UniformStream((_SEED, index))
    rows, columns = -(-height // _PATCH_PIXELS), -(-width // _PATCH_PIXELS)
    patches = stream.draw((channels, rows, columns), _PATCH_DEVIATION)
    spread = patches.repeat(_PATCH_PIXELS, axis=1).repeat(_PATCH_PIXELS, axis=2)[:, :height, :width]
    return (spread + stream.draw(shape, _GRAIN_DEVIATION)).astype(np.float32)[np.newaxis]
