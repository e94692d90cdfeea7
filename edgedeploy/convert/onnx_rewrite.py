"""Rewrites of ONNX nodes that pnnx would refuse or, worse, translate wrongly without saying so. Each is exact.

Every rewrite works on a model with static input shapes; where a shape cannot be inferred it leaves the node alone, and
the gates after the conversion decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgedeploy.convert.onnx_ops import is_run
from edgedeploy.errors import UnsupportedOperatorError

AXIS_DEFAULT_CHANGED = 13
"""From this opset on Softmax works along one axis, the last by default; before, on everything behind axis 1."""


BELOW_EVERYTHING = -3e38
"""Padding of a maximum. Infinity has no text in a .param file."""


@dataclass
class _Rewriter:
    """The model under work: its opset, known shapes, constants, and names that are taken."""

    model: onnx.ModelProto
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, NDArray[Any]]
    made: int = field(default=0)

    @property
    def opset(self) -> int:
        return max((item.version for item in self.model.opset_import if item.domain in ("", "ai.onnx")), default=1)

    def fresh(self, stem: str) -> str:
        self.made += 1
        return f"{stem}_edgedeploy_{self.made}"

    def add_constant(self, stem: str, value: NDArray[Any]) -> str:
        name = self.fresh(stem)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


Nodes = list[onnx.NodeProto]
Rule = Callable[[_Rewriter, onnx.NodeProto], Nodes]


def rewrite_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every node has a form that the converter translates rightly.

    Raises:
        UnsupportedOperatorError: A Softmax of an old opset that spans several dimensions.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(result)
    rewriter = _Rewriter(model=result, shapes=_known_shapes(inferred), constants=_constants(result))
    nodes = [new for node in result.graph.node for new in _rewrite(rewriter, node)]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _rewrite(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    rule = _RULES.get(node.op_type)
    return rule(rewriter, node) if rule and node.domain in ("", "ai.onnx") else [node]


def _known_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        sizes = [item.dim_value for item in tensor.shape.dim]
        if tensor.HasField("shape") and all(size > 0 for size in sizes):
            shapes[value.name] = tuple(sizes)
    return shapes


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return values


def _attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def _with_attributes(node: onnx.NodeProto, values: Mapping[str, Any], drop: Iterable[str] = ()) -> onnx.NodeProto:
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    gone = {*values, *drop}
    kept = [item for item in node.attribute if item.name not in gone]
    del changed.attribute[:]
    changed.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in values.items())])
    return changed


# --- Softmax ---------------------------------------------------------------------------------------------------------


def _softmax(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    axis = _attribute(node, "axis")
    if rewriter.opset >= AXIS_DEFAULT_CHANGED:
        return [node if axis is not None else _with_attributes(node, {"axis": -1})]
    shape = rewriter.shapes.get(node.input[0])
    if shape is None:
        return [node if axis is not None else _with_attributes(node, {"axis": 1})]
    first = (1 if axis is None else axis) % len(shape)
    wide = [index for index in range(first, len(shape)) if shape[index] > 1]
    if len(wide) > 1:
        raise UnsupportedOperatorError(
            f"{node.op_type} {node.name or node.output[0]} of opset {rewriter.opset} spans the dimensions {wide} "
            f"of {list(shape)}",
            hint="export the model with opset 13 or later, where Softmax works along one axis",
        )
    return [_with_attributes(node, {"axis": wide[0] if wide else first})]


# --- padding ---------------------------------------------------------------------------------------------------------


def _window(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    """Conv, MaxPool, AveragePool: explicit pads in place of ``auto_pad``."""
    node = _explicit_pads(rewriter, node)
    even = {"AveragePool": _even_average, "MaxPool": _even_maximum}.get(node.op_type)
    return even(rewriter, node) if even else [node]


def _explicit_pads(rewriter: _Rewriter, node: onnx.NodeProto) -> onnx.NodeProto:
    auto_pad = _attribute(node, "auto_pad", b"NOTSET").decode()
    kernel = _kernel_shape(rewriter, node)
    shape = rewriter.shapes.get(node.input[0])
    if auto_pad == "NOTSET" or kernel is None or shape is None:
        return node
    ones = [1] * len(kernel)
    strides, dilations = _attribute(node, "strides", ones), _attribute(node, "dilations", ones)
    begins, ends = [0] * len(kernel), [0] * len(kernel)
    if auto_pad != "VALID":
        for index, size in enumerate(shape[2:]):
            reach = (kernel[index] - 1) * dilations[index] + 1
            outputs = -(-size // strides[index])
            total = max((outputs - 1) * strides[index] + reach - size, 0)
            small, large = total // 2, total - total // 2
            begins[index], ends[index] = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    return _with_attributes(node, {"pads": [*begins, *ends]}, drop=("auto_pad",))


def _kernel_shape(rewriter: _Rewriter, node: onnx.NodeProto) -> list[int] | None:
    own = _attribute(node, "kernel_shape")
    if own is not None:
        return list(own)
    weight = rewriter.constants.get(node.input[1]) if len(node.input) > 1 else None
    return None if weight is None else list(weight.shape[2:])


def _even_maximum(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    """Turn pads that differ between the sides into a Pad node: the converter takes the larger for both."""
    pads = list(_attribute(node, "pads", []))
    half = len(pads) // 2
    if pads[:half] == pads[half:] or _attribute(node, "ceil_mode", 0) or len(node.output) > 1:
        return [node]
    padded = rewriter.fresh(node.output[0])
    pool = _with_attributes(node, {"pads": [0] * len(pads)})
    pool.input[0] = padded
    everywhere = [0, 0, *pads[:half], 0, 0, *pads[half:]]
    return [_pad_node(rewriter, node, everywhere, padded, value=BELOW_EVERYTHING), pool]


def _even_average(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    """Turn pads that differ between the sides into a Pad node; a constant factor mends the divisor at the border."""
    kernel = list(_attribute(node, "kernel_shape", []))
    pads = list(_attribute(node, "pads", [0] * (2 * len(kernel))))
    begins, ends = pads[: len(kernel)], pads[len(kernel) :]
    shape = rewriter.shapes.get(node.input[0])
    ones = [1] * len(kernel)
    plain = not _attribute(node, "ceil_mode", 0) and list(_attribute(node, "dilations", ones)) == ones
    if begins == ends or shape is None or not plain:
        return [node]
    strides = list(_attribute(node, "strides", ones))
    padded, pooled = rewriter.fresh(node.output[0]), rewriter.fresh(node.output[0])
    pad = _pad_node(rewriter, node, [0, 0, *begins, 0, 0, *ends], padded)
    pool = helper.make_node(
        "AveragePool", [padded], [pooled], name=node.name, kernel_shape=kernel, strides=strides, pads=[0] * len(pads)
    )
    if _attribute(node, "count_include_pad", 0):
        pool.output[0] = node.output[0]
        return [pad, pool]
    factor = _divisor_correction(shape[2:], kernel, strides, begins, ends)
    scale = helper.make_node(
        "Mul", [pooled, rewriter.add_constant("divisor", factor)], [node.output[0]], name=rewriter.fresh("divisor")
    )
    return [pad, pool, scale]


def _pad_node(
    rewriter: _Rewriter, node: onnx.NodeProto, pads: list[int], output: str, *, value: float = 0.0
) -> onnx.NodeProto:
    name = rewriter.fresh(node.name or "pad")
    if rewriter.opset < 11:
        return helper.make_node("Pad", [node.input[0]], [output], name=name, mode="constant", pads=pads, value=value)
    inputs = [node.input[0], rewriter.add_constant("pads", np.array(pads, np.int64))]
    return helper.make_node(
        "Pad",
        [*inputs, rewriter.add_constant("fill", np.array(value, np.float32))],
        [output],
        name=name,
        mode="constant",
    )


def _divisor_correction(
    sizes: tuple[int, ...], kernel: list[int], strides: list[int], begins: list[int], ends: list[int]
) -> NDArray[np.float32]:
    """Kernel elements over those that lie inside the input, for every output position; shape (1, 1, spatial...)."""
    factor = np.ones((1, 1), np.float64)
    for size, reach, stride, begin, end in zip(sizes, kernel, strides, begins, ends, strict=True):
        starts = np.arange(0, size + begin + end - reach + 1, stride) - begin
        inside = np.minimum(starts + reach, size) - np.maximum(starts, 0)
        factor = factor[..., np.newaxis] * (reach / inside)
    return factor.astype(np.float32)


# --- operators in another form ---------------------------------------------------------------------------------------


def _chain(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    """Max, Min, Sum, Mean of many inputs: the converter drops all but two of a Max, and knows no Mean."""
    operator = {"Sum": "Add", "Mean": "Add"}.get(node.op_type, node.op_type)
    inputs = list(node.input)
    mean = node.op_type == "Mean"
    if len(inputs) == 2 and not mean:
        return [node]
    nodes: Nodes = []
    value = inputs[0]
    for index, other in enumerate(inputs[1:], start=1):
        output = rewriter.fresh(node.output[0]) if mean or index < len(inputs) - 1 else node.output[0]
        nodes.append(helper.make_node(operator, [value, other], [output], name=rewriter.fresh(node.name)))
        value = output
    if mean:
        share = rewriter.add_constant("share", np.array(1.0 / len(inputs), np.float32))
        nodes.append(helper.make_node("Mul", [value, share], [node.output[0]], name=node.name))
    return nodes or [helper.make_node("Identity", [value], [node.output[0]], name=node.name)]


def _transpose(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    shape = rewriter.shapes.get(node.input[0])
    if _attribute(node, "perm") is not None or shape is None:
        return [node]
    return [_with_attributes(node, {"perm": list(range(len(shape)))[::-1]})]


def _pad(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    return [node] if _attribute(node, "mode") is not None else [_with_pad_defaults(rewriter, node)]


def _with_pad_defaults(rewriter: _Rewriter, node: onnx.NodeProto) -> onnx.NodeProto:
    changed = _with_attributes(node, {"mode": "constant"})
    if rewriter.opset >= 11 and len(node.input) == 2:
        changed.input.append(rewriter.add_constant("zero", np.zeros((), np.float32)))
    return changed


def _upsample(_: _Rewriter, node: onnx.NodeProto) -> Nodes:
    return [node if _attribute(node, "mode") is not None else _with_attributes(node, {"mode": "nearest"})]


def _gather(rewriter: _Rewriter, node: onnx.NodeProto) -> Nodes:
    """A Gather of neighbours in order is a Slice."""
    indices = rewriter.constants.get(node.input[1])
    if indices is None or node.input[0] in rewriter.constants or not is_run(indices):
        return [node]
    axis = _attribute(node, "axis", 0)
    bounds = {"starts": int(indices[0]), "ends": int(indices[-1]) + 1, "axes": axis}
    if rewriter.opset < 10:
        lists = {name: [value] for name, value in bounds.items()}
        return [helper.make_node("Slice", [node.input[0]], list(node.output), name=node.name, **lists)]
    names = [rewriter.add_constant(name, np.array([value], np.int64)) for name, value in bounds.items()]
    return [helper.make_node("Slice", [node.input[0], *names], list(node.output), name=node.name)]


_RULES: Mapping[str, Rule] = {
    "AveragePool": _window,
    "Conv": _window,
    "Gather": _gather,
    "LogSoftmax": _softmax,
    "Max": _chain,
    "MaxPool": _window,
    "Mean": _chain,
    "Min": _chain,
    "Pad": _pad,
    "Softmax": _softmax,
    "Sum": _chain,
    "Transpose": _transpose,
    "Upsample": _upsample,
}
