"""The numpy emulator of int8 layers against the engine on ARM cores under QEMU, without and with dot product."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from code_nets import ONES, Scales, code_net, random_codes, with_codes
from int8_branches import HEIGHT, WAYS, WIDTH, Branches, branches, geometry_lines, release_of
from numpy.typing import NDArray
from runner_program import Runner

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph
from edgedeploy.quantize.accumulators import WINOGRAD_LIMIT, WINOGRAD_OFF, choose_accumulators
from edgedeploy.quantize.choices import Winograd
from edgedeploy.quantize.settings import Target

pytestmark = pytest.mark.cross

CHANNELS = (3, 5, 8, 12, 16, 24, 32, 64)
ACTIVATIONS = (
    "", "9=1", "9=2 -23310=1,1.250000e-01", "9=3 -23310=2,0,6", "9=4", "9=5", "9=6 -23310=2,1.666667e-01,5.000000e-01",
)  # fmt: skip
Way = tuple[str, tuple[str, ...]]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join((way[0], *way[1])).strip("-"))


def codes_as_floats() -> dict[int, FloatArray]:
    return {count: random_codes((count, HEIGHT, WIDTH), count).astype(np.float32) for count in CHANNELS}


def noise(largest: float = 1.0) -> dict[int, FloatArray]:
    random = np.random.default_rng(3)
    return {count: random.normal(0, largest, (count, HEIGHT, WIDTH)).astype(np.float32) for count in CHANNELS}


def product_lines() -> dict[str, int]:
    return {
        f"InnerProduct p{{i}} 1 1 b{{i}} out{{i}} 0={outputs} 2={outputs * inputs * HEIGHT * WIDTH} 8=2": inputs
        for outputs, inputs in ((7, 5), (16, 8), (24, 12), (33, 64))
    }


@pytest.fixture(scope="module", params=[False, True], ids=["floats", "codes"])
def sums(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Branches:
    """Layers whose outputs are their sums, reading floats or codes."""
    lines = geometry_lines(0, bias=0) | product_lines()
    directory = tmp_path_factory.mktemp("sums")
    return branches(directory, lines, scales=ONES, tensors=codes_as_floats(), quantizes=request.param)


@pytest.fixture(scope="module")
def requantized(tmp_path_factory: pytest.TempPathFactory) -> Branches:
    lines = geometry_lines(100, bias=1, activations=ACTIVATIONS)
    scales = Scales(weights=(100.0, 200.0), input=40.0, output=9.0)
    return branches(tmp_path_factory.mktemp("requantized"), lines, scales=scales, tensors=noise())


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Branches:
    lines = geometry_lines(0, bias=1, activations=ACTIVATIONS)
    scales = Scales(weights=(300.0, 500.0))
    return branches(tmp_path_factory.mktemp("floats"), lines, scales=scales, tensors=noise())


@ways
def test_sums_are_the_engines(runner: Runner, sums: Branches, tmp_path: Path, way: Way) -> None:
    core, options = way
    assert len(sums.expected) > 80
    for name, found in sums.run(runner, tmp_path, core, *options).items():
        assert np.abs(sums.expected[name]).max() > 1000
        np.testing.assert_array_equal(found, sums.expected[name], err_msg=name)


@ways
def test_requantized_codes_are_the_engines_but_for_rare_single_steps(
    runner: Runner, requantized: Branches, tmp_path: Path, way: Way
) -> None:
    core, options = way
    values = steps = 0
    for name, found in requantized.run(runner, tmp_path, core, *options).items():
        expected = requantized.expected[name]
        assert expected.dtype == np.int8
        assert len(np.unique(expected)) > 5
        # A depthwise variant clamps at -128: see the test below.
        difference = np.abs(np.maximum(found, -127) - expected)
        assert difference.max() <= 1, name
        steps += int(np.count_nonzero(difference))
        values += found.size
    assert values > 50_000
    assert steps <= values / 1000


@ways
def test_floats_agree(runner: Runner, floats: Branches, tmp_path: Path, way: Way) -> None:
    core, options = way
    for name, found in floats.run(runner, tmp_path, core, *options).items():
        np.testing.assert_allclose(found, floats.expected[name], rtol=2e-5, atol=2e-5, err_msg=name)


# --- codes from layer to layer ----------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("middle", [16, 12])
def test_codes_go_from_layer_to_layer_padded_with_the_largest_code(
    runner: Runner, tmp_path: Path, way: Way, middle: int
) -> None:
    """What a shifted range needs: readers of a Split, packed by eights and not, each padding with 127."""
    graph = code_net(
        "Input in0 0 1 in0",
        f"Convolution first 1 1 in0 a 0={middle} 1=3 4=1 5=1 6={middle * 72} 8=102",
        "Split split 1 4 a a0 a1 a2 a3",
        f"ConvolutionDepthWise deep 1 1 a0 b 0={middle} 1=5 4=2 5=1 6={middle * 25} 7={middle} 8=101 18=127",
        f"Convolution point 1 1 b c 0=24 1=1 5=1 6={middle * 24} 8=102",
        "Convolution last 1 1 c out0 0=8 1=3 4=1 5=1 6=1728 8=2 18=127",
        f"Convolution strided 1 1 a1 out1 0=5 1=5 3=2 4=2 5=1 6={middle * 125} 8=2 18=127",
        f"Convolution wide 1 1 a2 out2 0=16 1=3 4=1 5=1 6={middle * 144} 8=102 18=127",
        f"InnerProduct whole 1 1 a3 out3 0=10 1=1 2={middle * HEIGHT * WIDTH * 10} 8=2",
        scales=Scales(weights=(90.0, 110.0), input=40.0, output=9.0),
    )
    chain = release_of(tmp_path / "release", graph, {"in0": noise()[8]})
    core, options = way
    for name, found in chain.run(runner, tmp_path / "made", core, *options).items():
        expected = chain.expected[name].astype(np.float32)
        assert len(np.unique(expected)) > 8
        # A step in the middle of the chain would move the sums after it by far more.
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("channels", [12, 16])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_variant_clamps_at_minus_128(runner: Runner, tmp_path: Path, channels: int, stride: int) -> None:
    """The engine's 3x3, no activation, channels that are no multiple of eight: a step below the definition's clamp."""
    keys = f"0={channels} 1=3 3={stride} 4=2 15=3 6={channels * 9} 7={channels} 8=101"
    line = f"ConvolutionDepthWise deep 1 1 b{{i}} out{{i}} {keys}"
    made = branches(
        tmp_path / "release", {line: channels}, scales=replace(ONES, output=0.01), tensors=codes_as_floats()
    )
    found = made.run(runner, tmp_path / "made", "cortex-a72", "--disable-layers")["out0"]
    expected = made.expected["out0"]
    assert np.count_nonzero(expected == -127) > 10
    np.testing.assert_array_equal(np.maximum(found, -127), expected)
    assert (found.min() == -128) == (channels == 12)


# --- layers that scale their inputs themselves ------------------------------------------------------------------------


def dynamic_net() -> tuple[Graph, dict[str, FloatArray]]:
    random = np.random.default_rng(4)
    tensors = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in {"a": (16, 32), "b": (24, 32), "c": (9, 24), "steps": (7, 20)}.items()
    }
    graph = code_net(
        *(f"Input {name} 0 1 {name}" for name in tensors),
        "Split split_a 1 4 a a0 a1 a2 a3",
        "Split split_c 1 2 c c0 c1",
        "Split split_steps 1 5 steps s0 s1 s2 s3 s4",
        "Gemm both 2 1 a0 b gemm0 3=1 18=2",
        "Gemm right 1 1 a1 gemm1 3=1 5=1 6=1 7=16 8=12 9=32 10=4 18=2",
        "Gemm left 1 1 a2 gemm2 4=1 6=1 7=10 8=32 9=16 10=1 14=1 18=2",
        "InnerProduct rows 1 1 a3 product 0=20 1=1 2=640 8=2",
        "RNN rnn 1 1 s0 rnn 0=12 1=240 2=0 8=2",
        "GRU gru 1 1 s1 gru 0=12 1=1440 2=2 8=2",
        "LSTM lstm 1 1 s2 lstm 0=12 1=1920 2=2 8=2",
        "LSTM projected 1 1 s3 projected 0=8 1=960 2=1 3=12 8=2",
        "RNN backwards 1 1 s4 backwards 0=16 1=320 2=1 8=2",
        "MultiHeadAttention attention 1 1 c0 attention 0=16 1=4 2=384 3=24 4=24 18=2",
        "MultiHeadAttention cross 1 1 c1 cross 0=32 1=2 2=768 3=24 4=24 18=2 6=2.000000e-01",
        scales=Scales(weights=(300.0, 500.0)),
    )
    return graph, tensors


@ways
def test_dynamic_layers_agree(runner: Runner, tmp_path: Path, way: Way) -> None:
    graph, tensors = dynamic_net()
    made = release_of(tmp_path / "release", graph, tensors)
    core, options = way
    for name, found in made.run(runner, tmp_path / "made", core, *options).items():
        expected = made.expected[name]
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max(), err_msg=name)


# --- where F(4,3) ends ------------------------------------------------------------------------------------------------

INPUTS, OUTPUTS = 64, 16

ENGINE = "--disable-layers"


def loud_net(mask: int) -> Graph:
    line = f"Convolution conv 1 1 in0 out0 0={OUTPUTS} 1=3 5=0 6={INPUTS * OUTPUTS * 9} 8=2 31={mask}"
    return code_net("Input in0 0 1 in0", line, scales=ONES)


def loud_weights() -> NDArray[np.int64]:
    """Weights of growing size: the last channels' sums pass what F(4,3) carries."""
    weights = np.random.default_rng(0).integers(20, 128, (OUTPUTS, INPUTS, 3, 3))
    sizes = np.linspace(0.05, 1, OUTPUTS) * np.resize([1, -1], OUTPUTS)
    return np.round(weights * sizes.reshape(-1, 1, 1, 1)).astype(np.int64)


def loud_input() -> FloatArray:
    return np.random.default_rng(1).integers(60, 128, (INPUTS, 10, 14)).astype(np.float32)


def run_loud(
    runner: Runner, directory: Path, core: str, weights: NDArray[np.int64], mask: int, *options: str
) -> tuple[FloatArray, ...]:
    graph = loud_net(mask)
    graph = graph.with_layer(with_codes(graph.layer("conv"), weights))
    made = release_of(directory / "release", graph, {"in0": loud_input()})
    return made.run(runner, directory / "made", core, *options)["out0"], made.expected["out0"]


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_winograd_wraps_past_its_limit_only_without_dot_product(runner: Runner, tmp_path: Path, core: str) -> None:
    found, expected = run_loud(runner, tmp_path, core, loud_weights(), 0, ENGINE)
    beyond = np.abs(expected.astype(np.float64)) > WINOGRAD_LIMIT
    assert 0.01 < beyond.mean() < 0.5
    if core == "cortex-a76":
        np.testing.assert_array_equal(found, expected)
        return
    error = np.abs(found - expected)
    assert error[beyond].min() > 7_000_000
    # Short of the limit it divides by 576 in float32, which loses one of some sums from 1,864,136 to 2,097,151.
    assert error[~beyond].max() <= 1
    lossy = (np.abs(expected) >= 1_864_136) & (np.abs(expected) < 2_097_152)
    assert not error[~beyond & ~lossy].any()
    assert 0 < error[lossy].mean() < 0.5


def test_the_feature_mask_makes_it_right(runner: Runner, tmp_path: Path) -> None:
    found, expected = run_loud(runner, tmp_path, "cortex-a72", loud_weights(), WINOGRAD_OFF, ENGINE)
    np.testing.assert_array_equal(found, expected)


def test_the_operators_own_winograd_is_exact_and_nothing_is_given_up_for_it(runner: Runner, tmp_path: Path) -> None:
    weights = loud_weights()
    ours = Target(name="rk3399", dotprod=False, own_layers=True)
    anything = np.zeros((1, 1, INPUTS * 9), dtype=np.int8)
    choice = choose_accumulators(loud_net(0).layer("conv"), weights.astype(np.int8), anything, ours)
    assert (set(choice.bits), choice.winograd) == ({8}, Winograd.ON)
    found, expected = run_loud(runner, tmp_path, "cortex-a72", weights, choice.feature_mask)
    np.testing.assert_array_equal(found, expected)
    assert WINOGRAD_LIMIT < np.abs(expected).max() <= choice.bound


def test_the_choice_for_the_target_makes_it_right(runner: Runner, tmp_path: Path) -> None:
    """With calibration's windows the loud channels get fewer bits, or the layer does without F(4,3)."""
    layer, weights = loud_net(0).layer("conv"), loud_weights()
    codes = loud_input().astype(np.int8)
    views = np.lib.stride_tricks.sliding_window_view(codes, (3, 3), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    windows = views.reshape(-1, 1, INPUTS * 9)
    target = Target(name="rk3399", dotprod=False)
    # An output of one pixel pays for a tile of sixteen: F(4,3) has nothing to give for bits.
    choice = choose_accumulators(layer, weights.astype(np.int8), windows, target, output_size=(1, 1))
    assert choice.winograd is Winograd.OFF
    found, expected = run_loud(runner, tmp_path / "masked", "cortex-a72", weights, choice.feature_mask, ENGINE)
    np.testing.assert_array_equal(found, expected)

    few = weights.copy()
    few[: OUTPUTS - 1] = np.round(few[: OUTPUTS - 1] * 0.3)
    choice = choose_accumulators(layer, few.astype(np.int8), windows, target, output_size=(56, 56))
    assert choice.winograd is Winograd.ON
    assert [bits < 8 for bits in choice.bits] == [False] * (OUTPUTS - 1) + [True]
    found, expected = run_loud(runner, tmp_path / "whole", "cortex-a72", few, 0, ENGINE)
    assert np.abs(found - expected).max() > 7_000_000
    steps = 2 ** (np.array(choice.bits) - 1) - 1
    fewer = np.round(few * (steps / 127).reshape(-1, 1, 1, 1)).astype(np.int64)
    found, expected = run_loud(runner, tmp_path / "fewer", "cortex-a72", fewer, choice.feature_mask, ENGINE)
    assert np.abs(expected).max() <= choice.bound <= WINOGRAD_LIMIT
    assert np.abs(found - expected).max() <= 1
