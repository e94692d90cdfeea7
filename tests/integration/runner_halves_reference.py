"""What the operator pack's int8 layers write where they write halves, in numpy and to the last bit.

A port of csrc/layers/halves_epilogue.cpp: the offset takes the middle of the floats that step by one back out of sums
that start there, or of eighths of longer ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from runner_layer_reference import CLIP, MIDDLE, RELU, Codes, Halves, fused, largest_sums, quantize, sums_of
from runner_models import ConvolutionCase, FloatArray, Int8Arrays

ROOM = 2.0**22 - 2
GOOD_ERROR = 1 / 1024
MAX_ERROR = 4 * GOOD_ERROR
MAX_SCALE_STEPS = 16
SHIFTED = 8
HALF_SHIFT = 13
HALF_EXPONENT_SHIFT = 112
LARGEST_HALF = 65504.0
WITHOUT_SMMLA = ("cortex-a76",)
"""Whose kernel takes longer sums in eighths, and halves behind a ReLU from their bits."""
SHIFTS = np.array([step // 2 if step % 2 == 0 else -((step + 1) // 2) for step in range(16384)], np.float64)


def fold_with(scale: np.float32, bias: np.float32, largest: float, sums: int) -> tuple[float, float] | None:
    """Where a channel's sums start, from the middle, and the offset; ``sums``: how many a step stands for."""
    wide = abs(float(scale))
    offset = float(bias) - (MIDDLE * sums + SHIFTS) * float(scale)
    rounded = offset.astype(np.float32)
    error = np.abs(rounded.astype(np.float64) - offset)
    error[np.logical_or.accumulate(np.abs(SHIFTS) + largest > ROOM * sums)] = np.inf
    good = np.flatnonzero(error <= GOOD_ERROR * sums * wide)
    # The last of the best, where none is good: the program takes what is no worse than what it has.
    best = good[0] if good.size else len(error) - 1 - np.argmin(error[::-1])
    return (SHIFTS[best], float(rounded[best])) if error[best] <= MAX_ERROR * sums * wide else None


def fold(scale: np.float32, bias: np.float32, largest: float, sums: int) -> tuple[float, float, float] | None:
    """Start, offset and the scale of one sum, or None where the channel cannot be folded."""
    moved = np.float32(scale)
    for _ in range(MAX_SCALE_STEPS + 1):
        folded = fold_with(moved, bias, largest, sums)
        if folded is not None:
            return (*folded, float(moved))
        moved = np.nextafter(moved, np.float32(0))
    return None


def folded_values(
    sums: NDArray[np.int64], largest: NDArray[np.float64], scale: FloatArray, bias: FloatArray, *, shifts: bool
) -> FloatArray | None:
    """What halves are rounded from, or None where not all channels can be folded."""
    for step in (1, SHIFTED) if shifts else (1,):
        channels = [fold(*channel, step) for channel in zip(scale, bias, largest, strict=True)]
        if None in channels:
            continue
        start, offset, moved = np.array(channels, np.float64).T[:, :, None, None]
        steps = start + sums if step == 1 else np.floor((start + sums + step // 2) / step)
        return fused((MIDDLE + steps).astype(np.float32), (moved * step).astype(np.float32), offset.astype(np.float32))
    return None


def rectified_halves(
    sums: NDArray[np.int64], largest: NDArray[np.float64], scale: FloatArray, bias: FloatArray
) -> Halves | None:
    """Halves behind a ReLU, ties upwards, or None where sums are too long or a value may be beyond the halves.

    They are the bits of floats 2^-112 times as large, but for the last ones.
    """
    channels = [fold(*channel, 1) for channel in zip(scale, bias, largest, strict=True)]
    if None in channels:
        return None
    start, offset, moved = np.array(channels, np.float64).T[:, :, None, None]
    farthest = np.abs((MIDDLE + start) * moved + offset).ravel() + largest * np.abs(moved).ravel()
    if (farthest > LARGEST_HALF).any():
        return None
    small = 2.0**-HALF_EXPONENT_SHIFT
    value = fused(
        ((MIDDLE + start + sums) * small).astype(np.float32),
        moved.astype(np.float32),
        (offset * small).astype(np.float32),
    )
    bits = np.maximum(np.ascontiguousarray(value).view(np.int32), 0).astype(np.int64)
    return ((bits + (1 << HALF_SHIFT - 1)) >> HALF_SHIFT).astype(np.uint16).view(np.float16)


def halves_of(
    case: ConvolutionCase,
    arrays: Int8Arrays,
    values: FloatArray | Codes | Halves,
    *,
    core: str,
    not_negative: bool = False,
) -> Halves:
    """A convolution's output in half precision, on a core that has it."""
    shifts = core in WITHOUT_SMMLA
    kind, limits = case.activation
    codes = values if values.dtype == np.int8 else quantize(values.astype(np.float32), arrays.input_scale)
    sums = sums_of(case, arrays.weights, codes.astype(np.int8))
    scale = np.float32(1) / (arrays.input_scale * arrays.weight_scales)
    not_negative = not_negative and case.pad_code >= 0 and arrays.input_scale > 0
    largest = largest_sums(arrays.weights, not_negative=not_negative)
    value = folded_values(sums, largest, scale, arrays.bias, shifts=shifts)
    if value is not None and shifts and kind == RELU:
        rectified = rectified_halves(sums, largest, scale, arrays.bias)
        if rectified is not None:
            return rectified
    if value is None:
        value = fused(sums.astype(np.float32), scale[:, None, None], arrays.bias[:, None, None])
    low, high = {RELU: (0.0, np.inf), CLIP: tuple(limits)}.get(kind, (-np.inf, np.inf))
    return np.minimum(np.maximum(value, np.float32(low)), np.float32(high)).astype(np.float16)
