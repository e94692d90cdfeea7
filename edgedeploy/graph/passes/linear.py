"""Convolutions, deconvolutions and inner products seen as one: a matrix from input to output channels, and a bias.

Source: ``forward`` in the engine's src/layer: convolution.cpp, convolutiondepthwise.cpp, deconvolution.cpp,
innerproduct.cpp. In all of them the output channel is the outermost axis of the weights, also with groups.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.model import Layer
from edgedeploy.graph.storage import Storage, make_weight

Values = NDArray[np.float64]

CONVOLUTIONS_2D = frozenset({"Convolution", "ConvolutionDepthWise"})
CONVOLUTIONS = CONVOLUTIONS_2D | {"Convolution1D", "ConvolutionDepthWise1D"}
DECONVOLUTIONS = frozenset({"Deconvolution", "DeconvolutionDepthWise"})
LINEAR_TYPES = CONVOLUTIONS | DECONVOLUTIONS | {"InnerProduct"}
_GROUPED_TYPES = frozenset({"ConvolutionDepthWise", "ConvolutionDepthWise1D", "DeconvolutionDepthWise"})
_FLOAT_STORAGES = frozenset({Storage.FP32, Storage.RAW_FP32, Storage.FP16, Storage.BF16, Storage.TABLE})

ACTIVATION_KEY = 9
ACTIVATION_PARAMS_KEY = 10
PAD_VALUE_KEY = 18
_INT8_TERM_KEY = 8
_GROUP_KEY = 7
_PAD_LEFT, _PAD_TOP, _PAD_RIGHT, _PAD_BOTTOM = 4, 14, 15, 16


class Activation(IntEnum):
    """Fused activations, as the engine numbers them."""

    NONE = 0
    RELU = 1
    LEAKY_RELU = 2
    CLIP = 3
    SIGMOID = 4
    MISH = 5
    HARD_SWISH = 6


def is_linear(layer: Layer) -> bool:
    """Whether the layer is one of these, with float weights of its own that its sizes describe."""
    if layer.type not in LINEAR_TYPES or layer.integer(_INT8_TERM_KEY, 0) or not layer.weights:
        return False
    weight = layer.weights[0]
    return weight.storage in _FLOAT_STORAGES and len(weight.shape) > 1


def weight_of(layer: Layer) -> Values:
    """Return the weights: ``(out, in a group, kernel...)``."""
    return np.asarray(layer.weight("weight").array, dtype=np.float64)


def bias_of(layer: Layer) -> Values:
    """Return the bias ``(out,)``, zeros where the layer has none."""
    if layer.integer(_bias_key(layer), 0):
        return np.asarray(layer.weight("bias").array, dtype=np.float64)
    return np.zeros(output_channels(layer))


def output_channels(layer: Layer) -> int:
    return layer.integer(0, 0)


def input_channels(layer: Layer) -> int:
    """Return the channels read; of an inner product the elements read."""
    return groups_of(layer) * layer.weight("weight").shape[1]


def groups_of(layer: Layer) -> int:
    return layer.integer(_GROUP_KEY, 1) if layer.type in _GROUPED_TYPES else 1


def is_depthwise(layer: Layer) -> bool:
    """Whether every channel goes its own way: as many groups as channels in and out."""
    return groups_of(layer) == output_channels(layer) == input_channels(layer)


def activation_of(layer: Layer) -> Activation:
    return Activation(layer.integer(ACTIVATION_KEY, 0))


def activation_params_of(layer: Layer) -> tuple[float, ...]:
    """Return the fused activation's parameters: slope; or minimum and maximum; or alpha and beta; or nothing."""
    value = layer.param(ACTIVATION_PARAMS_KEY)
    return tuple(float(item) for item in value) if isinstance(value, tuple) else ()


def with_activation(layer: Layer, kind: Activation, params: tuple[float, ...] = ()) -> Layer:
    """Return the layer with a fused activation."""
    kept = tuple(item for item in layer.params if item.key != ACTIVATION_PARAMS_KEY)
    changed = replace(layer, params=kept).with_param(ACTIVATION_KEY, int(kind))
    return changed.with_param(ACTIVATION_PARAMS_KEY, params) if params else changed


def pads_with_anything(layer: Layer) -> bool:
    """Whether a convolution pads its input (automatic padding counts: its size depends on the input's)."""
    left = layer.integer(_PAD_LEFT, 0)
    top = layer.integer(_PAD_TOP, left)
    return any((left, top, layer.integer(_PAD_RIGHT, left), layer.integer(_PAD_BOTTOM, top)))


def pad_value_of(layer: Layer) -> float:
    """Return what a convolution pads with; other layers use the key for other things."""
    value = layer.param(PAD_VALUE_KEY) if layer.type in CONVOLUTIONS else None
    return float(value) if isinstance(value, int | float) else 0.0


def with_weights(layer: Layer, weight: Values, bias: Values) -> Layer:
    """Return the layer with new values in float32, and with a bias if it had one or needs one."""
    has_bias = bool(layer.integer(_bias_key(layer), 0)) or bool(np.any(bias))
    changed = layer.with_param(_bias_key(layer), 1) if has_bias else layer
    storage = Storage.RAW_FP32 if layer.weight("weight").storage is Storage.RAW_FP32 else Storage.FP32
    weights = [make_weight("weight", weight.reshape(layer.weight("weight").shape), storage)]
    if has_bias:
        weights.append(make_weight("bias", bias, Storage.UNTAGGED))
    return replace(changed, weights=tuple(weights))


def scale_outputs(layer: Layer, scale: Values, shift: Values) -> Layer:
    """Return the layer computing ``scale * y + shift`` before its activation; both ``(out,)`` or ``(1,)``."""
    count = output_channels(layer)
    factors, offsets = np.broadcast_to(scale, count), np.broadcast_to(shift, count)
    weight = weight_of(layer)
    scaled = weight * factors.reshape(-1, *(1,) * (weight.ndim - 1))
    return with_weights(layer, scaled, bias_of(layer) * factors + offsets)


def scale_inputs(layer: Layer, scale: Values) -> Layer:
    """Return the layer computing from ``x`` what it did from ``scale * x``; scale ``(in,)`` or ``(1,)``."""
    weight = _by_groups(layer)
    factors = np.broadcast_to(scale, input_channels(layer)).reshape(groups_of(layer), 1, -1, 1)
    return with_weights(layer, weight * factors, bias_of(layer))


def shift_inputs(layer: Layer, shift: Values) -> Layer:
    """Return the layer computing from ``x`` what it did from ``x + shift``, wherever it reads no padding."""
    offsets = np.broadcast_to(shift, input_channels(layer)).reshape(groups_of(layer), 1, -1, 1)
    added = (_by_groups(layer) * offsets).sum(axis=(2, 3)).reshape(-1)
    return with_weights(layer, weight_of(layer), bias_of(layer) + added)


def output_ranges(layer: Layer) -> Values:
    """Return the largest absolute weight of each output channel, ``(out,)``."""
    return np.asarray(np.abs(weight_of(layer)).reshape(output_channels(layer), -1).max(axis=1))


def input_ranges(layer: Layer) -> Values:
    """Return the largest absolute weight of each input channel, ``(in,)``."""
    return np.asarray(np.abs(_by_groups(layer)).max(axis=(1, 3)).reshape(-1))


def _by_groups(layer: Layer) -> Values:
    """The weights as (groups, out of a group, in of a group, kernel)."""
    weight = weight_of(layer)
    groups = groups_of(layer)
    return weight.reshape(groups, output_channels(layer) // groups, weight.shape[1], -1)


def _bias_key(layer: Layer) -> int:
    return 1 if layer.type == "InnerProduct" else 5
