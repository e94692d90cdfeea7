"""Every rewrite is exact: ONNX Runtime answers the same before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper
from onnx_models import make_model, real_input, run_model

from edgedeploy.convert.onnx_model import check_structure
from edgedeploy.convert.onnx_rewrite import rewrite_nodes
from edgedeploy.errors import UnsupportedOperatorError


def _attributes(model: onnx.ModelProto, operator: str) -> list[dict[str, Any]]:
    return [
        {item.name: helper.get_attribute_value(item) for item in node.attribute}
        for node in model.graph.node
        if node.op_type == operator
    ]


def _same_answers(model: onnx.ModelProto, shape: tuple[int, ...], inputs: int = 1) -> onnx.ModelProto:
    """Rewrite, check the result and its answers, and return it."""
    rewritten = rewrite_nodes(model)
    check_structure(rewritten, Path("rewritten.onnx"))
    feeds = {item.name: real_input(shape, seed) for seed, item in enumerate(model.graph.input)}
    assert len(feeds) == inputs
    for before, after in zip(run_model(model, feeds), run_model(rewritten, feeds), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    return rewritten


def _window(operator: str, **attributes: Any) -> tuple[onnx.NodeProto, dict[str, Any]]:
    if operator == "Conv":
        kernel = attributes.pop("kernel_shape")
        return helper.make_node("Conv", ["x", "w"], ["y"], **attributes), {"w": real_input((3, 4, *kernel), 9)}
    return helper.make_node(operator, ["x"], ["y"], name="window", **attributes), {}


@given(
    operator=st.sampled_from(["Conv", "MaxPool", "AveragePool"]),
    auto_pad=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]),
    sizes=st.tuples(st.integers(5, 11), st.integers(5, 11)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_auto_pad_becomes_explicit_and_means_the_same(
    operator: str, auto_pad: str, sizes: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int]
) -> None:
    # ONNX Runtime computes negative pads for windows that leave gaps.
    assume(all(step <= reach for step, reach in zip(strides, kernel, strict=True)))
    node, weights = _window(operator, auto_pad=auto_pad, kernel_shape=kernel, strides=strides)
    shape = (1, 4, *sizes)
    rewritten = _same_answers(make_model([node], inputs={"x": shape}, outputs=["y"], weights=weights), shape)
    assert all("auto_pad" not in found for found in _attributes(rewritten, operator))
    if operator != "Conv":
        for found in _attributes(rewritten, operator):
            half = len(found["pads"]) // 2
            assert found["pads"][:half] == found["pads"][half:], "the converter gets uneven pools wrong"


@pytest.mark.parametrize("opset", [10, 13, 18])
@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_uneven_average_pads_keep_their_divisor(opset: int, count_include_pad: int) -> None:
    node, _ = _window(
        "AveragePool",
        kernel_shape=[3, 2],
        strides=[2, 1],
        pads=[0, 1, 2, 0],
        count_include_pad=count_include_pad,
    )
    shape = (1, 4, 7, 6)
    rewritten = _same_answers(make_model([node], inputs={"x": shape}, outputs=["y"], opset=opset), shape)
    assert _attributes(rewritten, "AveragePool")[0]["pads"] == [0, 0, 0, 0]


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(
    ("opset", "shape", "axis", "expected"),
    [
        (9, (1, 10), None, 1),
        (11, (1, 10, 1, 1), None, 1),
        (11, (1, 10, 1, 1), 2, 2),
        (11, (1, 4, 6), 2, 2),
        (11, (1, 1, 6), None, 2),
        (11, (1, 4, 6), -1, 2),
        (13, (1, 4, 6), None, -1),
        (13, (1, 4, 6), 1, 1),
    ],
)
def test_softmax_gets_the_axis_it_means(
    operator: str, opset: int, shape: tuple[int, ...], axis: int | None, expected: int
) -> None:
    node = helper.make_node(operator, ["x"], ["y"], **({} if axis is None else {"axis": axis}))
    rewritten = _same_answers(make_model([node], inputs={"x": shape}, outputs=["y"], opset=opset), shape)
    assert _attributes(rewritten, operator) == [{"axis": expected}]


def test_an_old_softmax_over_several_dimensions_is_refused_by_name() -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], name="attention_softmax")
    with pytest.raises(UnsupportedOperatorError, match="attention_softmax"):
        rewrite_nodes(make_model([node], inputs={"x": (1, 4, 6)}, outputs=["y"], opset=11))


@pytest.mark.parametrize("operator", ["Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_many_inputs_become_pairs(operator: str, count: int) -> None:
    names = [f"x{index}" for index in range(count)]
    node = helper.make_node(operator, names, ["y"], name="many")
    shape = (1, 2, 3, 4)
    rewritten = _same_answers(
        make_model([node], inputs=dict.fromkeys(names, shape), outputs=["y"]), shape, inputs=count
    )
    assert all(len(item.input) <= 2 for item in rewritten.graph.node)
    assert not _attributes(rewritten, "Mean")


def test_transpose_gets_its_default_order() -> None:
    node = helper.make_node("Transpose", ["x"], ["y"])
    rewritten = _same_answers(make_model([node], inputs={"x": (1, 2, 3)}, outputs=["y"]), (1, 2, 3))
    assert _attributes(rewritten, "Transpose") == [{"perm": [2, 1, 0]}]


def test_pad_gets_its_default_mode_and_value() -> None:
    node = helper.make_node("Pad", ["x", "pads"], ["y"])
    pads = {"pads": np.array([0, 0, 1, 2, 0, 0, 3, 4])}
    shape = (1, 2, 3, 4)
    rewritten = _same_answers(make_model([node], inputs={"x": shape}, outputs=["y"], weights=pads), shape)
    assert _attributes(rewritten, "Pad") == [{"mode": b"constant"}]
    assert len(rewritten.graph.node[0].input) == 3


@pytest.mark.parametrize("opset", [9, 17])
def test_a_gather_of_neighbours_becomes_a_slice(opset: int) -> None:
    node = helper.make_node("Gather", ["x", "indices"], ["y"], axis=1)
    weights = {"indices": np.array([1, 2, 3])}
    shape = (1, 5, 2)
    model = make_model([node], inputs={"x": shape}, outputs=["y"], weights=weights, opset=opset)
    assert [item.op_type for item in _same_answers(model, shape).graph.node] == ["Slice"]


@pytest.mark.parametrize("indices", [np.array(2), np.array([0, 2]), np.array([3, 2, 1]), np.array([-2, -1])])
def test_other_gathers_stay(indices: Any) -> None:
    node = helper.make_node("Gather", ["x", "indices"], ["y"], axis=1)
    model = make_model([node], inputs={"x": (1, 5, 2)}, outputs=["y"], weights={"indices": indices})
    assert [item.op_type for item in _same_answers(model, (1, 5, 2)).graph.node] == ["Gather"]


def test_the_given_model_is_left_alone() -> None:
    node, _ = _window("MaxPool", auto_pad="SAME_UPPER", kernel_shape=[2, 2])
    model = make_model([node], inputs={"x": (1, 4, 5, 5)}, outputs=["y"])
    before = model.SerializeToString()
    rewrite_nodes(model)
    assert model.SerializeToString() == before
