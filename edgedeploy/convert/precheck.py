"""Finds, before converting, every operator of an ONNX model that would not arrive in ncnn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgedeploy.convert.onnx_ops import FORMS, SHAPE_QUERIES, STANDARD_DOMAINS, SUPPORTED, NodeContext
from edgedeploy.errors import UnsupportedOperatorError

QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"})

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""The converter fails on these even where their inputs are constants."""


def check_operators(model: onnx.ModelProto) -> None:
    """Stop where the model has operators that ncnn lacks.

    Raises:
        UnsupportedOperatorError: Lists every such operator with the names of its nodes.
    """
    found = unsupported_operators(model)
    if not found:
        return
    listed = "\n".join(f"  {operator}: {', '.join(names)}" for operator, names in sorted(found.items()))
    hint = "replace these operators, or cut the model before them and do their work after inference"
    if any(operator.split(" ")[0] in QUANTIZED for operator in found):
        hint = "the model is quantized already; give the float model it was made from"
    raise UnsupportedOperatorError(f"the model has operators that ncnn lacks:\n{listed}", hint=hint)


def unsupported_operators(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Return the operators that would not arrive in ncnn, each with its nodes' names.

    Nodes that no output needs are left out, and so are those that compute with constants and shapes alone: with static
    input shapes the converter folds them.

    Example:
        >>> unsupported_operators(model)
        {'NonMaxSuppression': ('nms',), 'Slice (steps [2])': ('focus_0', 'focus_1')}
    """
    constants = _constant_values(model.graph)
    folded = _folded_names(model.graph, set(constants))
    found: dict[str, list[str]] = {}
    for node in _needed_nodes(model.graph):
        if all(name in folded for name in node.output if name):
            continue
        fault = _fault(node, constants)
        if fault is not None:
            found.setdefault(fault, []).append(node.name or f"making {node.output[0]}")
    return {operator: tuple(names) for operator, names in found.items()}


def _fault(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> str | None:
    if node.domain not in STANDARD_DOMAINS:
        return f"{node.domain}.{node.op_type}"
    if node.op_type not in SUPPORTED:
        return str(node.op_type)
    rule = FORMS.get(node.op_type)
    reason = rule(NodeContext(node=node, constants=constants)) if rule else None
    return f"{node.op_type} ({reason})" if reason else None


def _constant_values(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute:
            value = onnx.helper.get_attribute_value(node.attribute[0])
            if isinstance(value, onnx.TensorProto):
                values[node.output[0]] = numpy_helper.to_array(value)
    return values


def _folded_names(graph: onnx.GraphProto, constants: set[str]) -> set[str]:
    """Names whose values do not depend on what the inputs hold."""
    folded = constants | {""}
    for node in graph.node:
        plain = node.op_type not in CONTROL_FLOW and not node.op_type.startswith("Random")
        from_constants = plain and bool(node.input) and all(name in folded for name in node.input)
        if node.op_type in SHAPE_QUERIES or node.op_type == "Constant" or from_constants:
            folded.update(node.output)
    return folded


def _needed_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Nodes that an output depends on, in the graph's order."""
    needed = {item.name for item in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(_outer_names(node))
    yield from reversed(kept)


def _outer_names(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the node's subgraphs (If, Loop, Scan) read."""
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
        for graph in graphs:
            for inner in graph.node:
                yield from inner.input
                yield from _outer_names(inner)
