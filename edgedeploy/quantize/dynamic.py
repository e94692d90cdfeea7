"""Writes the int8 form of layers that scale their inputs themselves: only their weights become codes here.

Weights are scaled by their largest magnitude: one scale a row where the engine has room for it, else one a matrix.
Biases, and LSTM's projection (``weight_hr``), which the engine multiplies in float, stay as they are.

Source: ``load_model`` in the engine's src/layer/gemm.cpp, rnn.cpp, gru.cpp, lstm.cpp, multiheadattention.cpp and
embed.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import UnsupportedOperatorError
from edgedeploy.graph.layouts import layout_of
from edgedeploy.graph.model import Layer
from edgedeploy.graph.storage import Storage, Weight, make_weight
from edgedeploy.quantize.choices import LARGEST_CODE, round_to_codes
from edgedeploy.quantize.rounding import scales_for

_INT8_TERM = 2
_INT8_TERM_KEYS: Mapping[str, int] = {
    "Embed": 18,
    "GRU": 8,
    "Gemm": 18,
    "LSTM": 8,
    "MultiHeadAttention": 18,
    "RNN": 8,
}
DYNAMIC_TYPES = frozenset(_INT8_TERM_KEYS)
"""The engine quantizes their inputs itself, for each inference anew: only their weights are ours to choose."""

_BLOCK_QUANTIZED_FROM = 400
_SCALES = "_scales"
_INTEGER_STORAGES = frozenset({Storage.INT8, Storage.PACKED})
"""Of anything smaller the scale is no float32."""


def dynamic_reason(layer: Layer) -> str | None:
    """Return why a layer cannot compute in int8 with inputs that the engine scales; None if it can.

    Example:
        >>> dynamic_reason(scores)  # a Gemm of two blobs
        'both of its matrices are data'
    """
    if layer.type not in DYNAMIC_TYPES:
        return f"the engine has no int8 code for {layer.type} that scales inputs itself"
    term = layer.integer(_INT8_TERM_KEYS[layer.type], 0)
    if term:
        return "its weights are quantized in blocks" if term >= _BLOCK_QUANTIZED_FROM else "it is int8 already"
    matrices = _matrices(layer)
    if layer.type == "Gemm" and len(matrices) != 1:
        return "neither of its matrices is data" if matrices else "both of its matrices are data"
    if not _is_as_described(layer):
        return "its sizes do not describe its weights"
    if any(layer.weight(name).storage in _INTEGER_STORAGES for name in matrices):
        return "its weights are no floats"
    return None


def int8_dynamic_layer(layer: Layer, scales: Mapping[str, FloatArray] = MappingProxyType({})) -> Layer:
    """Return a float layer as an int8 one.

    Args:
        layer: One for which ``dynamic_reason`` gives None.
        scales: Codes a unit by their names in the network (``weight_xc_scales``), in place of the largest magnitudes'.

    Returns:
        The layer with codes for matrices, their scales (``b_scales``, ``weight_xc_scales``) and the engine's key set;
        all else as it was.

    Raises:
        UnsupportedOperatorError: It has to stay in float.
    """
    reason = dynamic_reason(layer)
    if reason is not None:
        raise UnsupportedOperatorError(
            f"layer {layer.name} ({layer.type}) cannot be int8: {reason}", hint="leave it in float"
        )
    written = layer.with_param(_INT8_TERM_KEYS[layer.type], _INT8_TERM)
    weights = {weight.name: weight for weight in layer.weights}
    for name, axis in _matrices(layer).items():
        given = scales.get(_scales_name(name))
        weights |= {weight.name: weight for weight in _quantized(weights[name], axis, given)}
    return replace(written, weights=tuple(weights[slot.name] for slot in layout_of(written)))


def dynamic_scales(layer: Layer) -> FloatArray:
    """Return the scales of all weights of a layer that ``int8_dynamic_layer`` wrote, float32."""
    found = [weight.array.ravel() for weight in layer.weights if weight.name.endswith(_SCALES)]
    return np.concatenate(found).astype(np.float32)


def _matrices(layer: Layer) -> dict[str, int | None]:
    """Name the weights that become codes, with the axis along which they share a scale; None: both."""
    if layer.type == "Gemm":
        # The constant left matrix has a scale for each row of the product, however it is stored.
        left: dict[str, int | None] = {"a": -2 if layer.integer(2, 0) else -1} if layer.integer(4, 0) == 1 else {}
        return left | ({"b": None} if layer.integer(5, 0) == 1 else {})
    if layer.type == "MultiHeadAttention":
        return {"q_weight": -1, "k_weight": -1, "v_weight": -1, "out_weight": None}
    return {"weight": None} if layer.type == "Embed" else {"weight_xc": -1, "weight_hc": -1}


def _is_as_described(layer: Layer) -> bool:
    """Whether the weights are those that the parameters announce, and the matrices are matrices."""
    announced = [(slot.name, slot.shape) for slot in layout_of(layer)]
    found = [(weight.name, weight.shape) for weight in layer.weights]
    shapes = dict(found)
    return announced == found and all(len(shapes[name]) > 1 and 0 not in shapes[name] for name in _matrices(layer))


def _quantized(weight: Weight, axis: int | None, given: FloatArray | None) -> tuple[Weight, Weight]:
    """Return a matrix's codes and its scales."""
    values = np.asarray(weight.array, dtype=np.float64)
    largest = np.abs(values).max(axis=axis, keepdims=True)
    scales = scales_for(largest, LARGEST_CODE) if given is None else given.astype(np.float32).reshape(largest.shape)
    codes = make_weight(weight.name, round_to_codes(values * scales), Storage.INT8)
    flat = scales.reshape(-1) if axis is None else scales.squeeze(axis)
    return codes, make_weight(_scales_name(weight.name), flat, Storage.UNTAGGED)


def _scales_name(weight: str) -> str:
    """Return for example ``weight_xc_scales`` or ``q_scales``."""
    return f"{weight.removesuffix('_weight')}{_SCALES}"
