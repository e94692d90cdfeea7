"""Stores a network's weights in half precision, where that keeps them.

pnnx can do it too (``fp16=1``) but flushes what lies below the smallest normal number (2^-14) to zero: one convolution
of PP-OCRv4 detection has many such weights, and the cosine falls to 0.09. So conversion is in float32, and this
pass leaves a weight in float32 where half precision would lose it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph import Graph, Layer, Storage, Weight

LEAST_SQNR_DB = 60.0
"""Rounding alone gives about 73 dB; less means that values left the range of half precision."""


def with_half_weights(graph: Graph) -> Graph:
    """Return the graph with its tagged float32 weights in float16, except those that would suffer."""
    return replace(graph, layers=tuple(_halve_layer(layer) for layer in graph.layers))


def survives_half(values: NDArray[Any]) -> bool:
    """Tell whether half precision keeps an array, even with subnormal numbers taken for zero.

    Parts of the engine do so when they convert.

    Example:
        >>> survives_half(np.array([0.1, 1.0])), survives_half(np.array([1e-5])), survives_half(np.array([1e5]))
        (True, False, False)
    """
    exact = values.astype(np.float64).ravel()
    with np.errstate(over="ignore"):
        halved = exact.astype(np.float16)
    halved = np.where(np.abs(halved) < np.finfo(np.float16).smallest_normal, np.float16(0), halved)
    if not np.isfinite(halved).all():
        return False
    error = halved.astype(np.float64) - exact
    allowed: float = np.sum(exact**2) * 10.0 ** (-LEAST_SQNR_DB / 10.0)
    return bool(np.sum(error**2) <= allowed)


def _halve_layer(layer: Layer) -> Layer:
    return replace(layer, weights=tuple(_halve_weight(weight) for weight in layer.weights))


def _halve_weight(weight: Weight) -> Weight:
    if weight.storage is not Storage.FP32 or not survives_half(weight.array):
        return weight
    return weight.with_array(weight.array, Storage.FP16)
