"""Writes decisions into a network: int8 layers as the engine reads them.

Source: ``load_model`` and ``forward_int8`` in the engine's src/layer/convolution.cpp, convolutiondepthwise.cpp and
innerproduct.cpp. A layer computes ``codes . weights / (input scale * weight scale) + bias``, its activation, and, where
it hands codes on, times the output scale, rounded half away from zero and clamped to +-127.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.linear import (
    CONVOLUTIONS_2D,
    PAD_VALUE_KEY,
    Activation,
    Values,
    activation_of,
    activation_params_of,
    pad_value_of,
    pads_with_anything,
    scale_outputs,
    with_activation,
)
from edgedeploy.graph.storage import Storage, make_weight
from edgedeploy.quantize.choices import Encoding

_INT8_TERM_KEY = 8
_FEATURE_MASK_KEY = 31
_HANDS_ON = 100
_TERMS = {"Convolution": 2, "ConvolutionDepthWise": 1, "InnerProduct": 2}


@dataclass(frozen=True, kw_only=True)
class Int8Weights:
    """A layer's weights and bias as they were decided, before its encodings are worked in.

    Args:
        codes: int8, in the float weights' shape ``(out, inputs of a group, kernel...)``.
        scales: Codes a unit, float32 ``(out,)``.
        bias: Corrected, float64 ``(out,)``.
        feature_mask: Value of key 31, which switches off what the layer must not use; 0: nothing.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: Values
    feature_mask: int = 0


def int8_layer(layer: Layer, weights: Int8Weights, *, source: Encoding, handed_on: Encoding | None) -> Layer:
    """Return a float layer as an int8 one.

    Args:
        layer: A convolution, depthwise convolution or inner product in float.
        source: How the codes that it multiplies stand for numbers.
        handed_on: How those that it hands on do; None: it hands on floats.
    """
    codes, bias = weights.codes, _bias_from_zero(weights, source)
    direction = source.direction
    if handed_on is not None:
        direction *= handed_on.direction
        bias = handed_on.direction * (bias - handed_on.middle)
    codes = codes if direction == 1 else -codes
    term = _TERMS[layer.type] + (_HANDS_ON if handed_on else 0)
    written = _with_int8_params(layer, source, term, weights.feature_mask)
    if handed_on is not None:
        written = _with_activation_before(written, handed_on)
    arrays = [
        make_weight("weight", codes, Storage.INT8),
        make_weight("bias", bias.astype(np.float32), Storage.UNTAGGED),
        make_weight("weight_scales", weights.scales, Storage.UNTAGGED),
        make_weight("input_scales", np.array([source.scale], dtype=np.float32), Storage.UNTAGGED),
    ]
    if handed_on is not None:
        arrays.append(make_weight("output_scales", np.array([handed_on.scale], dtype=np.float32), Storage.UNTAGGED))
    return replace(written, weights=tuple(arrays))


def offering_layer(layer: Layer, offered: Encoding) -> Layer:
    """Return a float layer whose numbers its readers, all in int8, encode by a shifted range.

    It gives each number's distance from the middle of the range, and clips where the codes end.
    """
    middle, direction = offered.middle, float(offered.direction)
    moved = scale_outputs(layer, np.array([direction]), np.array([-direction * middle]))
    return with_activation(moved, Activation.CLIP, (-middle, middle))


def _bias_from_zero(weights: Int8Weights, source: Encoding) -> Values:
    """The bias plus what the number in the middle of the input's range contributes, from the weights as rounded."""
    sums = weights.codes.reshape(len(weights.codes), -1).sum(axis=1, dtype=np.int64) / weights.scales.astype(np.float64)
    return np.asarray(weights.bias + source.middle * sums)


def _with_int8_params(layer: Layer, source: Encoding, term: int, feature_mask: int) -> Layer:
    written = layer.with_param(1 if layer.type == "InnerProduct" else 5, 1).with_param(_INT8_TERM_KEY, term)
    if layer.type in CONVOLUTIONS_2D and pads_with_anything(layer):
        code = int(source.encode(np.array(pad_value_of(layer))))
        if code or pad_value_of(layer):
            written = written.with_param(PAD_VALUE_KEY, float(code))
    return written.with_param(_FEATURE_MASK_KEY, feature_mask) if feature_mask else written


def _with_activation_before(layer: Layer, handed_on: Encoding) -> Layer:
    """Leave out of the activation what clamping the codes does by itself: the engine is faster without."""
    kind, params = activation_of(layer), activation_params_of(layer)
    if handed_on.middle:
        kind = Activation.NONE  # the shifted range starts at zero and ends within any clip
    elif kind is Activation.CLIP and params[0] == 0 and handed_on.highest <= params[1]:
        kind = Activation.RELU
    return layer if kind is activation_of(layer) else with_activation(layer, kind)
