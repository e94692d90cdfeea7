"""The operator precheck: everything that ncnn lacks at once, and nothing that it has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import make_model

from edgedeploy.convert.precheck import check_operators, unsupported_operators
from edgedeploy.errors import UnsupportedOperatorError

SHAPE = (1, 4, 6, 6)


def _model(*nodes: onnx.NodeProto, weights: dict[str, np.ndarray] | None = None, opset: int = 17) -> onnx.ModelProto:
    return make_model(nodes, inputs={"x": SHAPE}, outputs=["y"], weights=weights, opset=opset, domains=["com.acme"])


def test_all_of_them_are_listed_with_their_nodes() -> None:
    model = _model(
        helper.make_node("Softsign", ["x"], ["a"], name="squash_1"),
        helper.make_node("Relu", ["a"], ["b"], name="fine"),
        helper.make_node("Softsign", ["b"], ["c"], name="squash_2"),
        helper.make_node("Warp", ["c"], ["d"], name="warp", domain="com.acme"),
        helper.make_node("Hardmax", ["d"], ["y"]),
    )
    assert unsupported_operators(model) == {
        "Softsign": ("squash_1", "squash_2"),
        "com.acme.Warp": ("warp",),
        "Hardmax": ("making y",),
    }
    with pytest.raises(UnsupportedOperatorError) as caught:
        check_operators(model)
    for text in ("Softsign: squash_1, squash_2", "com.acme.Warp: warp", "Hardmax: making y"):
        assert text in caught.value.message
    assert "fine" not in caught.value.message


def test_non_max_suppression_is_named() -> None:
    node = helper.make_node("NonMaxSuppression", ["x", "scores"], ["y"], name="nms")
    scores = {"scores": np.ones((1, 1, 6), np.float32)}
    assert unsupported_operators(_model(node, weights=scores)) == {"NonMaxSuppression": ("nms",)}


def test_if_is_named_and_what_its_branches_read_is_checked() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["r"])],
        "branch",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    model = _model(
        helper.make_node("Softsign", ["x"], ["a"], name="only_read_inside"),
        helper.make_node("If", ["flag"], ["y"], name="choose", then_branch=branch, else_branch=branch),
        weights={"flag": np.array(True)},
    )
    assert unsupported_operators(model) == {"If": ("choose",), "Softsign": ("only_read_inside",)}


def test_arithmetic_on_shapes_is_folded_and_no_fault() -> None:
    model = _model(
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "indices"], ["some"]),
        helper.make_node("Equal", ["some", "indices"], ["flags"]),
        helper.make_node("Where", ["flags", "indices", "some"], ["target"]),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
        weights={"indices": np.array([0, 3, 1])},
    )
    assert unsupported_operators(model) == {}


def test_the_same_operators_on_values_are_faults() -> None:
    model = _model(
        helper.make_node("Greater", ["x", "zero"], ["flags"], name="above"),
        helper.make_node("Where", ["flags", "x", "zero"], ["y"], name="pick"),
        weights={"zero": np.zeros(1, np.float32)},
    )
    assert unsupported_operators(model) == {"Greater": ("above",), "Where": ("pick",)}


def test_nodes_that_no_output_needs_do_not_count() -> None:
    model = _model(
        helper.make_node("Hardmax", ["x"], ["unused"]),
        helper.make_node("Relu", ["x"], ["y"]),
    )
    assert unsupported_operators(model) == {}


@pytest.mark.parametrize(
    ("node", "weights", "expected"),
    [
        (helper.make_node("Cast", ["x"], ["y"], name="n", to=TensorProto.INT64), {}, "Cast (to int64)"),
        (helper.make_node("Cast", ["x"], ["y"], name="n", to=TensorProto.FLOAT), {}, None),
        (helper.make_node("DepthToSpace", ["x"], ["y"], name="n", blocksize=2), {}, "DepthToSpace (mode DCR)"),
        (helper.make_node("DepthToSpace", ["x"], ["y"], name="n", blocksize=2, mode="CRD"), {}, None),
        (
            helper.make_node("Slice", ["x", "s", "e", "a", "p"], ["y"], name="n"),
            {"s": np.array([0]), "e": np.array([6]), "a": np.array([2]), "p": np.array([2])},
            "Slice (steps [2])",
        ),
        (
            helper.make_node("Slice", ["x", "s", "e", "a", "p"], ["y"], name="n"),
            {"s": np.array([0]), "e": np.array([5]), "a": np.array([2]), "p": np.array([1])},
            None,
        ),
        (
            helper.make_node("Gather", ["x", "i"], ["y"], name="n", axis=1),
            {"i": np.array([0, 2])},
            "Gather (2 indices that are no run)",
        ),
        (helper.make_node("Gather", ["x", "i"], ["y"], name="n", axis=1), {"i": np.array([1, 2])}, None),
        (helper.make_node("Gather", ["x", "i"], ["y"], name="n", axis=1), {"i": np.array(2)}, None),
    ],
)
def test_forms_are_told_apart(node: onnx.NodeProto, weights: dict[str, np.ndarray], expected: str | None) -> None:
    assert unsupported_operators(_model(node, weights=weights)) == ({} if expected is None else {expected: ("n",)})


def test_a_quantized_model_gets_its_own_hint() -> None:
    model = _model(
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="d"),
        weights={"s": np.float32(0.1).reshape(()), "z": np.uint8(128).reshape(())},
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        check_operators(model)
    assert "float model" in caught.value.hint
