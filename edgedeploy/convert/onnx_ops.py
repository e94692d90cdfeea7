"""Which ONNX operators reach ncnn, and in which form.

Source: each operator of the standard domain (opset 9 to 24) was put alone behind a convolution, converted with pnnx
20261020 and run in ncnn 1.0.20261020 against ONNX Runtime. The tables hold what loaded and agreed, directly or after
``onnx_rewrite``; tests/integration/test_convert_operators.py repeats the measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

_ELEMENTWISE = """
Abs Acos Acosh Add Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh Div Elu Erf Exp Floor Gelu HardSigmoid HardSwish
Identity LeakyRelu Log LogSoftmax Max Mean Min Mish Mod Mul Neg PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign
Sin Sinh Softmax Softplus Sqrt Sub Sum Swish Tan Tanh
"""
_LAYERS = """
AveragePool BatchNormalization Conv ConvTranspose Dropout Einsum GRU Gemm GlobalAveragePool GlobalMaxPool GridSample
GroupNormalization InstanceNormalization LRN LSTM LayerNormalization MatMul MaxPool RMSNormalization RNN ReduceL1
ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Resize Upsample
"""
_SHAPES = """
Cast Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather Pad Reshape Slice Split Squeeze
Transpose Unsqueeze
"""

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
SUPPORTED = frozenset((_ELEMENTWISE + _LAYERS + _SHAPES).split())
SHAPE_QUERIES = frozenset({"Shape", "Size"})


@dataclass(frozen=True, kw_only=True)
class NodeContext:
    """What a form's rule may look at: the node, and the constants among its inputs."""

    node: onnx.NodeProto
    constants: Mapping[str, NDArray[Any]]

    def attribute(self, name: str, default: Any) -> Any:
        for item in self.node.attribute:
            if item.name == name:
                return onnx.helper.get_attribute_value(item)
        return default

    def constant(self, index: int) -> NDArray[Any] | None:
        """The value of an input that is a constant, else None."""
        if index >= len(self.node.input):
            return None
        return self.constants.get(self.node.input[index])


def _cast_form(context: NodeContext) -> str | None:
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    target = context.attribute("to", onnx.TensorProto.FLOAT)
    return None if target in floats else f"to {onnx.TensorProto.DataType.Name(target).lower()}"


def _depth_to_space_form(context: NodeContext) -> str | None:
    mode = context.attribute("mode", b"DCR").decode()
    return None if mode == "CRD" else f"mode {mode}"


def _slice_form(context: NodeContext) -> str | None:
    steps = context.constant(4)
    if steps is None or np.all(steps == 1):
        return None
    return f"steps {steps.ravel().tolist()}"


def _gather_form(context: NodeContext) -> str | None:
    indices = context.constant(1)
    if indices is None or indices.ndim == 0 or is_run(indices):
        return None
    return f"{indices.size} indices that are no run"


def is_run(indices: NDArray[Any]) -> bool:
    """Tell whether indices are one-dimensional, not negative, and count up by one: a slice."""
    if indices.ndim != 1 or indices.size == 0 or indices[0] < 0:
        return False
    return bool(np.all(np.diff(indices) == 1))


FORMS: Mapping[str, Callable[[NodeContext], str | None]] = {
    "Cast": _cast_form,
    "DepthToSpace": _depth_to_space_form,
    "Gather": _gather_form,
    "Slice": _slice_form,
}
"""Rules for operators that arrive in some forms only: what is wrong with this one, or None."""
