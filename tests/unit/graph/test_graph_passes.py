"""Each pass on networks that it must change and on others that it must leave alone; the engine is the judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_nets import outputs_of, random_net, types_of, with_values

from edgedeploy.graph import Graph, Storage, check_graph, format_param, make_weight, parse_param
from edgedeploy.graph.passes import (
    DEFAULT_PASSES,
    FOLD_BATCH_NORM,
    FOLD_CONSTANTS,
    FOLD_FORWARD,
    FUSE_ACTIVATIONS,
    FUSE_HARD_SWISH,
    GEMM_TO_INNER_PRODUCT,
    MERGE_SPLITS,
    REMOVE_NOOPS,
    Pass,
    largest_difference,
    run_passes,
)

TOLERANCE = 1e-4
IMAGE = (3, 8, 10)

INPUT = "Input in 0 1 x"
CONV = "Convolution conv 1 1 x a 0=6 1=3 4=1 5=1 6=162"
HOSTS = {
    "conv": CONV,
    "conv without bias": "Convolution conv 1 1 x a 0=6 1=3 6=162",
    "conv stride and dilation": "Convolution conv 1 1 x a 0=6 1=3 2=2 3=2 4=2 5=1 6=162",
    "depthwise": "ConvolutionDepthWise conv 1 1 x a 0=3 1=3 4=1 5=1 6=27 7=3",
    "depthwise doubling": "ConvolutionDepthWise conv 1 1 x a 0=6 1=3 4=1 5=1 6=54 7=3",
    "deconv": "Deconvolution conv 1 1 x a 0=6 1=4 3=2 4=1 5=1 6=288",
    "deconv with output padding": "Deconvolution conv 1 1 x a 0=6 1=3 3=2 4=1 18=1 6=162",
    "deconv depthwise": "DeconvolutionDepthWise conv 1 1 x a 0=3 1=4 3=2 5=1 6=48 7=3",
    "inner product": "InnerProduct conv 1 1 p a 0=6 1=1 2=18",
}
POOL = "Pooling pool 1 1 x p 0=1 4=1"


def host(key: str) -> tuple[list[str], int]:
    """The lines of a network that ends with the blob ``a``, and its channels."""
    line = HOSTS[key]
    lines = [INPUT, POOL, line] if key == "inner product" else [INPUT, line]
    return lines, int(line.split("0=")[1].split()[0])


def rewritten(graph: Graph, *passes: Pass, shape: tuple[int, ...] = IMAGE) -> Graph:
    """Apply passes; what comes out is valid, can be written and read, and computes the same."""
    changed = graph
    for item in passes:
        changed = item.apply(changed)
    check_graph(changed)
    assert parse_param(format_param(changed)).blobs == changed.blobs
    assert set(changed.outputs) == set(graph.outputs)
    assert changed.inputs == graph.inputs
    assert largest_difference(outputs_of(changed, shape), outputs_of(graph, shape)) < TOLERANCE
    return changed


def unchanged(graph: Graph, item: Pass) -> bool:
    return item.apply(graph) is graph


# --- constants into the layer before ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", HOSTS)
def test_batch_norm_folds_into_every_kind_of_layer_before_it(key: str) -> None:
    lines, channels = host(key)
    graph = random_net(*lines, f"BatchNorm bn 1 1 a y 0={channels} 1=1.000000e-03")
    assert types_of(rewritten(graph, FOLD_BATCH_NORM)) == types_of(graph)[:-1]


def test_batch_norm_without_variance_divides_as_the_engine_does() -> None:
    graph = with_values(random_net(INPUT, CONV, "BatchNorm bn 1 1 a y 0=6"), "bn", "variance", np.zeros(6))
    assert types_of(rewritten(graph, FOLD_BATCH_NORM)) == ["Input", "Convolution"]


@pytest.mark.parametrize(
    "line",
    [
        "Scale s 1 1 a y 0=6",
        "Scale s 1 1 a y 0=6 1=1",
        "BinaryOp s 1 1 a y 0=0 1=1 2=0.7",
        "BinaryOp s 1 1 a y 0=1 1=1 2=0.7",
        "BinaryOp s 1 1 a y 0=2 1=1 2=-0.7",
        "BinaryOp s 1 1 a y 0=3 1=1 2=0.7",
        "BinaryOp s 1 1 a y 0=7 1=1 2=0.7",
        "BinaryOp s 1 1 a y 0=2 1=1 2=3",
    ],
)
@pytest.mark.parametrize("key", ["conv", "conv without bias", "inner product"])
def test_constants_of_a_layer_fold_into_the_one_before(key: str, line: str) -> None:
    lines, _ = host(key)
    graph = random_net(*lines, line)
    assert types_of(rewritten(graph, FOLD_CONSTANTS)) == types_of(graph)[:-1]


def test_a_bias_layer_folds_into_a_convolution_alone() -> None:
    """On a vector the engine adds its first number everywhere."""
    assert types_of(rewritten(random_net(INPUT, CONV, "Bias s 1 1 a y 0=6"), FOLD_CONSTANTS)) == [
        "Input",
        "Convolution",
    ]
    lines, _ = host("inner product")
    assert unchanged(random_net(*lines, "Bias s 1 1 a y 0=6"), FOLD_CONSTANTS)


@pytest.mark.parametrize("operation", [0, 1, 2, 3, 7, 8])
@pytest.mark.parametrize("order", ["a c", "c a"])
@pytest.mark.parametrize("size", ["0=1 1=1 2=6", "0=6", "0=1 1=6", "0=1"])
def test_constant_blobs_fold_into_the_convolution_before(operation: int, order: str, size: str) -> None:
    graph = random_net(INPUT, CONV, f"MemoryData c 0 1 c {size}", f"BinaryOp op 2 1 {order} y 0={operation}")
    changed = rewritten(graph, FOLD_CONSTANTS)
    divides_by_data = (operation == 3 and order == "c a") or (operation == 8 and order == "a c")
    assert types_of(changed) == (types_of(graph) if divides_by_data else ["Input", "Convolution"])


def test_a_vector_folds_into_an_inner_product() -> None:
    lines, _ = host("inner product")
    graph = random_net(*lines, "MemoryData c 0 1 c 0=6", "BinaryOp op 2 1 a c y 0=0")
    assert types_of(rewritten(graph, FOLD_CONSTANTS)) == ["Input", "Pooling", "InnerProduct"]


def test_a_constant_read_twice_goes_only_when_both_have_folded() -> None:
    lines = [
        INPUT,
        CONV,
        "MemoryData c 0 1 c 0=1 1=1 2=6",
        "Split split 1 2 c c1 c2",
        "BinaryOp mul 2 1 a c1 b 0=2",
        "BinaryOp add 2 1 b c2 y 0=0",
    ]
    assert types_of(rewritten(random_net(*lines), FOLD_CONSTANTS)) == ["Input", "Convolution"]
    lines[-1] = "BinaryOp max 2 1 b c2 y 0=4"
    left = rewritten(random_net(*lines), FOLD_CONSTANTS, REMOVE_NOOPS)
    assert types_of(left) == ["Input", "Convolution", "MemoryData", "BinaryOp"]


@pytest.mark.parametrize(
    ("line", "constant"),
    [
        ("BinaryOp op 2 1 a c y 0=2", "0=10 1=8 2=6"),  # one number a pixel
        ("BinaryOp op 2 1 a c y 0=2", "0=10 1=1 2=1"),  # one a column
        ("BinaryOp op 2 1 a c y 0=2", "0=10"),  # as long as the width, not as the channels
        ("BinaryOp op 2 1 a c y 0=4", "0=6"),  # a maximum
    ],
)
def test_constants_that_are_not_a_number_a_channel_stay(line: str, constant: str) -> None:
    assert unchanged(random_net(INPUT, CONV, f"MemoryData c 0 1 c {constant}", line), FOLD_CONSTANTS)


def test_a_constant_of_more_dimensions_would_change_the_shape_and_stays() -> None:
    lines, _ = host("inner product")
    graph = random_net(*lines, "MemoryData c 0 1 c 0=1 1=1 2=1", "BinaryOp op 2 1 a c y 0=2")
    assert unchanged(graph, FOLD_CONSTANTS)
    assert unchanged(graph, REMOVE_NOOPS)


def test_batch_norm_on_rows_of_a_matrix_stays() -> None:
    """With as many rows as columns nothing but the blob's dimensions tells that it runs along the rows."""
    graph = random_net("Input in 0 1 x 0=4 1=6", "InnerProduct ip 1 1 x a 0=6 1=1 2=24", "BatchNorm bn 1 1 a y 0=6")
    assert unchanged(graph, FOLD_BATCH_NORM)


def test_nothing_folds_past_another_reader_or_an_output() -> None:
    split = random_net(INPUT, CONV, "Split s 1 2 a b c", "BatchNorm bn 1 1 b y 0=6", "ReLU r 1 1 c z")
    assert unchanged(split, FOLD_BATCH_NORM)
    assert unchanged(split, FUSE_ACTIVATIONS)


def test_constants_that_are_not_finite_stay() -> None:
    assert unchanged(random_net(INPUT, CONV, "BinaryOp d 1 1 a y 0=3 1=1 2=0.0"), FOLD_CONSTANTS)
    graph = with_values(random_net(INPUT, CONV, "BatchNorm bn 1 1 a y 0=6"), "bn", "variance", -np.ones(6))
    assert unchanged(graph, FOLD_BATCH_NORM)


@pytest.mark.parametrize(
    ("activation", "line", "folds"),
    [
        ("9=1", "BinaryOp s 1 1 a y 0=2 1=1 2=1.5", True),
        ("9=1", "BinaryOp s 1 1 a y 0=2 1=1 2=-1.5", False),
        ("9=1", "BinaryOp s 1 1 a y 0=0 1=1 2=1.5", False),
        ("9=2 -23310=1,0.1", "BinaryOp s 1 1 a y 0=3 1=1 2=1.5", True),
        ("9=3 -23310=2,0.0,1.0", "BinaryOp s 1 1 a y 0=2 1=1 2=1.5", True),
        ("9=3 -23310=2,0.0,1.0", "BinaryOp s 1 1 a y 0=0 1=1 2=0.5", True),
        ("9=3 -23310=2,0.0,1.0", "BinaryOp s 1 1 a y 0=2 1=1 2=-0.5", False),
        ("9=3 -23310=2,0.0,1.0", "Scale s 1 1 a y 0=6", False),
        ("9=3 -23310=2,-3.4e38,3.4e38", "BinaryOp s 1 1 a y 0=2 1=1 2=1.5", False),
        ("9=4", "BinaryOp s 1 1 a y 0=2 1=1 2=1.5", False),
        ("9=6 -23310=2,0.166667,0.5", "BinaryOp s 1 1 a y 0=2 1=1 2=1.5", False),
    ],
)
def test_constants_fold_through_a_fused_activation_only_where_that_is_exact(
    activation: str, line: str, folds: bool
) -> None:
    graph = random_net(INPUT, f"{CONV} {activation}", line)
    assert types_of(rewritten(graph, FOLD_CONSTANTS)) == (["Input", "Convolution"] if folds else types_of(graph))


def test_int8_layers_and_weights_from_blobs_stay() -> None:
    quantized = random_net(INPUT, f"{CONV} 8=2", "ReLU r 1 1 a y")
    assert unchanged(quantized, FUSE_ACTIVATIONS)
    dynamic = random_net(
        INPUT, "MemoryData w 0 1 w 0=3 1=3 11=3 2=6", "Convolution conv 2 1 x w a 0=6 1=3 6=162 19=1", "ReLU r 1 1 a y"
    )
    assert unchanged(dynamic, FUSE_ACTIVATIONS)


def test_half_precision_weights_fold_into_single_ones() -> None:
    graph = random_net(INPUT, CONV, "BatchNorm bn 1 1 a y 0=6")
    conv = graph.layer("conv")
    half = conv.with_weight(make_weight("weight", conv.weight("weight").array, Storage.FP16))
    changed = rewritten(graph.with_layer(half), FOLD_BATCH_NORM)
    assert changed.layer("conv").weight("weight").storage is Storage.FP32


# --- constants into the layer behind ---------------------------------------------------------------------------------


READERS = {
    "conv": "Convolution after 1 1 b y 0=4 1=3 5=1 6=108",
    "padded": "Convolution after 1 1 b y 0=4 1=3 4=1 5=1 6=108",
    "padded on one side": "Convolution after 1 1 b y 0=4 1=3 4=0 15=1 5=1 6=108",
    "padded as needed": "Convolution after 1 1 b y 0=4 1=3 3=2 4=-233 5=1 6=108",
    "depthwise": "ConvolutionDepthWise after 1 1 b y 0=3 1=5 4=2 6=75 7=3",
    "depthwise doubling": "ConvolutionDepthWise after 1 1 b y 0=6 1=3 5=1 6=54 7=3",
    "deconv": "Deconvolution after 1 1 b y 0=4 1=4 3=2 4=1 5=1 6=192",
    "inner product": "InnerProduct after 1 1 b y 0=5 1=1 2=1200",
}
SOURCE = "Input in 0 1 x 0=10 1=8 2=3"


@pytest.mark.parametrize("key", READERS)
def test_a_factor_folds_into_the_layer_behind(key: str) -> None:
    graph = random_net(SOURCE, "Swish act 1 1 x a", "Scale s 1 1 a b 0=3", READERS[key])
    assert types_of(rewritten(graph, FOLD_FORWARD)) == ["Input", "Swish", types_of(graph)[-1]]


@pytest.mark.parametrize(
    ("key", "per_channel", "one_number"),
    [
        ("conv", True, True),
        ("padded", False, True),
        ("padded on one side", False, True),
        ("padded as needed", False, True),
        ("depthwise", False, True),
        ("depthwise doubling", True, True),
        ("deconv", False, False),
        ("inner product", True, True),
    ],
)
def test_a_shift_folds_into_the_layer_behind_unless_padding_shows_it(
    key: str, per_channel: bool, one_number: bool
) -> None:
    norm = random_net(SOURCE, "Swish act 1 1 x a", "BatchNorm s 1 1 a b 0=3", READERS[key])
    assert (len(rewritten(norm, FOLD_FORWARD).layers) == 3) is per_channel
    pair = ["BinaryOp mul 1 1 a m 0=2 1=1 2=0.4", "BinaryOp add 1 1 m b 0=0 1=1 2=-0.7"]
    scalars = random_net(SOURCE, "Swish act 1 1 x a", *pair, READERS[key])
    assert (len(rewritten(scalars, FOLD_FORWARD).layers) == 3) is one_number


def test_shifts_fold_into_a_pad_value_one_after_the_other() -> None:
    lines = [
        "BinaryOp add1 1 1 a b 0=0 1=1 2=0.5",
        "BinaryOp mul 1 1 b c 0=2 1=1 2=2.0",
        "BinaryOp add2 1 1 c d 0=0 1=1 2=1.0",
        "Convolution after 1 1 d y 0=4 1=3 4=1 5=1 6=108 18=0.25",
    ]
    changed = rewritten(random_net(SOURCE, "Swish act 1 1 x a", *lines), FOLD_FORWARD)
    # 0.25 is what 2 (x + 0.5) + 1 has to be there.
    assert changed.layer("after").param(18) == pytest.approx((0.25 - 1.0) / 2.0 - 0.5)


def test_a_factor_of_zero_keeps_its_padding() -> None:
    graph = random_net(SOURCE, "BinaryOp mul 1 1 x b 0=2 1=1 2=0.0", f"{READERS['padded']} 18=0.5")
    assert unchanged(graph, FOLD_FORWARD)


def test_constants_fold_behind_a_split_only_into_all_its_readers() -> None:
    split = ["BinaryOp mul 1 1 a c 0=2 1=1 2=0.4", "BinaryOp add 1 1 c d 0=0 1=1 2=0.3", "Split s 1 2 d b e"]
    both = [READERS["padded"], "ConvolutionDepthWise dw 1 1 e z 0=3 1=3 4=1 6=27 7=3"]
    changed = rewritten(random_net(SOURCE, "Swish act 1 1 x a", *split, *both), FOLD_FORWARD)
    assert types_of(changed) == ["Input", "Swish", "Split", "Convolution", "ConvolutionDepthWise"]
    one = random_net(SOURCE, "Swish act 1 1 x a", *split, READERS["padded"], "Pooling p 1 1 e z 4=1")
    assert unchanged(one, FOLD_FORWARD)


@pytest.mark.parametrize(("factor", "folds"), [(1.2, True), (-1.2, False)])
def test_hard_sigmoid_takes_a_positive_factor_and_a_shift(factor: float, folds: bool) -> None:
    affine = [f"BinaryOp mul 1 1 x b 0=2 1=1 2={factor}", "BinaryOp add 1 1 b c 0=0 1=1 2=0.3"]
    graph = random_net(INPUT, *affine, "HardSigmoid h 1 1 c y 0=0.166667 1=0.5")
    expected = ["Input", "HardSigmoid"] if folds else ["Input", "BinaryOp", "HardSigmoid"]
    assert types_of(rewritten(graph, FOLD_FORWARD)) == expected


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
