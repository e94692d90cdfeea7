"""Every operator that the precheck lets pass, converted and compared: what ``convert/onnx_ops.py`` rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.artifacts import ComparisonLimits, InputSpec, Sample
from edgedeploy.convert.onnx_ops import SUPPORTED
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.paths import CACHE_VARIABLE

Array = NDArray[Any]

LIMITS = ComparisonLimits(max_abs_error=1e-2, cosine=0.99999, sqnr_db=60.0)
SHAPE = (1, 8, 6, 10)
_RANDOM = np.random.default_rng(3)


def _floats(*shape: int) -> Array:
    return _RANDOM.normal(size=shape).astype(np.float32)


def _positive(*shape: int) -> Array:
    return np.abs(_floats(*shape)) + np.float32(0.5)


def _ints(*values: int) -> Array:
    return np.array(values, np.int64)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operator behind a 1x1 convolution. ``weights`` are its further inputs; ``wide`` counts inputs of data."""

    operator: str
    weights: tuple[Array, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    data_inputs: int = 1
    outputs: int = 1
    domain: str = "any"


def _case(
    operator: str, *weights: Array, data_inputs: int = 1, outputs: int = 1, domain: str = "any", **attributes: Any
) -> Case:
    return Case(
        operator=operator,
        weights=weights,
        attributes=attributes,
        data_inputs=data_inputs,
        outputs=outputs,
        domain=domain,
    )


UNARY = [
    *(
        _case(name)
        for name in [
            "Abs",
            "Asinh",
            "Atan",
            "Ceil",
            "Celu",
            "Cos",
            "Cosh",
            "Dropout",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "Gelu",
            "HardSigmoid",
            "HardSwish",
            "Identity",
            "LeakyRelu",
            "Mish",
            "Neg",
            "Relu",
            "Round",
            "Selu",
            "Shrink",
            "Sigmoid",
            "Sign",
            "Sin",
            "Sinh",
            "Softplus",
            "Tanh",
        ]
    ),
    *(_case(name, domain="unit") for name in ["Acos", "Asin", "Atanh", "Tan"]),
    *(_case(name, domain="above one") for name in ["Acosh", "Log", "Reciprocal", "Sqrt"]),
    _case("Clip", np.float32(-0.5).reshape(()), np.float32(0.5).reshape(())),
    _case("LogSoftmax", axis=1),
    _case("Softmax", axis=1),
    _case("Softmax"),
    _case("Cast", to=TensorProto.FLOAT),
]
BINARY = [
    *(_case(name, _positive(8, 1, 1)) for name in ["Add", "Div", "Max", "Min", "Mul", "Sub"]),
    *(_case(name, data_inputs=2) for name in ["Add", "Max", "Min", "Mul", "Sub"]),
    *(_case(name, data_inputs=3) for name in ["Max", "Mean", "Min", "Sum"]),
    _case("Mod", _positive(1), fmod=1),
    _case("PRelu", _floats(8, 1, 1)),
    _case("Pow", _positive(8, 1, 1), domain="above one"),
    _case("MatMul", _floats(10, 7)),
    _case("Einsum", _floats(10, 7), equation="bchw,wk->bchk"),
    _case("Concat", data_inputs=2, axis=1),
]
WINDOWS = [
    _case("Conv", _floats(4, 8, 3, 3), _floats(4)),
    _case("Conv", _floats(8, 1, 3, 3), group=8, auto_pad="SAME_LOWER", strides=[2, 2]),
    _case("ConvTranspose", _floats(8, 4, 3, 3), _floats(4), strides=[2, 2]),
    *(
        _case(name, kernel_shape=[3, 3], strides=[2, 2], **how)
        for name in ("AveragePool", "MaxPool")
        for how in ({}, {"pads": [1, 1, 1, 1]}, {"pads": [0, 0, 1, 1]}, {"pads": [1, 0, 0, 1]}, {"ceil_mode": 1})
    ),
    _case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
    _case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 1, 0], count_include_pad=1),
    _case("GlobalAveragePool"),
    _case("GlobalMaxPool"),
    _case("GridSample", _RANDOM.uniform(-1, 1, (1, 4, 5, 2)).astype(np.float32)),
]
NORMS = [
    _case("BatchNormalization", _floats(8), _floats(8), _floats(8), _positive(8)),
    _case("GroupNormalization", _floats(8), _floats(8), num_groups=4),
    _case("InstanceNormalization", _floats(8), _floats(8)),
    _case("LRN", size=5),
    _case("LayerNormalization", _floats(10), _floats(10), axis=-1),
    *(_case(f"Reduce{name}", _ints(2, 3)) for name in ["L1", "L2", "LogSumExp", "Mean", "Prod", "Sum"]),
]
SHAPES = [
    _case("Expand", _ints(1, 8, 6, 10)),
    _case("Flatten", axis=1),
    _case("Gather", np.array(2), axis=1),
    _case("Gather", _ints(1, 2, 3), axis=1),
    _case("Pad", _ints(0, 0, 1, 1, 0, 0, 1, 1)),
    _case("Pad", _ints(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"),
    _case("Reshape", _ints(1, 4, 12, 10)),
    _case("Resize", np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32), mode="linear"),
    _case(
        "Resize",
        np.zeros(0, np.float32),
        np.array([1, 1, 2, 2], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    _case("Slice", _ints(1), _ints(5), _ints(2)),
    _case("Split", _ints(3, 5), outputs=2, axis=1),
    _case("Transpose", perm=[0, 2, 3, 1]),
    _case("DepthToSpace", blocksize=2, mode="CRD"),
]
GROUPS = {
    "unary": (UNARY, 20),
    "binary": (BINARY, 20),
    "windows": (WINDOWS, 20),
    "norms": (NORMS, 21),
    "shapes": (SHAPES, 20),
    "older reductions": (
        [
            _case("ReduceMax", axes=[1]),
            _case("ReduceMin", axes=[1]),
            _case("ReduceSumSquare", axes=[2, 3]),
            _case("Unsqueeze", _ints(2)),
            _case("Constant"),
            _case("ConstantOfShape"),
        ],
        13,
    ),
    "oldest upsampling": ([_case("Upsample", np.array([1, 1, 2, 2], np.float32))], 9),
    "newest": ([_case("Swish"), _case("RMSNormalization", _floats(10), axis=-1)], 24),
}
PASSING_ON = frozenset({"Cast", "Dropout", "Identity"})
ELSEWHERE = frozenset({"GRU", "Gemm", "LSTM", "RNN", "Squeeze"})
"""Converted by the tests further down."""


def _nodes_of(case: Case, index: int, sources: dict[str, str], weights: dict[str, Array]) -> list[onnx.NodeProto]:
    outputs = [f"y{index}_{item}" for item in range(case.outputs)]
    source = sources[case.domain]
    if case.operator == "Constant":
        value = numpy_helper.from_array(_floats(8, 1, 1))
        made = helper.make_node("Constant", [], [f"c{index}"], value=value)
        return [made, helper.make_node("Mul", [source, f"c{index}"], outputs)]
    if case.operator == "ConstantOfShape":
        weights[f"w{index}"] = _ints(8, 1, 1)
        value = numpy_helper.from_array(np.array([2.5], np.float32))
        made = helper.make_node("ConstantOfShape", [f"w{index}"], [f"c{index}"], value=value)
        return [made, helper.make_node("Mul", [source, f"c{index}"], outputs)]
    if case.operator == "Unsqueeze":
        weights[f"axis{index}"], weights[f"w{index}"] = _ints(1), case.weights[0]
        low = helper.make_node("ReduceMean", [source], [f"low{index}"], axes=[1], keepdims=0)
        return [low, helper.make_node("Unsqueeze", [f"low{index}", f"axis{index}"], outputs)]
    if case.operator in PASSING_ON:
        # The converter crashes on several outputs that are one tensor.
        weights[f"w{index}"] = np.full(1, 1.5 + index, np.float32)
        passed = helper.make_node(case.operator, [source], [f"p{index}"], **case.attributes)
        return [passed, helper.make_node("Mul", [f"p{index}", f"w{index}"], outputs)]
    inputs = [source, "other", "third"][: case.data_inputs]
    if case.operator == "Expand":
        inputs = ["narrow"]
    for number, value in enumerate(case.weights):
        weights[f"w{index}_{number}"] = value
        inputs.append(f"w{index}_{number}")
    return [helper.make_node(case.operator, inputs, outputs, name=f"{case.operator}_{index}", **case.attributes)]


def _model(cases: list[Case], opset: int) -> onnx.ModelProto:
    """One model with an output (or more) for every case, each fed by a convolution of the input."""
    identity = np.eye(8, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    weights = {
        "plain": identity,
        "turned": np.roll(identity, 1, axis=0),
        "mirrored": -identity,
        "two": np.full(1, 2, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "plain"], ["any"]),
        helper.make_node("Conv", ["x", "turned"], ["other"]),
        helper.make_node("Conv", ["x", "mirrored"], ["third"]),
        helper.make_node("Tanh", ["any"], ["unit"]),
        helper.make_node("Add", ["unit", "two"], ["above one"]),
        helper.make_node("MaxPool", ["any"], ["narrow"], kernel_shape=[6, 1]),
    ]
    sources = {name: name for name in ("any", "unit", "above one")}
    for index, case in enumerate(cases):
        nodes += _nodes_of(case, index, sources, weights)
    outputs = [name for node in nodes for name in node.output if name.startswith("y")]
    graph = helper.make_graph(
        nodes,
        "operators",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 21 else 10)


def _convert(model: onnx.ModelProto, path: Path, shape: tuple[int, ...]) -> list[str]:
    """Convert and compare; return the outputs that are beyond the limits."""
    onnx.save_model(model, path)
    tensor = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    converted = convert_model(
        path,
        (InputSpec(name="x", shape=shape),),
        (Sample(name="random", raw={}, tensors={"x": tensor}),),
        fp16=False,
        limits=LIMITS,
        accept_differences=True,
    )
    assert converted.comparison is not None
    names = {item.name: item.source_name for item in converted.outputs}
    return [f"{names[item.name]}: {item}" for item in converted.comparison.outputs if not item.passed]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.mark.parametrize(("cases", "opset"), GROUPS.values(), ids=GROUPS)
def test_operators_mean_the_same_in_ncnn(cases: list[Case], opset: int, tmp_path: Path) -> None:
    assert _convert(_model(cases, opset), tmp_path / "m.onnx", SHAPE) == []


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_mean_the_same_in_ncnn(operator: str, gates: int, tmp_path: Path) -> None:
    weights = {
        "W": _floats(1, gates * 8, 10) * np.float32(0.3),
        "R": _floats(1, gates * 8, 8) * np.float32(0.3),
        "B": _floats(1, 2 * gates * 8) * np.float32(0.3),
        "axis": _ints(1),
    }
    how = {"linear_before_reset": 1} if operator == "GRU" else {}
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps_first"], perm=[1, 0, 2]),
        helper.make_node(operator, ["steps_first", "W", "R", "B"], ["states"], hidden_size=8, **how),
        helper.make_node("Squeeze", ["states", "axis"], ["squeezed"]),
        helper.make_node("Transpose", ["squeezed"], ["y"], perm=[1, 0, 2]),
    ]
    assert _convert(_plain_model(nodes, weights, (1, 5, 10)), tmp_path / "m.onnx", (1, 5, 10)) == []


def test_dense_layers_mean_the_same_in_ncnn(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    weights = {"w": _floats(7, 10), "b": _floats(7), "v": _floats(7, 3)}
    assert _convert(_plain_model(nodes, weights, (1, 10)), tmp_path / "m.onnx", (1, 10)) == []


def test_every_supported_operator_is_measured() -> None:
    measured = {case.operator for cases, _ in GROUPS.values() for case in cases}
    assert measured | ELSEWHERE == SUPPORTED


def _plain_model(nodes: list[onnx.NodeProto], weights: dict[str, Array], shape: tuple[int, ...]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
