"""What the operator pack's int8 layers compute, in numpy and to the last bit.

The definition is csrc/kernels/sums_epilogue.h.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from runner_curve_reference import CURVES, LOG2_OF_E, Factors, fused
from runner_models import ConvolutionCase, FloatArray, Int8Arrays

CLAMPS = (0, 1, 3)
GATES = (2, 6, *CURVES)
IN_REGISTERS = (*CLAMPS, *GATES)
RELU, LEAKY_RELU, CLIP, SIGMOID, MISH = 1, 2, 3, 4, 5
LOWEST, HIGHEST = -127, 127
TOP_BYTE = 2.0**24

# Of results whose offset is folded into the start of their sums.
MIDDLE = 1.5 * 2**23
FOLD_ROOM = 2.0**22 - 2
BITS_OF_MIDDLE = 0x4B400000
ROOM_OF_BITS = 2.0**29
BEYOND_LIMITS = 130
MAX_FOLDED_CODE = 32766
MAX_FOLD_ERROR = 1 / 4096
GOOD_FOLD_ERROR = MAX_FOLD_ERROR / 16
MAX_SCALE_STEPS = 16
GATED_FOLD_STRIDE = 257
TRIES = np.array([step // 2 if step % 2 == 0 else -((step + 1) // 2) for step in range(2048)], np.float64)

Codes = NDArray[np.int8]
Halves = NDArray[np.float16]


def half_away(values: NDArray[np.floating]) -> FloatArray:
    """Round to whole numbers, halves away from zero, and clamp to the codes. Takes float32 that is rounded already."""
    wide = values.astype(np.float64)
    return np.clip(np.copysign(np.floor(np.abs(wide) + 0.5), wide), LOWEST, HIGHEST).astype(np.float32)


def quantize(values: FloatArray, scale: np.float32) -> Codes:
    return half_away(values * scale).astype(np.int8)


def largest_sums(weights: NDArray[np.int8], *, not_negative: bool) -> NDArray[np.float64]:
    """For each row of weights the distance from zero that no sum exceeds; ``not_negative``: no input code is."""
    wide = weights.astype(np.float64)
    positive, negative = np.maximum(wide, 0).sum(axis=1), np.maximum(-wide, 0).sum(axis=1)
    return np.asarray(HIGHEST * np.maximum(positive, negative) if not_negative else 128 * (positive + negative))


def folded_with(wide: float, codes_of_bias: float, largest: float, max_error: float) -> tuple[float, float] | None:
    """Where the sums of a channel with that scale start and what is added to the product.

    Of the starts that are a whole number of sums, the first that misses the bias by next to nothing, else the best.
    """
    codes = np.rint(MIDDLE * wide) + TRIES
    start = np.rint((codes + codes_of_bias) / wide)
    fits = np.abs(start - MIDDLE) + largest <= FOLD_ROOM
    error = np.abs(start * wide - codes - codes_of_bias)
    error[np.logical_or.accumulate(~fits)] = max_error
    good = np.flatnonzero(error <= GOOD_FOLD_ERROR)
    best = good[0] if good.size else np.argmin(error)
    return (start[best], MIDDLE - codes[best]) if error[best] < max_error else None


def folded_offset(scale: np.float32, bias: np.float32, largest: float) -> tuple[float, float, float] | None:
    """Start, offset and scale of a channel, or None where its results are not folded.

    A port of csrc/layers/epilogue.cpp's fold_channel: the scale is moved by steps of its last bit where it has to be.
    """
    codes_of_bias = float(bias)
    if abs(codes_of_bias) > MAX_FOLDED_CODE:
        return None
    matters = min(largest, np.ceil((BEYOND_LIMITS + abs(codes_of_bias)) / abs(float(scale))))
    above = below = np.float32(scale)
    for _ in range(MAX_SCALE_STEPS + 1):
        for moved in (above, below):
            shift = HIGHEST * abs(float(moved) / float(scale) - 1.0)
            if shift >= MAX_FOLD_ERROR:
                continue
            folded = folded_with(float(moved), codes_of_bias, matters, MAX_FOLD_ERROR - shift)
            if folded is not None and codes_fit(*folded, float(moved), largest):
                return (*folded, float(moved))
        above, below = np.nextafter(above, np.float32(np.inf)), np.nextafter(below, np.float32(-np.inf))
    return None


def codes_fit(start: float, offset: float, scale: float, largest: float) -> bool:
    """Whether the codes of all sums fit 16 bits, those of sums too that leave the floats that step by one."""
    ends = BITS_OF_MIDDLE + np.array([start - MIDDLE - largest, start - MIDDLE + largest])
    if largest >= ROOM_OF_BITS:
        return False
    codes = ends.astype(np.int32).view(np.float32).astype(np.float64) * scale + offset - MIDDLE
    return bool((np.abs(codes) <= MAX_FOLDED_CODE).all())


def folded_codes(
    sums: NDArray[np.int64], largest: NDArray[np.float64], scale: FloatArray, bias: FloatArray
) -> NDArray[np.float64] | None:
    """The codes before they are clamped, or None where not all channels can be folded."""
    channels = [
        folded_offset(factor, offset, most)
        for factor, offset, most in zip(scale.ravel(), bias.ravel(), largest, strict=True)
    ]
    if None in channels:
        return None
    start, offset, moved = np.array(channels, np.float64).T[:, :, None, None]
    value = fused((start + sums).astype(np.float32), moved.astype(np.float32), offset.astype(np.float32))
    return value.astype(np.float64) - MIDDLE


def as_written(value: float) -> np.float32:
    """The number that a layer's parameter is after it was written and read."""
    return np.float32(f"{value:e}")


def factors_of(case: ConvolutionCase, values: FloatArray, output_scale: np.float32) -> Factors:
    """What an activation makes a product of; ``output_scale``: codes of a one."""
    kind, params = case.activation
    if kind in CURVES:
        return CURVES[kind](values, output_scale)
    if kind == LEAKY_RELU:
        return values, np.where(values > 0, np.float32(1), as_written(params[0]))
    alpha, beta = (as_written(value) for value in params)
    linear = fused(values, np.asarray(alpha / output_scale), np.asarray(beta))
    return values, np.minimum(np.maximum(linear, np.float32(0)), np.float32(1))


def steepness_of(case: ConvolutionCase, output_scale: np.float32) -> float:
    kind, params = case.activation
    if kind == MISH:
        return 1.1
    if kind == SIGMOID:
        return max(1.0, math.log(2) / 4 * float(output_scale))
    if kind == LEAKY_RELU:
        return max(1.0, float(as_written(params[0])))
    beta = as_written(params[1])
    return max(1.0, float(abs(beta)), float(abs(np.float32(2) - beta)))


def gated_folded_offset(scale: np.float32, bias: float, largest: float, steepness: float) -> tuple[float, float] | None:
    """Start and offset of a gated channel: a port of csrc/layers/epilogue.cpp's fold_gated_channel."""
    wide = float(scale)
    start = MIDDLE + GATED_FOLD_STRIDE * TRIES
    fits = np.abs(start - MIDDLE) + largest <= FOLD_ROOM
    exact = bias - start * wide
    offset = exact.astype(np.float32).astype(np.float64)
    error = np.abs(offset - exact)
    error[np.logical_or.accumulate(~fits)] = MAX_FOLD_ERROR / steepness
    good = np.flatnonzero(error <= GOOD_FOLD_ERROR / steepness)
    best = good[0] if good.size else np.argmin(error)
    return (start[best], offset[best]) if error[best] < MAX_FOLD_ERROR / steepness else None


def gated_channels(
    case: ConvolutionCase, scale: FloatArray, bias: FloatArray, largest: NDArray[np.float64], output_scale: np.float32
) -> list[tuple[float, float] | None]:
    """Start and offset of each channel of a gated layer; None where there is none."""
    steepness = steepness_of(case, output_scale)
    channels: list[tuple[float, float] | None] = []
    for factor, offset, most in zip(scale.ravel(), bias.ravel(), largest, strict=True):
        bound = (abs(float(offset)) + most * abs(float(factor))) * steepness
        fits = (float(output_scale) if case.activation[0] == SIGMOID else bound) <= MAX_FOLDED_CODE
        channels.append(gated_folded_offset(factor, float(offset), most, steepness) if fits else None)
    return channels


def scales_of(case: ConvolutionCase, arrays: Int8Arrays, *, to_codes: bool) -> tuple[FloatArray, FloatArray]:
    """What a gated layer's sums are multiplied by and what is added, a value a channel."""
    factor = arrays.output_scale if to_codes else np.float32(1)
    scale = np.float32(1) / (arrays.input_scale * arrays.weight_scales)
    if case.activation[0] != SIGMOID:
        return scale * factor, arrays.bias * factor
    offset = -LOG2_OF_E * arrays.bias.astype(np.float64) - np.log2(np.float64(factor))
    return (-LOG2_OF_E * scale.astype(np.float64)).astype(np.float32), offset.astype(np.float32)


def gated_codes(
    case: ConvolutionCase,
    sums: NDArray[np.int64],
    largest: NDArray[np.float64],
    *,
    scale: FloatArray,
    bias: FloatArray,
    output_scale: np.float32,
) -> NDArray[np.float64]:
    """The codes of a gated layer, before they are clamped."""
    channels = gated_channels(case, scale, bias, largest, output_scale)
    if None in channels:
        value = fused(sums.astype(np.float32), scale, bias)
        half = fused(*factors_of(case, value, output_scale), np.full_like(value, 0.5))
        fixed = np.clip(np.trunc(half.astype(np.float64) * TOP_BYTE), -(2.0**31), 2.0**31 - 1)
        return np.floor(fixed / TOP_BYTE)
    start, offset = np.array(channels, np.float64).T[:, :, None, None]
    value = fused((start + sums).astype(np.float32), scale, offset.astype(np.float32))
    rounded = fused(*factors_of(case, value, output_scale), np.full_like(value, MIDDLE))
    return rounded.astype(np.float64) - MIDDLE


def sums_of(case: ConvolutionCase, weights: NDArray[np.int8], codes: Codes) -> NDArray[np.int64]:
    """The exact sums, in the shape of the output."""
    if case.kind == "InnerProduct":
        flat = codes.reshape(case.rows or 1, case.products).astype(np.float64)
        return (flat @ weights.T.astype(np.float64)).astype(np.int64).reshape(case.output_shape)
    left, top, right, bottom = case.margins
    padded = np.pad(codes, ((0, 0), (top, bottom), (left, right)), constant_values=case.pad_code)
    wide = padded.astype(np.float64).reshape(case.groups, -1, *padded.shape[1:])
    _, height, width = case.output_shape
    kernel = weights.astype(np.float64).reshape(case.groups, case.channels_out // case.groups, -1, *case.kernel[::-1])
    sums = np.zeros((case.groups, case.channels_out // case.groups, height, width))
    for r in range(case.kernel[1]):
        for s in range(case.kernel[0]):
            y, x = r * case.dilation[1], s * case.dilation[0]
            seen = wide[:, :, y :: case.stride[1], x :: case.stride[0]][:, :, :height, :width]
            sums += np.einsum("gnk,gkyx->gnyx", kernel[..., r, s], seen)
    return sums.astype(np.int64).reshape(case.output_shape)


def outputs_of(
    case: ConvolutionCase, arrays: Int8Arrays, values: FloatArray | Codes, *, not_negative: bool = False
) -> FloatArray | Codes:
    """The layer's output: codes where it requantizes.

    Args:
        values: float, or codes of a layer before.
        not_negative: The layers before say that nothing they write is.
    """
    kind, limits = case.activation
    assert kind in IN_REGISTERS
    one = np.float32(1)
    codes = values if values.dtype == np.int8 else quantize(values.astype(np.float32), arrays.input_scale)
    sums = sums_of(case, arrays.weights, codes.astype(np.int8))
    to_codes = case.requantizes and case.kind != "InnerProduct"
    scale, offset = scales_of(case, arrays, to_codes=to_codes)
    if to_codes and kind not in GATES:
        offset = offset + np.float32(0.5)
    if case.kind != "InnerProduct":
        scale, offset = scale[:, None, None], offset[:, None, None]
    # Padding is read as well, and a scale below zero turns the codes' signs.
    not_negative = not_negative and case.pad_code >= 0 and bool(arrays.input_scale > 0)
    largest = largest_sums(arrays.weights, not_negative=not_negative)
    if kind in GATES and to_codes:
        made = gated_codes(case, sums, largest, scale=scale, bias=offset, output_scale=arrays.output_scale)
        return np.clip(made, LOWEST, HIGHEST).astype(np.int8)
    value = fused(sums.astype(np.float32), scale, offset)
    if kind in GATES:
        first, second = factors_of(case, value, one)
        return first * second
    low, high = {RELU: (0.0, np.inf), CLIP: tuple(limits)}.get(kind, (-np.inf, np.inf))
    if not to_codes:
        return np.minimum(np.maximum(value, np.float32(low)), np.float32(high))
    ends = np.array([max(low, -1e6), min(high, 1e6)], np.float32)
    low_code, high_code = half_away(ends * arrays.output_scale)
    folded = None
    if case.kind != "InnerProduct":
        folded = folded_codes(sums, largest, scale, offset - np.float32(0.5))
    if folded is not None:
        return np.clip(folded, low_code, high_code).astype(np.int8)
    fixed = np.clip(np.trunc(value.astype(np.float64) * TOP_BYTE), -(2.0**31), 2.0**31 - 1)
    return np.clip(np.floor(fixed / TOP_BYTE), low_code, high_code).astype(np.int8)
