"""How large the sums of an int8 layer may become on a target, and what to do where they would become larger.

On CPUs without the dot product instructions the engine computes 3x3 convolutions with stride 1 by Winograd's F(4,3).
Its integer form multiplies every sum by 576 in 32 bits, so sums past 2^31 / 576 = 3,728,270 wrap around and are quite
wrong. There are two ways out: weights of fewer bits, channel by channel, which make the sums smaller, or the layer's
feature mask (key 31), which sends it to the matrix product, slower but good for any sum. Layers whose sums stay small
enough keep all 8 bits and F(4,3). With dot product the engine does not use it, and all layers keep their 8 bits. So do
layers that this project's own Winograd computes, which carries any sum, where the network is for a program that has it.

Source: ``create_pipeline_int8_arm`` in the engine's src/layer/arm/convolution_arm.cpp, the transforms in
convolution_3x3_winograd_int8.h beside it, ``get_masked_option`` in src/net.cpp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.linear import groups_of
from edgedeploy.quantize.choices import LARGEST_CODE, Winograd
from edgedeploy.quantize.own_layers import winograd_is_ours
from edgedeploy.quantize.settings import Target

Codes = NDArray[np.int8]
Sums = NDArray[np.int64]

WINOGRAD_LIMIT = 2**31 // 576
"""Largest sum that F(4,3) carries. From 1,864,136 to 2,097,151 it may lose one of it, which is nothing: 5e-7."""

INT32_LIMIT = 2**31 - 1
FEATURE_MASK_KEY = 31
WINOGRAD_OFF = 1 << 6
"""Switches F(4,3) and F(2,3) off for the layer; the engine has no mask for one of them."""

MOST_BITS = 8
FEWEST_BITS = 6

SAFETY = 2.0
"""Unseen data may make larger sums than calibration did. In the 3x3 convolutions of PP-OCRv4's detection the largest
sum over all windows of 28 unseen photos and pages was at most 1.63 times that of 4096 windows out of 28 others, in any
of 120 channels."""

LOSS_FOR_ALL_TIME_DB = 3.0
"""The exchange rate: how much of its signal-to-noise ratio a layer would give for all of its time. A layer that F(4,3)
makes 40 % faster may lose 1.2 dB to fewer bits."""

OURS = "the runner's own Winograd carries any sum"

_FEWEST_CHANNELS = 8
_USUAL_SIZE = (28, 28)
_ROUNDING_NOISE = 1 / 12


@dataclass(frozen=True, kw_only=True)
class AccumulatorChoice:
    """What one layer's sums led to.

    Args:
        bits: Of each output channel's weights.
        winograd: Whether F(4,3) computes the layer.
        limit: Largest sum that the code which then computes it carries.
        bound: Largest sum to expect, with these bits.
        reason: One sentence for the report.
    """

    bits: tuple[int, ...]
    winograd: Winograd
    limit: int
    bound: int
    reason: str

    @property
    def feature_mask(self) -> int:
        """The value of key 31 that the layer is to carry; 0 for none."""
        return WINOGRAD_OFF if self.winograd is Winograd.OFF else 0


def choose_accumulators(
    layer: Layer, codes: Codes, windows: Codes, target: Target, *, output_size: tuple[int, int] | None = None
) -> AccumulatorChoice:
    """Decide bits and algorithm of one layer.

    Args:
        layer: A convolution or inner product, in float or int8; only its sizes count.
        codes: Its weights with all bits, int8 ``(out, inputs of a group, kernel...)``.
        windows: What they are multiplied with at many places of calibration data, int8
            ``(rows, groups, inputs of a group x kernel)``.
        target: Says whether there is dot product, and whose layers run the network.
        output_size: Height and width of the output, where they are known.

    Returns:
        For example 8 bits for 62 channels and 7 for 2, with Winograd on.
    """
    limit, uses_winograd = accumulator_limit(layer, target)
    worst = accumulator_bounds(codes)
    if not uses_winograd:
        why = (
            "with dot product the engine does not use F(4,3)"
            if target.dotprod
            else "the engine does not use F(4,3) for it"
        )
        return _within(worst, limit, uses_winograd, why)
    if winograd_is_ours(layer, target):
        return _within(worst, INT32_LIMIT, uses_winograd, OURS)
    if worst.max(initial=0) <= limit:
        return _within(worst, limit, uses_winograd, f"not even the largest codes make sums beyond {limit:,}")
    bounds = accumulator_bounds(codes, largest_sums(codes, windows))
    if bounds.max(initial=0) <= limit:
        return _within(bounds, limit, uses_winograd, f"twice the calibrated sums stay within {limit:,} at 8 bits")
    return _choose_way_out(codes, windows, bounds, output_size or _USUAL_SIZE)


def accumulator_limit(layer: Layer, target: Target) -> tuple[int, bool]:
    """Return the largest sum that the engine's code for a layer carries on a target, and whether that code is F(4,3).

    Example:
        >>> accumulator_limit(graph.layer("conv_3x3"), Target(name="rk3399", dotprod=False))
        (3728270, True)
    """
    uses_winograd = not target.dotprod and _suits_winograd(layer) and not _is_masked(layer)
    return (WINOGRAD_LIMIT if uses_winograd else INT32_LIMIT), uses_winograd


def largest_sums(codes: Codes, windows: Codes) -> Sums:
    """Return each output channel's largest magnitude over windows of calibration data, ``(out,)``."""
    groups = windows.shape[1]
    weights = codes.reshape(groups, codes.shape[0] // groups, -1).astype(np.float32)
    rows = windows.transpose(1, 2, 0).astype(np.float32)
    # float32 rounds sums beyond 2^24 a little; a bound with a factor of two on top does not mind.
    sums = np.abs(weights @ rows).max(axis=2, initial=0)
    return np.asarray(np.ceil(sums.astype(np.float64)).astype(np.int64).reshape(-1))


def accumulator_bounds(codes: Codes, largest: Sums | None = None, *, safety: float = SAFETY) -> Sums:
    """Return how large each output channel's sums may become, ``(out,)``.

    Args:
        codes: int8 ``(out, ...)``.
        largest: What calibration saw; None: nothing.
        safety: How many times that is expected at most.

    Returns:
        ``largest`` times ``safety``, but never more than what the largest codes at the worst signs can make.
    """
    worst = np.abs(codes.astype(np.int64)).reshape(codes.shape[0], -1).sum(axis=1) * LARGEST_CODE
    expected = worst if largest is None else np.ceil(largest * safety).astype(np.int64)
    return np.asarray(np.minimum(worst, expected))


def bits_within(bounds: Sums, limit: int) -> NDArray[np.int64]:
    """Return the most bits, 8 to 6, with which each channel's sums stay within a limit; 0 where 6 are too many.

    Args:
        bounds: At 8 bits.
    """
    bits = np.zeros(bounds.shape, dtype=np.int64)
    for count in range(FEWEST_BITS, MOST_BITS + 1):
        bits[_scaled(bounds, np.full(bounds.shape, count)) <= limit] = count
    return bits


def lost_sqnr_db(codes: Codes, windows: Codes, bits: NDArray[np.int64]) -> float:
    """Return by how many decibels fewer bits lower the signal-to-noise ratio of a layer's outputs.

    Rounding adds a twelfth of a squared step to weights and inputs; a bit less makes the weights' steps twice as wide.
    Channels count alike, those without weights not at all.
    """
    power = np.square(codes.reshape(codes.shape[0], -1), dtype=np.float64).mean(axis=1)
    alive = power > 0
    if not alive.any():
        return 0.0
    weight_noise, bits = _ROUNDING_NOISE / power[alive], bits[alive]
    input_noise = _ROUNDING_NOISE / max(float(windows.astype(np.float64).var()), _ROUNDING_NOISE)
    wider = np.square(_largest_code(np.full(len(bits), MOST_BITS)) / _largest_code(bits))
    before, after = weight_noise + input_noise, weight_noise * wider + input_noise
    return float(10 * math.log10(after.mean() / before.mean()))


def winograd_saving(inputs: int, outputs: int, output_size: tuple[int, int]) -> float:
    """Return the share of a 3x3 convolution's time that F(4,3) saves; negative where it costs time.

    F(4,3) takes 36 multiplications of 16 bits for 144 of 8 bits; the CPU does half as many of them at once, and the
    transforms cost per channel and tile. The factors are cycles of a Cortex-A72 by llvm-mca over the blocks that twelve
    shapes from 8 to 512 channels executed under QEMU; the formulas meet them within 3 %. ``docs/int8_layers.md``.
    """
    height, width = output_size
    pixels, tiles = height * width, math.ceil(height / 4) * math.ceil(width / 4)
    winograd = tiles * (0.246 * 36 * inputs * outputs + 103 * inputs + 239 * outputs)
    product = pixels * (0.126 * 9 * inputs * outputs + 10.6 * inputs + 10.9 * outputs)
    return 1 - winograd / product


def _choose_way_out(codes: Codes, windows: Codes, bounds: Sums, output_size: tuple[int, int]) -> AccumulatorChoice:
    """Weigh fewer bits against slower code."""
    bits = bits_within(bounds, WINOGRAD_LIMIT)
    fewer = int(np.count_nonzero(bits < MOST_BITS))
    channels = f"{fewer} of {len(bits)} channels"
    if not bits.all():
        return _without_winograd(bounds, f"sums would be too large for F(4,3) even with {FEWEST_BITS} bits")
    loss = lost_sqnr_db(codes, windows, bits)
    saving = winograd_saving(codes.shape[1], codes.shape[0], output_size)
    worth = LOSS_FOR_ALL_TIME_DB * saving
    if loss > worth:
        text = (
            f"{channels} would need fewer bits for F(4,3), which costs {loss:.1f} dB and saves {saving:.0%} of the time"
        )
        return _without_winograd(bounds, text)
    return AccumulatorChoice(
        bits=tuple(int(item) for item in bits),
        winograd=Winograd.ON,
        limit=WINOGRAD_LIMIT,
        bound=int(_scaled(bounds, bits).max()),
        reason=f"{channels} have fewer bits for F(4,3), which costs {loss:.1f} dB and saves {saving:.0%} of the time",
    )


def _within(bounds: Sums, limit: int, uses_winograd: bool, reason: str) -> AccumulatorChoice:
    return AccumulatorChoice(
        bits=(MOST_BITS,) * len(bounds),
        winograd=Winograd.ON if uses_winograd else Winograd.NOT_USED,
        limit=limit,
        bound=int(bounds.max(initial=0)),
        reason=reason,
    )


def _without_winograd(bounds: Sums, reason: str) -> AccumulatorChoice:
    return AccumulatorChoice(
        bits=(MOST_BITS,) * len(bounds),
        winograd=Winograd.OFF,
        limit=INT32_LIMIT,
        bound=int(bounds.max()),
        reason=reason,
    )


def _scaled(bounds: Sums, bits: NDArray[np.int64]) -> Sums:
    """Return bounds at 8 bits as they are at others."""
    return np.ceil(bounds * (_largest_code(bits) / LARGEST_CODE)).astype(np.int64)


def _largest_code(bits: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(2 ** (bits - 1) - 1)


def _suits_winograd(layer: Layer) -> bool:
    """Whether the engine on ARM takes F(4,3) for an int8 layer where there is no dot product."""
    if layer.type not in ("Convolution", "ConvolutionDepthWise"):
        return False
    width = layer.integer(1, 0)
    kernel = (layer.integer(11, width), width)
    across = layer.integer(3, 1)
    dilation = layer.integer(2, 1)
    steps = (layer.integer(13, across), across, layer.integer(12, dilation), dilation)
    inputs = layer.weight("weight").shape[1]
    outputs = layer.integer(0, 0) // groups_of(layer)
    return kernel == (3, 3) and set(steps) == {1} and min(inputs, outputs) >= _FEWEST_CHANNELS


def _is_masked(layer: Layer) -> bool:
    return bool(layer.integer(FEATURE_MASK_KEY, 0) & WINOGRAD_OFF)
