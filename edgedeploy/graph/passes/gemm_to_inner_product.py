"""Turns Gemm with constant weights into InnerProduct.

The converter writes a Linear on a matrix as Gemm. InnerProduct takes each row of a matrix the same way, and has int8
weights with a scale an output, fused activations, and int8 kernels with static input scales.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgedeploy.graph.model import Graph, Layer, Param
from edgedeploy.graph.passes.affine import number
from edgedeploy.graph.passes.linear import Values
from edgedeploy.graph.passes.protocol import Pass
from edgedeploy.graph.passes.ranks import ranks_of
from edgedeploy.graph.storage import Storage, make_weight

_ALPHA, _BETA, _TRANSPOSE_A, _TRANSPOSE_B = 0, 1, 2, 3
_CONSTANT_A, _CONSTANT_B, _CONSTANT_C = 4, 5, 6
_COLUMNS, _DEPTH, _BROADCAST_C = 8, 9, 10
_OUTPUT_FORM_KEYS = (11, 12, 13, 14)
_QUANTIZE_TERM = 18
_FLOAT_STORAGES = frozenset({Storage.FP32, Storage.FP16, Storage.BF16, Storage.TABLE, Storage.RAW_FP32})


def _apply(graph: Graph) -> Graph:
    ranks = ranks_of(graph)
    for layer in graph.layers:
        if layer.type == "Gemm" and _is_row_product(layer, ranks):
            graph = graph.with_layer(_inner_product(layer))
    return graph


def _is_row_product(layer: Layer, ranks: Mapping[str, int]) -> bool:
    """Whether it multiplies each row of a matrix by a constant one and adds a constant row.

    A vector or a 3-D blob will not do: Gemm makes a matrix of them, InnerProduct a vector.
    """
    plain = all(layer.integer(key, 0) == 0 for key in (_TRANSPOSE_A, _CONSTANT_A, _QUANTIZE_TERM, *_OUTPUT_FORM_KEYS))
    constant = layer.integer(_CONSTANT_B, 0) == 1 and layer.weight("b").storage in _FLOAT_STORAGES
    if not plain or not constant or len(layer.inputs) != 1 or ranks.get(layer.inputs[0]) != 2:
        return False
    # Any other form of C has one number a row.
    return not layer.integer(_CONSTANT_C, 0) or layer.integer(_BROADCAST_C, 0) in (-1, 0, 4)


def _inner_product(layer: Layer) -> Layer:
    columns, depth = layer.integer(_COLUMNS, 0), layer.integer(_DEPTH, 0)
    alpha = number(layer, _ALPHA, 1.0)
    matrix: Values = np.asarray(layer.weight("b").array, dtype=np.float64)
    rows = matrix if layer.integer(_TRANSPOSE_B, 0) else matrix.T
    weights = [make_weight("weight", rows * alpha, Storage.FP32)]
    has_bias = any(weight.name == "c" for weight in layer.weights)
    if has_bias:
        row = np.asarray(layer.weight("c").array, dtype=np.float64).reshape(-1) * alpha * number(layer, _BETA, 1.0)
        weights.append(make_weight("bias", np.broadcast_to(row, columns), Storage.UNTAGGED))
    params = ((0, columns), (1, int(has_bias)), (2, columns * depth))
    return Layer(
        type="InnerProduct",
        name=layer.name,
        inputs=layer.inputs,
        outputs=layer.outputs,
        params=tuple(Param(key=key, value=value) for key, value in params),
        weights=tuple(weights),
    )


GEMM_TO_INNER_PRODUCT = Pass("gemm-to-inner-product", _apply)
