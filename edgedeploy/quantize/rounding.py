"""Weights as integers: scales, and rounding that looks at the layer's outputs.

Source: E. Frantar et al., GPTQ, 2023 (rounding column by column, the rest of the row making up for each error), after
B. Hassibi and D. Stork, Optimal Brain Surgeon, 1993.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.passes.linear import Values
from edgedeploy.quantize.windows import Windows

DAMPING = 0.05
"""Added to the inputs' second moments, relative to their mean: what few windows do not show is left alone."""
LARGEST_SYSTEM = 2560
"""Layers with more inputs an output are rounded to nearest: the equations grow with the third power."""
SHRINK_STEPS = np.linspace(0.80, 1.0, 11)
"""Shares of a channel's largest weight that its range may end at."""
SMALLEST_WEIGHT = 1e-30
"""A channel whose weights are all smaller is one of zeros: its scale would not be finite in float32."""
_BLOCK = 128


@dataclass(frozen=True, kw_only=True)
class RoundedWeights:
    """Args:
    codes: int8 ``(out, inputs)``.
    scales: Codes a unit, float32 ``(out,)``; 1 for a channel of zeros.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]

    @property
    def values(self) -> Values:
        """The numbers that the codes stand for, float64 ``(out, inputs)``."""
        return np.asarray(self.codes / self.scales[:, None].astype(np.float64))


def largest_codes(bits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the largest code of each channel: 127 for 8 bits, 31 for 6."""
    return np.asarray(2 ** (bits - 1) - 1, dtype=np.int64)


def round_to_nearest(weight: Values, bits: NDArray[np.int64]) -> RoundedWeights:
    """Scale each channel to its largest weight and round.

    Args:
        weight: ``(out, inputs)``.
        bits: Of each channel, ``(out,)``.
    """
    return _rounded(weight, scales_for(np.abs(weight).max(axis=1, initial=0.0), largest_codes(bits)), bits)


def round_at(weight: Values, scales: NDArray[np.float32], bits: NDArray[np.int64]) -> RoundedWeights:
    """Round to the nearest step of given scales; what they do not reach is cut off.

    Args:
        weight: ``(out, inputs)``.
        scales: Codes a unit, ``(out,)``.
        bits: Of each channel, ``(out,)``.
    """
    return _rounded(weight, scales, bits)


def round_for_inputs(weight: Values, moments: Values, bits: NDArray[np.int64]) -> RoundedWeights:
    """Choose each channel's scale, rounding to nearest, by the error of its outputs.

    Args:
        weight: ``(out, inputs)``.
        moments: Mean square of each input, ``(inputs,)`` or one row a channel ``(out, inputs)``.
        bits: Of each channel.
    """
    largest = np.abs(weight).max(axis=1, initial=0.0)
    best = _rounded(weight, scales_for(largest, largest_codes(bits)), bits)
    least = _weighted_error(weight, best, moments)
    for share in SHRINK_STEPS[:-1]:
        tried = _rounded(weight, scales_for(largest * share, largest_codes(bits)), bits)
        error = _weighted_error(weight, tried, moments)
        better = error < least
        least = np.where(better, error, least)
        best = RoundedWeights(
            codes=np.where(better[:, None], tried.codes, best.codes),
            scales=np.where(better, tried.scales, best.scales).astype(np.float32),
        )
    return best


def round_for_outputs(
    weight: Values, found: Windows, bits: NDArray[np.int64], scales: NDArray[np.float32] | None = None
) -> RoundedWeights:
    """Round a dense layer so that its outputs on the quantized network's windows change least.

    Means are left out: the bias makes up for them. The float weights are what is rounded: moving them first towards
    what would undo the error of the layers before fits the few items that there are and loses on others.

    Args:
        weight: ``(out, inputs)``.
        found: Windows of the quantized network, ``(rows, 1, inputs)``.
        bits: Of each channel.
        scales: Codes a unit; None chooses them.
    """
    rows = found[:, 0] - found[:, 0].mean(axis=0)
    second = (rows.T @ rows).astype(np.float64) / len(rows)
    damping = DAMPING * float(np.trace(second)) / len(second)
    if damping == 0:
        return round_to_nearest(weight, bits) if scales is None else round_at(weight, scales, bits)
    moments = np.diag(second).copy()
    second[np.diag_indices_from(second)] += damping
    if scales is None:
        scales = round_for_inputs(weight, moments + damping, bits).scales
    return RoundedWeights(codes=_round_columns(weight, second, scales, bits), scales=scales)


def _round_columns(
    weight: Values, second: Values, scales: NDArray[np.float32], bits: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Round one input after the other, those with most energy first; the rest of each row makes up for the error."""
    order = np.argsort(-np.diag(second), kind="stable")
    inverse = np.linalg.inv(second[np.ix_(order, order)])
    upper = np.linalg.cholesky(inverse).T
    units = weight[:, order] * scales[:, None]
    largest = largest_codes(bits)
    codes = np.empty(units.shape, dtype=np.int8)
    for start in range(0, units.shape[1], _BLOCK):
        end = min(start + _BLOCK, units.shape[1])
        errors = np.empty((len(units), end - start))
        for column in range(start, end):
            code = np.clip(np.rint(units[:, column]), -largest, largest)
            codes[:, column] = code
            error = (units[:, column] - code) / upper[column, column]
            units[:, column:end] -= error[:, None] * upper[column, column:end]
            errors[:, column - start] = error
        units[:, end:] -= errors @ upper[start:end, end:]
    restored = np.empty_like(codes)
    restored[:, order] = codes
    return restored


def round_depthwise_for_outputs(
    weight: Values, found: Windows, bits: NDArray[np.int64], scales: NDArray[np.float32] | None = None
) -> RoundedWeights:
    """Round a depthwise layer: as ``round_for_outputs``, each channel with equations of its own.

    Args:
        weight: ``(channels, kernel)``.
        found: Windows of the quantized network, ``(rows, channels, kernel)``.
        scales: Codes a unit, ``(channels,)``; None chooses them.
    """
    rounded = [
        round_for_outputs(
            weight[[channel]],
            found[:, [channel]],
            bits[[channel]],
            None if scales is None else scales[[channel]],
        )
        for channel in range(len(weight))
    ]
    return RoundedWeights(
        codes=np.concatenate([item.codes for item in rounded]), scales=np.concatenate([item.scales for item in rounded])
    )


def scales_for(largest: NDArray[Any], codes: NDArray[np.int64] | int) -> NDArray[np.float32]:
    """Return the scales that give the largest magnitudes these codes; 1 where there is next to nothing.

    Example:
        >>> scales_for(np.array([2.0, 0.0]), 127)
        array([63.5,  1. ], dtype=float32)
    """
    counts = largest > SMALLEST_WEIGHT
    return np.where(counts, codes / np.where(counts, largest, 1), 1.0).astype(np.float32)


def _rounded(weight: Values, scales: NDArray[np.float32], bits: NDArray[np.int64]) -> RoundedWeights:
    largest = largest_codes(bits)[:, None]
    codes = np.clip(np.rint(weight * scales[:, None]), -largest, largest).astype(np.int8)
    return RoundedWeights(codes=codes, scales=scales)


def _weighted_error(weight: Values, rounded: RoundedWeights, moments: Values) -> Values:
    return np.asarray((np.square(rounded.values - weight) * moments).sum(axis=1))
