"""How many dimensions each blob has, as far as the layers alone tell.

A layer's meaning can hang on it: a per-channel factor runs along the rows of a 2-D blob. Source: src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D, DECONVOLUTIONS

Ranks = tuple[int | None, ...]

_SAME_AS_INPUT = frozenset(
    """
    AbsVal BNLL BatchNorm Bias CELU Cast Clip Concat Dropout ELU Eltwise Erf Exp GELU GroupNorm HardSigmoid HardSwish
    InstanceNorm Interp LRN LayerNorm Log MVN Mish Noop PReLU Padding Permute Power RMSNorm ReLU SELU Scale
    ShuffleChannel Shrink Sigmoid Slice Softmax Softplus Split Swish TanH Threshold UnaryOp
    """.split()
)
_FIXED = {"Flatten": 1, "MultiHeadAttention": 2, "Convolution1D": 2, "ConvolutionDepthWise1D": 2}
_SIZE_KEYS = (0, 1, 11, 2)


def ranks_of(graph: Graph) -> Mapping[str, int]:
    """Return the dimensions of the blobs that are known, batch not counted."""
    ranks: dict[str, int] = {}
    for layer in graph.layers:
        rank = _rank(layer, ranks)
        if rank:
            ranks |= dict.fromkeys(layer.outputs, rank)
    return ranks


def _rank(layer: Layer, ranks: Mapping[str, int]) -> int | None:
    inputs = tuple(ranks.get(blob) for blob in layer.inputs)
    if layer.type in _SAME_AS_INPUT:
        return inputs[0]
    if layer.type in _FIXED:
        return _FIXED[layer.type]
    rule = _RULES.get(layer.type)
    return rule(layer, inputs) if rule else None


def _convolved(_: Layer, inputs: Ranks) -> int | None:
    # One of a 1-D blob is computed as an inner product.
    return 1 if inputs[0] == 1 else 3


def _sized(layer: Layer, _: Ranks) -> int | None:
    return sum(layer.integer(key, 0) > 0 for key in _SIZE_KEYS)


def _pooled(layer: Layer, _: Ranks) -> int | None:
    return 1 if layer.integer(4, 0) else 3


def _multiplied(_: Layer, inputs: Ranks) -> int | None:
    # Rows of a matrix are taken one by one only if they are as wide as the weights, which is not known here.
    return 1 if inputs[0] in (1, 3) else None


def _matrix_product(layer: Layer, _: Ranks) -> int | None:
    return None if layer.integer(11, 0) else 2


def _broadcast(_: Layer, inputs: Ranks) -> int | None:
    known = [rank for rank in inputs if rank is not None]
    return max(known) if len(known) == len(inputs) else None


def _reshaped(layer: Layer, _: Ranks) -> int | None:
    if layer.param(6) is not None:
        return None
    keys = [key for key in _SIZE_KEYS if layer.integer(key, -233) != -233]
    return len(keys) or None


def _fewer_axes(layer: Layer, inputs: Ranks) -> int | None:
    """Squeeze and Reduction with their axes listed. A listed axis is taken as one that really goes."""
    axes, rank = layer.param(3), inputs[0]
    if rank is None or not isinstance(axes, tuple):
        return None
    if layer.type == "Reduction" and layer.integer(4, 0):
        return rank
    return rank - len(axes) if rank > len(axes) else None


_RULES: Mapping[str, Callable[[Layer, Ranks], int | None]] = dict.fromkeys(
    CONVOLUTIONS_2D | DECONVOLUTIONS, _convolved
) | {
    "Input": _sized,
    "MemoryData": _sized,
    "Pooling": _pooled,
    "InnerProduct": _multiplied,
    "Gemm": _matrix_product,
    "Reshape": _reshaped,
    "Squeeze": _fewer_axes,
    "Reduction": _fewer_axes,
    "BinaryOp": _broadcast,
}
