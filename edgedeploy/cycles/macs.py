"""Multiply-accumulates of a layer, from its parameters and the shapes that it ran with.

They are those of the plain algorithm: a Winograd convolution counts as the convolution that it computes, so it may show
more of them a cycle than the core can do. Layers that are no matrix products count none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from edgedeploy.graph import Layer

Shape = tuple[int, ...]

_WEIGHT_SIZE = 6
_GATES = MappingProxyType({"LSTM": 4, "GRU": 3, "RNN": 1})


def macs_of(layer: Layer, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Return the multiply-accumulates of one layer.

    Args:
        inputs: Shapes of its inputs, channels first, without batch.
        outputs: Of its outputs.

    Example:
        >>> macs_of(pointwise_16_to_32, [(16, 10, 10)], [(32, 10, 10)])
        51200
    """
    count = _RULES.get(layer.type)
    return count(layer, inputs, outputs) if count is not None and inputs and outputs else 0


def _convolution(layer: Layer, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Every weight is used once for each place of the output."""
    return _weights(layer, inputs) * _places(outputs[0])


def _deconvolution(layer: Layer, inputs: Sequence[Shape], _outputs: Sequence[Shape]) -> int:
    """Every weight is used once for each place of the input."""
    return _weights(layer, inputs) * _places(inputs[0])


def _weights(layer: Layer, inputs: Sequence[Shape]) -> int:
    """Return how many weights there are; those that come as a second input have no size among the parameters."""
    dynamic = len(inputs) > 1 and layer.integer(_WEIGHT_SIZE, 0) == 0
    return math.prod(inputs[1]) if dynamic else layer.integer(_WEIGHT_SIZE, 0)


def _places(shape: Shape) -> int:
    return math.prod(shape[1:])


def _inner_product(layer: Layer, _inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    rows = math.prod(outputs[0]) // max(layer.integer(0, 1), 1)
    return layer.integer(2, 0) * rows


def _gemm(layer: Layer, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Output elements times the length of the sums, which a constant factor says or else an input's shape."""
    transposed_a, transposed_b = layer.integer(2, 0) == 1, layer.integer(3, 0) == 1
    constant_a, constant_b = layer.integer(4, 0) == 1, layer.integer(5, 0) == 1
    if constant_a and constant_b:
        depth = layer.integer(9, 0)
    elif constant_a:
        depth = _side(inputs[0], last=transposed_b)
    else:
        depth = _side(inputs[0], last=not transposed_a)
    return math.prod(outputs[0]) * depth


def _matmul(_layer: Layer, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    return math.prod(outputs[0]) * _side(inputs[0], last=True)


def _side(shape: Shape, *, last: bool) -> int:
    """Return columns or rows of a matrix, or of a stack of them; a vector is one row."""
    if last or len(shape) < 2:
        return shape[-1]
    return math.prod(shape[:-1]) if len(shape) == 2 else shape[-2]


def _attention(layer: Layer, inputs: Sequence[Shape], _outputs: Sequence[Shape]) -> int:
    """Four projections, the scores of all queries and keys, and their sums of values."""
    width = layer.integer(0, 0)
    query = inputs[0]
    key = inputs[1] if len(inputs) > 1 else query
    value = inputs[2] if len(inputs) > 2 else key
    queries, keys = math.prod(query[:-1]), math.prod(key[:-1])
    projections = width * (queries * query[-1] + keys * key[-1] + keys * value[-1] + queries * width)
    return projections + 2 * queries * keys * width


def _scaled_dot_product(_layer: Layer, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Scores of all queries and keys of each head, then sums of values of the outputs' width."""
    if len(inputs) < 3:
        return 0
    query, keys = inputs[0], inputs[1][-2]
    return math.prod(query) * keys + math.prod(outputs[0]) * keys


def _recurrent(layer: Layer, inputs: Sequence[Shape], _outputs: Sequence[Shape]) -> int:
    """For each step the weights of the input and those of the state, in every gate and direction."""
    width, weights, direction = layer.integer(0, 0), layer.integer(1, 0), layer.integer(2, 0)
    hidden = layer.integer(3, width) if layer.type == "LSTM" else width
    directions = 2 if direction == 2 else 1
    state = _GATES[layer.type] * hidden * width * directions
    projection = width * hidden * directions if hidden != width else 0
    return _places_in_time(inputs[0]) * (weights + state + projection)


def _places_in_time(shape: Shape) -> int:
    return math.prod(shape[:-1]) if len(shape) > 1 else 1


_Rule = Callable[[Layer, Sequence[Shape], Sequence[Shape]], int]
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "Convolution",
                "Convolution1D",
                "Convolution3D",
                "ConvolutionDepthWise",
                "ConvolutionDepthWise1D",
                "ConvolutionDepthWise3D",
                "DeformableConv2D",
            ),
            _convolution,
        ),
        **dict.fromkeys(
            (
                "Deconvolution",
                "Deconvolution1D",
                "Deconvolution3D",
                "DeconvolutionDepthWise",
                "DeconvolutionDepthWise1D",
                "DeconvolutionDepthWise3D",
            ),
            _deconvolution,
        ),
        "InnerProduct": _inner_product,
        "Gemm": _gemm,
        "MatMul": _matmul,
        "MultiHeadAttention": _attention,
        "SDPA": _scaled_dot_product,
        **dict.fromkeys(_GATES, _recurrent),
    }
)
