"""The engine's static int8 layers in numpy: the same integers, and the same float32 steps after them.

Static means that the input's scale is written in the model: Convolution, ConvolutionDepthWise and InnerProduct. Layers
that find the scales of their inputs while they run are in ``integer_dynamic``.

What holds against the engine: accumulators are the same numbers; requantized codes are at most one step apart, rarely
(the engine's variants differ among themselves in fused multiply-adds and in the order of the scales); floats differ in
their last bits. ``docs/int8_layers.md`` lists the places where the engine itself departs from this.

Source: ``forward_int8`` in the engine's src/layer/convolution.cpp, convolutiondepthwise.cpp, innerproduct.cpp; padding
in the same files; ``activation_ss`` in src/layer/fused_activation.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import ShapeMismatchError, UnsupportedOperatorError
from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.linear import PAD_VALUE_KEY, Activation, activation_of, activation_params_of
from edgedeploy.quantize.choices import LARGEST_CODE, round_to_codes
from edgedeploy.quantize.geometry import geometry_of

Codes = NDArray[np.int8]
Accumulators = NDArray[np.int32]

INT8_TERM_KEY = 8
REQUANTIZES_ABOVE = 100
_TYPES = frozenset({"Convolution", "ConvolutionDepthWise", "InnerProduct"})
_EXACT_FLOAT32 = 1 << 24
_SIGMOID_LIMIT = np.float32(88.3762626647949)


def is_static_int8(layer: Layer) -> bool:
    """Whether this module computes the layer."""
    return layer.type in _TYPES and layer.integer(INT8_TERM_KEY, 0) > 0


def engine_is_right(layer: Layer) -> bool:
    """Whether every variant of the engine computes an int8 layer as its own definition says.

    Wrong are convolutions in groups that hand on floats with a multiple of eight channels a group: on x86, and on ARM
    cores with half-precision arithmetic, the groups' outputs land in each other's places.
    """
    groups = layer.integer(7, 1) if layer.type == "ConvolutionDepthWise" else 1
    outputs = layer.integer(0, 0) // groups
    return groups == 1 or requantizes(layer) or outputs % 8 != 0


def requantizes(layer: Layer) -> bool:
    """Whether the layer hands on int8 codes."""
    return layer.type != "InnerProduct" and layer.integer(INT8_TERM_KEY, 0) > REQUANTIZES_ABOVE


def quantize_input(layer: Layer, blob: NDArray[Any]) -> Codes:
    """Return the codes that the layer multiplies: int8 as it is, floats by the layer's input scale."""
    if blob.dtype == np.int8:
        return blob
    scale = np.float32(layer.weight("input_scales").array[0])
    return round_to_codes(np.asarray(blob, dtype=np.float32) * scale)


def accumulate(layer: Layer, codes: Codes) -> Accumulators:
    """Return the sums of products of codes.

    Args:
        layer: Convolution, ConvolutionDepthWise or InnerProduct with int8 weights.
        codes: int8; ``(channels, height, width)`` for convolutions, any shape for an inner product.

    Returns:
        int32, ``(outputs, height, width)``; of an inner product ``(outputs,)``, or ``(rows, outputs)`` of a matrix
        whose rows are as long as the layer's input.

    Raises:
        UnsupportedOperatorError: Another layer.
        ShapeMismatchError: The input has other channels than the weights.
    """
    if not is_static_int8(layer):
        raise UnsupportedOperatorError(
            f"layer {layer.name} ({layer.type}) is no int8 layer with a scale of its input",
            hint="layers that scale their inputs themselves run in run_dynamic_int8",
        )
    if layer.type == "InnerProduct":
        return _multiply_rows(layer, codes)
    weight = layer.weight("weight").array
    groups = layer.integer(7, 1) if layer.type == "ConvolutionDepthWise" else 1
    if weight.shape[1] * groups != codes.shape[0]:
        raise _mismatch(layer, codes.shape[0], weight.shape[1] * groups)
    windows = _windows(layer, codes)
    if weight.shape[1] == 1 and groups == weight.shape[0]:
        return _convolve_depthwise(weight, windows)
    parts = zip(np.split(weight, groups), np.split(windows, groups), strict=True)
    return np.concatenate([_convolve(part, window) for part, window in parts])


def accumulator_units(layer: Layer) -> FloatArray:
    """Return what one unit of the accumulators stands for, float32 ``(outputs,)``; 0 where the weight scale is 0."""
    weight_scales = layer.weight("weight_scales").array.astype(np.float32)
    product = np.repeat(weight_scales, layer.integer(0, 0) // weight_scales.size)
    product = product * np.float32(layer.weight("input_scales").array[0])
    units = np.zeros_like(product)
    np.divide(np.float32(1), product, out=units, where=product != 0)
    return units


def activate(kind: Activation, params: tuple[float, ...], values: FloatArray) -> FloatArray:
    """Apply a fused activation in float32.

    Args:
        params: As ``activation_params_of`` gives them.
    """
    numbers = tuple(np.float32(item) for item in params)
    function = _ACTIVATIONS.get(kind)
    return values if function is None else np.asarray(function(values, *numbers), dtype=np.float32)


def run_int8_layer(layer: Layer, blob: NDArray[Any]) -> NDArray[Any]:
    """Run one layer.

    Args:
        layer: As for ``accumulate``.
        blob: float32 numbers, or int8 codes as an int8 layer before hands them on.

    Returns:
        float32 numbers with the activation applied, or int8 codes where the layer requantizes.

    Raises:
        UnsupportedOperatorError: As ``accumulate``.
        ShapeMismatchError: As ``accumulate``.
    """
    return finish(layer, accumulate(layer, quantize_input(layer, blob)))


def finish(layer: Layer, accumulators: Accumulators, *, units: FloatArray | None = None) -> NDArray[Any]:
    """Turn accumulators into what the layer hands on: scale, bias, activation, and the output scale.

    Args:
        units: What one unit of the accumulators stands for; None: ``accumulator_units``. On x86 the engine takes an
            approximate reciprocal for depthwise layers whose channels are a multiple of eight.
    """
    channels_last = layer.type == "InnerProduct"
    shape = (-1,) if channels_last else (-1, 1, 1)
    factors = accumulator_units(layer) if units is None else units
    values = accumulators.astype(np.float32) * factors.reshape(shape)
    if layer.integer(1 if channels_last else 5, 0):
        values = values + layer.weight("bias").array.astype(np.float32).reshape(shape)
    values = activate(activation_of(layer), activation_params_of(layer), values)
    if requantizes(layer):
        return round_to_codes(values * np.float32(layer.weight("output_scales").array[0]))
    return values


# --- activations -----------------------------------------------------------------------------------------------------


def _relu(values: FloatArray) -> FloatArray:
    return np.maximum(values, np.float32(0))


def _leaky_relu(values: FloatArray, slope: np.float32) -> FloatArray:
    return np.where(values > 0, values, values * slope)


def _clip(values: FloatArray, lowest: np.float32, highest: np.float32) -> FloatArray:
    return np.minimum(np.maximum(values, lowest), highest)


def _sigmoid(values: FloatArray) -> FloatArray:
    limited = np.clip(values, -_SIGMOID_LIMIT, _SIGMOID_LIMIT)
    return np.asarray(1 / (1 + np.exp(-limited)))


def _mish(values: FloatArray) -> FloatArray:
    # The engine takes log(exp(x) + 1); this is the same and does not overflow.
    return np.asarray(values * np.tanh(np.logaddexp(values, np.float32(0))))


def _hard_swish(values: FloatArray, alpha: np.float32, beta: np.float32) -> FloatArray:
    lower = -beta / alpha
    upper = 1 / alpha + lower
    inside = values * (values * alpha + beta)
    return np.where(values < lower, np.float32(0), np.where(values > upper, values, inside))


_ACTIVATIONS: Mapping[Activation, Callable[..., FloatArray]] = {
    Activation.RELU: _relu,
    Activation.LEAKY_RELU: _leaky_relu,
    Activation.CLIP: _clip,
    Activation.SIGMOID: _sigmoid,
    Activation.MISH: _mish,
    Activation.HARD_SWISH: _hard_swish,
}


# --- sums ------------------------------------------------------------------------------------------------------------


def _convolve(weight: Codes, windows: Codes) -> Accumulators:
    number = _exact_type(weight)
    total = np.tensordot(weight.astype(number), windows.astype(number), axes=((1, 2, 3), (0, 3, 4)))
    return _wrapped(total)


def _convolve_depthwise(weight: Codes, windows: Codes) -> Accumulators:
    factors = weight.astype(np.int32)
    total = np.zeros(windows.shape[:3], dtype=np.int32)
    for y, x in np.ndindex(weight.shape[2:]):
        total += windows[..., y, x] * factors[:, 0, y, x, None, None]
    return total


def _multiply_rows(layer: Layer, codes: Codes) -> Accumulators:
    weight = layer.weight("weight").array
    inputs = weight.shape[1]
    rows = codes if codes.ndim == 2 and codes.shape[1] == inputs else codes.reshape(-1)
    if rows.shape[-1] != inputs:
        raise _mismatch(layer, rows.shape[-1], inputs)
    number = _exact_type(weight)
    return _wrapped(rows.astype(number) @ weight.astype(number).T)


def _wrapped(total: NDArray[Any]) -> Accumulators:
    """Return whole numbers as the 32 bits that the engine keeps of them."""
    return np.asarray(total).astype(np.int64).astype(np.int32)


def _exact_type(weight: NDArray[Any]) -> type[np.floating[Any]]:
    """The float in which no sum of products can round: matrix products of floats are much faster than of integers."""
    largest = (
        int(np.abs(weight.astype(np.int64)).reshape(weight.shape[0], -1).sum(axis=1).max(initial=0)) * LARGEST_CODE
    )
    return np.float32 if largest < _EXACT_FLOAT32 else np.float64


def _mismatch(layer: Layer, got: int, wanted: int) -> ShapeMismatchError:
    return ShapeMismatchError(
        f"layer {layer.name} takes {wanted} channels and got {got}",
        hint="give it the blob that it reads in the network",
    )


# --- windows ---------------------------------------------------------------------------------------------------------


def _windows(layer: Layer, codes: Codes) -> Codes:
    """Return a view ``(channels, out height, out width, kernel height, kernel width)``."""
    # The pad value is in codes: the engine quantizes first and pads then, with what a cast to char makes of the number.
    value = layer.param(PAD_VALUE_KEY)
    code = int(value) if isinstance(value, int | float) else 0
    return geometry_of(layer, *codes.shape[1:]).windows(codes, code)
