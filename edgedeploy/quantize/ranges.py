"""The range of numbers that a blob's codes stand for, chosen by what it does to the layers that read the blob.

Source: the error of a layer's outputs as the measure: Nagel et al., A White Paper on Neural Network Quantization, 2021,
section 3.1. The shifted range is the affine quantization of the same paper's section 2.2, with the zero point moved
into the maker's bias, the reader's bias and the pad value, since the engine's codes have no zero point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.passes.linear import Values
from edgedeploy.quantize.choices import LARGEST_CODE, Encoding
from edgedeploy.quantize.statistics import BlobStatistics
from edgedeploy.quantize.windows import SampledWindows, Windows

SMALLEST_SHARE = 0.1
"""No more than nine tenths of the largest magnitude are cut off by the search."""
SMALL_ITEM = 0.05
"""Items whose outputs have less energy than this share of the mean count less, so that empty ones do not decide."""
STEPS = 32
SLACK = 1.15
"""Errors up to this times the least count as good."""
SEARCH_ROWS = 512
"""Windows of each reader that the search looks at."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A layer that reads the blob.

    Args:
        windows: Of its float input.
        weight: ``(out, inputs of a group x kernel)``, float64, the groups' outputs one after the other.
    """

    windows: SampledWindows
    weight: Values


def encoding_for(threshold: float, *, shifted: bool) -> Encoding:
    """Return the encoding of ``[-threshold, threshold]``, or shifted of ``[0, threshold]``.

    Example:
        >>> encoding_for(6.0, shifted=True)
        Encoding(scale=42.333333333333336, direction=-1, middle=3.0)
    """
    if shifted:
        return Encoding(scale=LARGEST_CODE / (threshold / 2), direction=-1, middle=threshold / 2)
    return Encoding(scale=LARGEST_CODE / threshold)


def fake_quantize(numbers: Windows, encoding: Encoding) -> Windows:
    """Return what is left of float32 numbers after encoding and decoding, without the detour through codes."""
    scale, middle = np.float32(encoding.scale), np.float32(encoding.middle)
    codes = np.rint((numbers - middle) * scale)
    np.clip(codes, -LARGEST_CODE, LARGEST_CODE, out=codes)
    return np.asarray(codes / scale + middle, dtype=np.float32)


def search_threshold(statistics: BlobStatistics, readers: Sequence[Reader], *, shifted: bool, limit: float) -> float:
    """Return the largest threshold that changes the readers' outputs hardly more than the best one.

    The errors are flat around the least one, and data in use pass what calibration saw rather than stay below it.

    Args:
        statistics: Of the blob over all calibration data: what the windows miss of its largest values is added.
        readers: At least one.
        shifted: Whether the range is ``[0, threshold]``.
        limit: Largest threshold worth trying, such as 6 behind ReLU6.
    """
    largest = min(statistics.absmax, limit)
    tried = largest * np.geomspace(SMALLEST_SHARE, 1.0, STEPS)
    errors = [
        sum(_relative_error(reader, float(threshold), statistics, shifted=shifted) for reader in readers)
        for threshold in tried
    ]
    good_enough = np.flatnonzero(np.asarray(errors) <= SLACK * min(errors))
    return float(tried[good_enough[-1]])


def _relative_error(reader: Reader, threshold: float, statistics: BlobStatistics, *, shifted: bool) -> float:
    """Energy of the outputs' error over that of the outputs, on average over the items."""
    step = max(1, len(reader.windows.values) // SEARCH_ROWS)
    windows, items = reader.windows.values[::step], reader.windows.items[::step]
    error = fake_quantize(windows, encoding_for(threshold, shifted=shifted)) - windows
    energy = by_item(_output_energy(windows, reader.weight), items)
    alive = energy > 0
    if not alive.any():
        return 0.0
    lost = by_item(_output_energy(error, reader.weight), items)[alive]
    seen = float(np.mean(np.square(np.maximum(np.abs(windows) - threshold, 0))))
    missed = max(0.0, _clipping_energy(statistics, threshold) - seen)
    gain = float(np.square(reader.weight).sum()) * len(windows) / len(energy)
    return float(np.mean(lost / (energy[alive] + SMALL_ITEM * energy.mean()))) + missed * gain / float(energy.mean())


def row_weights(outputs: Windows, items: NDArray[np.int64]) -> Values:
    """Return weights for the rows of a layer's windows under which every item counts the same, 1 on average.

    Args:
        outputs: The layer's, float32 ``(rows, out)``.
        items: Which item each row is of.
    """
    energy = by_item(_energy(outputs), items)
    if not energy.any():
        return np.ones(len(items))
    weights = (1 / (energy + SMALL_ITEM * energy.mean()))[items]
    return np.asarray(weights / weights.mean())


def by_item(values: Values, items: NDArray[np.int64]) -> Values:
    """Sum one value a row over each item's rows."""
    return np.asarray(np.bincount(items, weights=values), dtype=np.float64)


def _output_energy(windows: Windows, weight: Values) -> Values:
    return _energy(multiply(windows, weight))


def _energy(outputs: Windows) -> Values:
    """Return the sum of squares of each row."""
    return np.asarray(np.square(outputs).sum(axis=1, dtype=np.float64))


def multiply(windows: Windows, weight: Values) -> Windows:
    """Return the layer's outputs without bias, float32 ``(rows, out)``."""
    rows, groups, inputs = windows.shape
    by_group = weight.astype(np.float32).reshape(groups, -1, inputs)
    if groups == 1:
        return np.asarray(windows[:, 0] @ by_group[0].T)
    if by_group.shape[1] == 1:
        return np.asarray(np.einsum("rgi,gi->rg", windows, by_group[:, 0]))
    return np.asarray(np.einsum("rgi,goi->rgo", windows, by_group).reshape(rows, -1))


def _clipping_energy(statistics: BlobStatistics, threshold: float) -> float:
    """Mean square of what magnitudes exceed the threshold by, over all values of the blob."""
    bins = len(statistics.histogram)
    centers = (np.arange(bins) + 0.5) * (statistics.edge / bins)
    beyond = np.square(np.maximum(centers - threshold, 0))
    return float(beyond @ statistics.histogram / max(1, statistics.histogram.sum()))
