"""Each pass on networks that it must change and on others that it must leave alone; the engine is the judge."""

from __future__ import annotations

import numpy as np
import pytest
from graph_rewriting import CONV, HOSTS, INPUT, POOL, TOLERANCE, host, rewritten, unchanged
from hypothesis import given, settings
from hypothesis import strategies as st
from random_nets import outputs_of, random_net, types_of, with_values

from edgedeploy.graph import Graph, check_graph
from edgedeploy.graph.passes import (
    DEFAULT_PASSES,
    FUSE_ACTIVATIONS,
    FUSE_HARD_SWISH,
    GEMM_TO_INNER_PRODUCT,
    MERGE_SPLITS,
    REMOVE_NOOPS,
    largest_difference,
    run_passes,
)

# --- activations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("ReLU act 1 1 a y", 1),
        ("ReLU act 1 1 a y 0=0.2", 2),
        ("Clip act 1 1 a y 0=0.0 1=6.0", 3),
        ("Clip act 1 1 a y 0=-1", 3),
        ("Clip act 1 1 a y 1=0.5", 3),
        ("Sigmoid act 1 1 a y", 4),
        ("Mish act 1 1 a y", 5),
        ("HardSwish act 1 1 a y 0=0.166667 1=0.5", 6),
        ("HardSwish act 1 1 a y", 6),
    ],
)
def test_activations_fuse(key: str, line: str, number: int) -> None:
    lines, _ = host(key)
    changed = rewritten(random_net(*lines, line), FUSE_ACTIVATIONS)
    assert len(changed.layers) == len(lines)
    assert changed.layer("conv").integer(9, 0) == number


@pytest.mark.parametrize(
    "line", ["Swish act 1 1 a y", "TanH act 1 1 a y", "HardSigmoid act 1 1 a y", "GELU act 1 1 a y"]
)
def test_activations_without_a_number_stay(line: str) -> None:
    assert unchanged(random_net(INPUT, CONV, line), FUSE_ACTIVATIONS)


def test_the_second_of_two_activations_stays() -> None:
    changed = rewritten(random_net(INPUT, CONV, "ReLU r 1 1 a b", "Sigmoid s 1 1 b y"), FUSE_ACTIVATIONS)
    assert types_of(changed) == ["Input", "Convolution", "Sigmoid"]


@pytest.mark.parametrize("order", ["s1 g", "g s1"])
def test_a_gate_on_its_own_input_is_hard_swish(order: str) -> None:
    lines = [
        INPUT,
        CONV,
        "Split s 1 2 a s1 s2",
        "HardSigmoid h 1 1 s2 g 0=0.166667 1=0.5",
        f"BinaryOp mul 2 1 {order} y 0=2",
    ]
    changed = rewritten(random_net(*lines), FUSE_HARD_SWISH, REMOVE_NOOPS, FUSE_ACTIVATIONS)
    assert types_of(changed) == ["Input", "Convolution"]
    assert changed.layer("conv").integer(9, 0) == 6


def test_hard_swish_leaves_the_split_to_its_other_readers() -> None:
    lines = [
        INPUT,
        "Split s 1 3 x s1 s2 s3",
        "HardSigmoid h 1 1 s2 g 0=0.2 1=0.5",
        "BinaryOp mul 2 1 s1 g y 0=2",
        "ReLU r 1 1 s3 z",
    ]
    assert types_of(rewritten(random_net(*lines), FUSE_HARD_SWISH)) == ["Input", "Split", "HardSwish", "ReLU"]


def test_a_gate_on_another_blob_stays() -> None:
    """Squeeze and excitation: the gate comes from the blob by way of a pooling."""
    lines = [
        INPUT,
        "Split s 1 2 x s1 s2",
        POOL.replace(" x ", " s2 "),
        "HardSigmoid h 1 1 p g",
        "BinaryOp m 2 1 s1 g y 0=2",
    ]
    assert unchanged(random_net(*lines), FUSE_HARD_SWISH)


# --- Gemm ------------------------------------------------------------------------------------------------------------


MATRIX = "Input in 0 1 x 0=5 1=4"


@pytest.mark.parametrize(
    "form",
    ["3=1 6=1 10=4", "3=0 6=1 10=4", "3=1 6=1 10=0", "3=1 6=1 10=-1", "3=1", "3=1 6=1 10=4 0=0.5 1=2.0"],
)
def test_gemm_on_a_matrix_is_an_inner_product(form: str) -> None:
    graph = random_net(MATRIX, f"Gemm g 1 1 x y 5=1 8=7 9=5 {form}")
    assert types_of(rewritten(graph, GEMM_TO_INNER_PRODUCT, shape=(4, 5))) == ["Input", "InnerProduct"]


def test_gemm_on_a_vector_gives_a_matrix_and_stays() -> None:
    graph = random_net("Input in 0 1 x 0=5", "Gemm g 1 1 x y 3=1 5=1 6=1 8=7 9=5 10=4")
    assert outputs_of(graph, (5,))["y"].shape == (1, 7)
    assert unchanged(graph, GEMM_TO_INNER_PRODUCT)


@pytest.mark.parametrize("form", ["6=1 10=1 7=4", "6=1 10=3 7=4", "2=1", "14=1", "11=1", "18=2"])
def test_gemm_of_another_form_stays(form: str) -> None:
    assert unchanged(random_net(MATRIX, f"Gemm g 1 1 x y 3=1 5=1 8=7 9=5 {form}"), GEMM_TO_INNER_PRODUCT)


def test_gemm_on_a_blob_of_unknown_shape_stays() -> None:
    assert unchanged(random_net(INPUT, "Gemm g 1 1 x y 3=1 5=1 8=7 9=5"), GEMM_TO_INNER_PRODUCT)


# --- no-ops and Splits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "Noop n 1 1 a b",
        "Dropout n 1 1 a b",
        "Split n 1 1 a b",
        "Concat n 1 1 a b 0=0",
        "Permute n 1 1 a b 0=0",
        "Padding n 1 1 a b 0=0 1=0 2=0 3=0",
        "Reshape n 1 1 a b 0=0 1=0 2=-1",
        "BinaryOp n 1 1 a b 0=0 1=1 2=0.0",
        "BinaryOp n 1 1 a b 0=1 1=1 2=0.0",
        "BinaryOp n 1 1 a b 0=2 1=1 2=1.0",
        "BinaryOp n 1 1 a b 0=3 1=1 2=1",
    ],
)
def test_noops_go(line: str) -> None:
    in_the_middle = random_net(INPUT, CONV, line, "Swish act 1 1 b y")
    assert types_of(rewritten(in_the_middle, REMOVE_NOOPS)) == ["Input", "Convolution", "Swish"]
    at_the_end = random_net(INPUT, CONV, line)
    assert types_of(rewritten(at_the_end, REMOVE_NOOPS)) == ["Input", "Convolution"]


@pytest.mark.parametrize(
    "line",
    [
        "Dropout n 1 1 a b 0=0.5",
        "Permute n 1 1 a b 0=1",
        "Padding n 1 1 a b 0=1",
        "Reshape n 1 1 a b 0=0 1=-1",
        "Reshape n 1 1 a b 0=4 1=-1 2=6",
        "BinaryOp n 1 1 a b 0=7 1=1 2=0.0",
        "BinaryOp n 1 1 a b 0=8 1=1 2=1.0",
        "BinaryOp n 1 1 a b 0=6 1=1 2=1.0",  # the engine's power of a negative number is none
    ],
)
def test_what_does_something_stays(line: str) -> None:
    assert unchanged(random_net(INPUT, CONV, line, "Swish act 1 1 b y"), REMOVE_NOOPS)


def test_a_scale_of_ones_goes() -> None:
    graph = random_net(INPUT, "Swish act 1 1 x a", "Scale s 1 1 a y 0=3 1=1")
    graph = with_values(with_values(graph, "s", "scale", np.ones(3)), "s", "bias", np.zeros(3))
    assert types_of(rewritten(graph, REMOVE_NOOPS)) == ["Input", "Swish"]


def test_a_noop_between_an_input_and_an_output_stays() -> None:
    """The output would have to be the input's own blob."""
    assert unchanged(random_net(INPUT, "Dropout n 1 1 x y"), REMOVE_NOOPS)


def test_splits_of_splits_merge() -> None:
    lines = [
        INPUT,
        "Split s1 1 2 x a b",
        "Split s2 1 2 b c d",
        "Split s3 1 2 d e f",
        *(f"ReLU r{blob} 1 1 {blob} y{blob} 0=0.{place}" for place, blob in enumerate("acef", 1)),
    ]
    changed = rewritten(random_net(*lines), MERGE_SPLITS)
    assert types_of(changed) == ["Input", "Split", *["ReLU"] * 4]
    assert changed.layer("s1").outputs == ("a", "c", "e", "f")


# --- generated networks ----------------------------------------------------------------------------------------------

LINKS = {
    "conv": "Convolution n{i} 1 1 b{i} b{j} 0={c} 1=3 4=1 5={bias} 6={full}",
    "pointwise": "Convolution n{i} 1 1 b{i} b{j} 0={c} 1=1 5={bias} 6={square}",
    "depthwise": "ConvolutionDepthWise n{i} 1 1 b{i} b{j} 0={c} 1=3 4=1 5={bias} 6={nine} 7={c}",
    "batch norm": "BatchNorm n{i} 1 1 b{i} b{j} 0={c} 1=1.000000e-02",
    "scale": "Scale n{i} 1 1 b{i} b{j} 0={c} 1={bias}",
    "mul": "BinaryOp n{i} 1 1 b{i} b{j} 0=2 1=1 2={value}",
    "add": "BinaryOp n{i} 1 1 b{i} b{j} 0=0 1=1 2={value}",
    "rsub": "BinaryOp n{i} 1 1 b{i} b{j} 0=7 1=1 2={value}",
    "relu": "ReLU n{i} 1 1 b{i} b{j}",
    "leaky": "ReLU n{i} 1 1 b{i} b{j} 0=0.1",
    "clip": "Clip n{i} 1 1 b{i} b{j} 0=0.0 1=6.0",
    "hard swish": "HardSwish n{i} 1 1 b{i} b{j} 0=0.166667 1=0.5",
    "swish": "Swish n{i} 1 1 b{i} b{j}",
    "dropout": "Dropout n{i} 1 1 b{i} b{j}",
    "gate": "Split s{i} 1 2 b{i} t{i} u{i};HardSigmoid h{i} 1 1 t{i} v{i} 0=0.2 1=0.5;"
    "BinaryOp n{i} 2 1 u{i} v{i} b{j} 0=2",
    "residual": "Split s{i} 1 2 b{i} t{i} u{i};Convolution c{i} 1 1 t{i} v{i} 0={c} 1=1 5=1 6={square};"
    "BinaryOp n{i} 2 1 u{i} v{i} b{j} 0=0",
}


@st.composite
def chains(draw: st.DrawFn) -> Graph:
    """A network of up to twelve random links."""
    channels = draw(st.integers(1, 5))
    lines = [f"Input in 0 1 b0 0=7 1=6 2={channels}"]
    for place, key in enumerate(draw(st.lists(st.sampled_from(sorted(LINKS)), min_size=1, max_size=12))):
        text = LINKS[key].format(
            i=place,
            j=place + 1,
            c=channels,
            bias=draw(st.integers(0, 1)),
            full=9 * channels**2,
            square=channels**2,
            nine=9 * channels,
            value=draw(st.sampled_from([0.5, -0.5, 1.0, 0.25, 2.0])),
        )
        lines += text.split(";")
    return random_net(*lines, seed=draw(st.integers(0, 99)))


@settings(max_examples=120, deadline=None)
@given(graph=chains())
def test_all_passes_keep_the_outputs_of_any_network(graph: Graph) -> None:
    shape = tuple(graph.layers[0].integer(key, 0) for key in (2, 1, 0))
    expected = outputs_of(graph, shape)
    changed = graph
    for item in DEFAULT_PASSES:
        changed = item.apply(changed)
        check_graph(changed)
        found = outputs_of(changed, shape)
        assert found.keys() == expected.keys()
        assert largest_difference(found, expected) < TOLERANCE, item.name
    assert len(changed.layers) <= len(graph.layers)
    _, records = run_passes(graph, lambda item: outputs_of(item, shape))
    assert all(record.kept for record in records)
