"""What the layers alone tell about a blob's values: that none is negative, or that none can be NaN."""

from __future__ import annotations

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import LINEAR_TYPES, Activation, activation_of, activation_params_of

_NEVER_NEGATIVE = frozenset({"AbsVal", "Exp", "HardSigmoid", "Sigmoid", "Softmax"})
_NEVER_NEGATIVE_ACTIVATIONS = frozenset({Activation.RELU, Activation.SIGMOID})
_SIGN_KEEPING = frozenset(
    "Concat Crop Dropout Flatten Noop Permute Pooling Reshape ShuffleChannel Slice Split Squeeze ExpandDims".split()
)
_SIGN_KEEPING_OPERATIONS = frozenset({0, 2, 4, 5})
"""Of BinaryOp: add, multiply, maximum, minimum."""
_FINITE_KEEPING = _SIGN_KEEPING | LINEAR_TYPES | {"Clip", "ReLU", "Interp", "HardSigmoid", "PReLU"}
_FINITE_KEEPING_OPERATIONS = _SIGN_KEEPING_OPERATIONS | {1}
"""Of BinaryOp: also subtract. What overflows in these is infinite before it is NaN."""


def never_negative(graph: Graph) -> frozenset[str]:
    """Return the blobs that hold nothing negative, whatever the input."""
    found: set[str] = set()
    for layer in graph.layers:
        if _makes_no_negative(layer) or (_keeps_sign(layer) and found.issuperset(layer.inputs)):
            found.update(layer.outputs)
    return frozenset(found)


def keeps_finite(layer: Layer) -> bool:
    """Whether the layer makes NaN only of what is not finite itself: the maximum of its blobs then shows it."""
    if layer.type == "BinaryOp":
        return layer.integer(0, 0) in _FINITE_KEEPING_OPERATIONS
    return layer.type in _FINITE_KEEPING


def _makes_no_negative(layer: Layer) -> bool:
    if layer.type in _NEVER_NEGATIVE:
        return True
    if layer.type == "ReLU":
        return not layer.param(0)
    if layer.type == "Clip":
        return _number(layer, 0) >= 0
    if layer.type not in LINEAR_TYPES:
        return False
    activation = activation_of(layer)
    clips_at_zero = activation is Activation.CLIP and min(activation_params_of(layer), default=-1.0) >= 0
    return activation in _NEVER_NEGATIVE_ACTIVATIONS or clips_at_zero


def _keeps_sign(layer: Layer) -> bool:
    if layer.type == "BinaryOp":
        operation, with_number = layer.integer(0, 0), layer.integer(1, 0)
        return operation in _SIGN_KEEPING_OPERATIONS and (not with_number or _number(layer, 2) >= 0)
    return layer.type in _SIGN_KEEPING


def _number(layer: Layer, key: int) -> float:
    value = layer.param(key)
    return float(value) if isinstance(value, int | float) else -1.0
