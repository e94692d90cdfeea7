"""Each folding pass on networks that it must change and on others that it must leave alone; the engine is the judge."""

from __future__ import annotations

import numpy as np
import pytest
from graph_rewriting import CONV, HOSTS, INPUT, host, rewritten, unchanged
from random_nets import random_net, types_of, with_values

from edgedeploy.graph import Storage, make_weight
from edgedeploy.graph.passes import (
    FOLD_BATCH_NORM,
    FOLD_CONSTANTS,
    FOLD_FORWARD,
    FUSE_ACTIVATIONS,
    REMOVE_NOOPS,
)

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
