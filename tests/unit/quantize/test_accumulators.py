"""Bounds of int8 sums, what a target's code carries, and the choice between fewer bits and slower code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from code_nets import ONES, code_net, random_codes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedeploy.graph import Layer
from edgedeploy.quantize.accumulators import (
    FEATURE_MASK_KEY,
    INT32_LIMIT,
    WINOGRAD_LIMIT,
    WINOGRAD_OFF,
    accumulator_bounds,
    accumulator_limit,
    bits_within,
    choose_accumulators,
    largest_sums,
    lost_sqnr_db,
    winograd_saving,
)
from edgedeploy.quantize.choices import Winograd
from edgedeploy.quantize.integer_layers import accumulate
from edgedeploy.quantize.settings import Target

PLAIN = Target(name="rk3399", dotprod=False)
DOTPROD = Target(name="rpi5", dotprod=True)
RUNNER = Target(name="rk3399", dotprod=False, own_layers=True)
CONVOLUTION = "Convolution conv 1 1 in0 out0 0=64 1=3 4=1 5=0 6=36864 8=2"


def layer_of(line: str = CONVOLUTION) -> Layer:
    return code_net("Input in0 0 1 in0", line, scales=ONES).layers[-1]


def filled(codes: dict[int, int], *, usual: int = 1, channels: int = 64) -> NDArray[np.int8]:
    """Weights of 64 inputs, the same in all of a channel: some channels' codes, and the others'."""
    weights = np.full((channels, 64, 3, 3), usual, dtype=np.int8)
    for channel, code in codes.items():
        weights[channel] = code
    return weights


def windows_of(code: int, rows: int = 20) -> NDArray[np.int8]:
    """Windows of codes around one, spread evenly as far as both ends allow."""
    spread = min(127 - code, 60)
    return (code + np.random.default_rng(0).integers(-spread, spread + 1, (rows, 1, 576))).astype(np.int8)


@pytest.mark.parametrize(
    ("line", "uses_winograd"),
    [
        (CONVOLUTION, True),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 6=576 8=102", True),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 6=576", True),
        ("Convolution conv 1 1 in0 out0 0=7 1=3 6=504 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 6=504 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 3=2 6=576 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 13=2 6=576 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 2=2 6=576 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 12=2 6=576 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 11=1 6=192 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=1 6=64 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=5 6=1600 8=2", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 6=576 8=2 31=64", False),
        ("Convolution conv 1 1 in0 out0 0=8 1=3 6=576 8=2 31=1", True),
        ("ConvolutionDepthWise conv 1 1 in0 out0 0=16 1=3 6=144 7=16 8=1", False),
        ("ConvolutionDepthWise conv 1 1 in0 out0 0=16 1=3 6=1152 7=2 8=101", True),
        ("InnerProduct conv 1 1 in0 out0 0=16 2=1600 8=2", False),
    ],
)
def test_where_the_engine_uses_winograd(line: str, uses_winograd: bool) -> None:
    expected = (WINOGRAD_LIMIT if uses_winograd else INT32_LIMIT, uses_winograd)
    assert accumulator_limit(layer_of(line), PLAIN) == expected
    assert accumulator_limit(layer_of(line), DOTPROD) == (INT32_LIMIT, False)


@settings(max_examples=25, derandomize=True, database=None, deadline=None)
@given(groups=st.sampled_from((1, 2, 8)), seed=st.integers(0, 99))
def test_the_largest_sums_of_windows_are_the_layers(groups: int, seed: int) -> None:
    line = f"ConvolutionDepthWise conv 1 1 in0 out0 0=8 1=3 6={8 * 8 // groups * 9} 7={groups} 8=101"
    if groups == 1:
        line = "Convolution conv 1 1 in0 out0 0=8 1=3 6=576 8=2"
    layer = code_net("Input in0 0 1 in0", line, scales=ONES, seed=seed).layers[-1]
    codes = random_codes((8, 6, 7), seed)
    windows = np.lib.stride_tricks.sliding_window_view(codes, (3, 3), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    found = largest_sums(layer.weight("weight").array, windows.reshape(20, groups, -1))
    assert found.tolist() == np.abs(accumulate(layer, codes)).max(axis=(1, 2)).tolist()


def test_bounds() -> None:
    codes = np.array([[[[127, -127, 2]]], [[[1, 0, -1]]]], dtype=np.int8)
    assert accumulator_bounds(codes).tolist() == [256 * 127, 2 * 127]
    assert accumulator_bounds(codes, np.array([1000, 200])).tolist() == [2000, 254]
    assert accumulator_bounds(codes, np.array([1000, 100]), safety=1.5).tolist() == [1500, 150]


def test_bits() -> None:
    limit = 1000
    # 7 bits scale sums by 63 / 127, 6 bits by 31 / 127.
    bounds = np.array([0, 1000, 1001, 2015, 2016, 2017, 4096, 4097])
    assert bits_within(bounds, limit).tolist() == [8, 8, 7, 7, 6, 6, 6, 0]


def test_a_bit_less_costs_decibels() -> None:
    codes, windows = filled({}, usual=60), windows_of(0)
    whole = np.full(64, 8)
    assert lost_sqnr_db(codes, windows, whole) == 0
    one = lost_sqnr_db(codes, windows, np.where(np.arange(64) == 0, 7, 8))
    every, two = lost_sqnr_db(codes, windows, whole - 1), lost_sqnr_db(codes, windows, whole - 2)
    assert 0 < one < 0.1 < every < two
    # Where the inputs' own noise is nothing against the weights', a bit costs all of its 6 dB.
    assert lost_sqnr_db(filled({}, usual=1), np.tile(np.int8([127, -127]), 288).reshape(1, 1, 576), whole - 1) == (
        pytest.approx(20 * np.log10(127 / 63), abs=0.01)
    )
    assert lost_sqnr_db(filled({}, usual=0), windows, whole - 1) == 0
    assert lost_sqnr_db(filled({0: 0}, usual=60), windows, np.where(np.arange(64) == 0, 6, 8)) == 0


@pytest.mark.parametrize(
    ("inputs", "outputs", "size", "measured"),
    [
        (16, 16, 56, 1.31), (64, 64, 28, 1.63), (128, 128, 28, 1.77), (128, 128, 14, 1.42), (512, 512, 7, 1.53),
        (96, 24, 40, 1.71), (8, 64, 28, 1.05),
    ],
)  # fmt: skip
def test_what_winograd_saves_is_what_was_measured(inputs: int, outputs: int, size: int, measured: float) -> None:
    assert 1 / (1 - winograd_saving(inputs, outputs, (size, size))) == pytest.approx(measured, rel=0.04)


def test_small_sums_keep_eight_bits_and_winograd() -> None:
    choice = choose_accumulators(layer_of(), filled({}, usual=20), windows_of(100), PLAIN)
    assert (set(choice.bits), choice.winograd, choice.feature_mask) == ({8}, Winograd.ON, 0)
    assert choice.bound == 576 * 20 * 127 <= choice.limit == WINOGRAD_LIMIT
    assert "not even the largest codes" in choice.reason


def test_calibration_shows_that_sums_stay_small() -> None:
    choice = choose_accumulators(layer_of(), filled({}, usual=127), windows_of(10), PLAIN)
    assert (set(choice.bits), choice.winograd) == ({8}, Winograd.ON)
    largest = int(largest_sums(filled({}, usual=127), windows_of(10)).max())
    assert choice.bound == 2 * largest <= WINOGRAD_LIMIT < 576 * 127 * 127
    assert "calibrated" in choice.reason


def test_a_few_large_channels_get_fewer_bits() -> None:
    codes = filled({3: 127, 7: -127}, usual=40)
    choice = choose_accumulators(layer_of(), codes, windows_of(60), PLAIN)
    assert choice.winograd is Winograd.ON
    assert choice.feature_mask == 0
    assert [channel for channel, bits in enumerate(choice.bits) if bits < 8] == [3, 7]
    assert choice.bound <= WINOGRAD_LIMIT
    assert choice.reason.startswith("2 of 64 channels have fewer bits")


def test_many_large_channels_do_without_winograd() -> None:
    choice = choose_accumulators(layer_of(), filled({}, usual=127), windows_of(60), PLAIN)
    assert (set(choice.bits), choice.winograd, choice.feature_mask) == ({8}, Winograd.OFF, WINOGRAD_OFF)
    assert WINOGRAD_LIMIT < choice.bound <= choice.limit == INT32_LIMIT
    assert choice.reason.startswith("64 of 64 channels would need fewer bits")


def test_sums_too_large_for_six_bits_do_without_winograd() -> None:
    line = "Convolution conv 1 1 in0 out0 0=16 1=3 5=0 6=73728 8=2"
    codes = np.full((16, 512, 3, 3), 10, dtype=np.int8)
    codes[0] = 127
    choice = choose_accumulators(layer_of(line), codes, np.full((4, 1, 4608), 120, dtype=np.int8), PLAIN)
    assert (set(choice.bits), choice.winograd) == ({8}, Winograd.OFF)
    assert "even with 6 bits" in choice.reason


def test_the_choice_falls_where_the_loss_meets_the_time_saved() -> None:
    """Fewer bits in more and more channels: at some number the layer is better off without F(4,3)."""
    windows = windows_of(60)
    choices = [
        choose_accumulators(layer_of(), filled(dict.fromkeys(range(count), 127), usual=40), windows, PLAIN)
        for count in range(1, 65, 3)
    ]
    kinds = [choice.winograd for choice in choices]
    turn = kinds.index(Winograd.OFF)
    assert turn > 0
    assert set(kinds[:turn]) == {Winograd.ON}
    assert set(kinds[turn:]) == {Winograd.OFF}
    # Where F(4,3) saves little, the turn comes sooner.
    narrow = choose_accumulators(
        layer_of(), filled(dict.fromkeys(range(turn), 127), usual=40), windows, PLAIN, output_size=(1, 1)
    )
    assert narrow.winograd is Winograd.OFF


def test_dot_product_and_masked_layers_keep_eight_bits() -> None:
    codes, windows = filled({}, usual=127), windows_of(120)
    for layer, target in ((layer_of(), DOTPROD), (layer_of().with_param(FEATURE_MASK_KEY, WINOGRAD_OFF), PLAIN)):
        choice = choose_accumulators(layer, codes, windows, target)
        assert (set(choice.bits), choice.winograd, choice.feature_mask) == ({8}, Winograd.NOT_USED, 0)
        assert choice.bound == 576 * 127 * 127
    assert "dot product" in choose_accumulators(layer_of(), codes, windows, DOTPROD).reason
    assert (
        "dot product" not in choose_accumulators(replace(layer_of(), type="InnerProduct"), codes, windows, PLAIN).reason
    )


def test_layers_of_the_runners_own_winograd_give_nothing_up() -> None:
    for layer, codes in (
        (layer_of(), filled({}, usual=127)),
        (layer_of(), filled({3: 127}, usual=40)),
        (layer_of(f"{CONVOLUTION} 9=3 -23310=2,0.0,6.0"), filled({}, usual=127)),
        (layer_of(f"{CONVOLUTION} 9=2 -23310=1,0.1"), filled({}, usual=127)),
        (layer_of(f"{CONVOLUTION} 9=4"), filled({}, usual=127)),
        (layer_of(f"{CONVOLUTION} 9=5"), filled({}, usual=127)),
        (layer_of(f"{CONVOLUTION} 9=6 -23310=2,0.166667,0.5"), filled({}, usual=127)),
    ):
        choice = choose_accumulators(layer, codes, windows_of(60), RUNNER)
        assert (set(choice.bits), choice.winograd, choice.feature_mask) == ({8}, Winograd.ON, 0)
        assert WINOGRAD_LIMIT < choice.bound <= choice.limit == INT32_LIMIT
        assert "own Winograd" in choice.reason


@pytest.mark.parametrize(
    "line",
    [
        "Convolution conv 1 1 in0 out0 0=60 1=3 4=1 5=0 6=34560 8=2",
        "Convolution conv 1 1 in0 out0 0=64 1=3 4=1 5=0 6=34560 8=2",
        f"{CONVOLUTION} 9=2 -23310=1,-0.1",
        f"{CONVOLUTION} 9=3 -23310=2,-6.0,0.0",
        f"{CONVOLUTION} 9=6 -23310=2,-0.166667,0.5",
        f"{CONVOLUTION} 9=6",
    ],
)
def test_what_the_runner_leaves_to_the_engine_keeps_to_the_engines_limit(line: str) -> None:
    layer = layer_of(line)
    outputs, inputs = layer.weight("weight").shape[:2]
    codes = np.full((outputs, inputs, 3, 3), 127, dtype=np.int8)
    windows = windows_of(60)[:, :, : inputs * 9]
    assert choose_accumulators(layer, codes, windows, RUNNER) == choose_accumulators(layer, codes, windows, PLAIN)
    assert choose_accumulators(layer, codes, windows, RUNNER).winograd is Winograd.OFF


def test_where_floats_are_halves_any_layer_may_come_to_the_engine() -> None:
    halves = replace(RUNNER, half_floats=True)
    found = choose_accumulators(layer_of(), filled({}, usual=127), windows_of(60), halves)
    assert found.winograd is Winograd.OFF
