"""Rounding of weights: scales, bits, and outputs that change less than by rounding to nearest."""

from __future__ import annotations

import numpy as np
import pytest

from edgedeploy.quantize.ranges import multiply
from edgedeploy.quantize.rounding import (
    RoundedWeights,
    round_depthwise_for_outputs,
    round_for_inputs,
    round_for_outputs,
    round_to_nearest,
)

RANDOM = np.random.default_rng(8)
EIGHT = np.full(6, 8)


def correlated(rows: int, groups: int, inputs: int) -> np.ndarray:
    """Rows whose inputs hang together, as neighbouring pixels do."""
    mix = RANDOM.normal(size=(inputs, inputs)) + 2.0
    return (RANDOM.normal(size=(rows, groups, inputs)) @ mix).astype(np.float32)


def output_error(weight: np.ndarray, rounded: RoundedWeights, rows: np.ndarray) -> float:
    centred = rows - rows.mean(axis=0)
    return float(np.square(multiply(centred, rounded.values - weight)).sum())


def test_nearest_uses_the_whole_range_of_every_channel() -> None:
    weight = RANDOM.normal(size=(6, 20))
    rounded = round_to_nearest(weight, EIGHT)
    assert np.abs(rounded.codes).max(axis=1).tolist() == [127] * 6
    assert np.abs(rounded.values - weight).max() <= 0.5 / rounded.scales.min() * 1.001


def test_fewer_bits_have_smaller_codes() -> None:
    bits = np.array([8, 7, 6, 8, 7, 6])
    weight, rows = RANDOM.normal(size=(6, 20)), correlated(400, 1, 20)
    for rounded in (round_to_nearest(weight, bits), round_for_outputs(weight, rows, bits)):
        assert (np.abs(rounded.codes).max(axis=1) <= 2 ** (bits - 1) - 1).all()


@pytest.mark.parametrize("value", [0.0, 1e-38])
def test_a_channel_of_next_to_nothing_has_codes_of_zero_and_a_finite_scale(value: float) -> None:
    weight = RANDOM.normal(size=(6, 20))
    weight[3] = value
    for rounded in (round_to_nearest(weight, EIGHT), round_for_outputs(weight, correlated(400, 1, 20), EIGHT)):
        assert not rounded.codes[3].any()
        assert rounded.scales[3] == 1.0
        assert np.isfinite(rounded.scales).all()


def test_rounding_for_outputs_beats_nearest_on_rows_it_has_not_seen() -> None:
    weight, mix = RANDOM.normal(size=(6, 20)), correlated(1200, 1, 20)
    seen, unseen = mix[:800], mix[800:]
    smart = round_for_outputs(weight, seen, EIGHT)
    plain = round_to_nearest(weight, EIGHT)
    assert output_error(weight, smart, unseen) < 0.7 * output_error(weight, plain, unseen)


def test_depthwise_channels_are_rounded_each_by_itself() -> None:
    weight, rows = RANDOM.normal(size=(6, 9)), correlated(800, 6, 9)
    smart = round_depthwise_for_outputs(weight, rows, EIGHT)
    plain = round_to_nearest(weight, EIGHT)
    assert output_error(weight, smart, rows) < output_error(weight, plain, rows)
    alone = round_for_outputs(weight[[2]], rows[:, [2]], EIGHT[:1])
    assert np.array_equal(smart.codes[2], alone.codes[0])


def test_constant_inputs_leave_nothing_to_look_at() -> None:
    weight = RANDOM.normal(size=(6, 20))
    rounded = round_for_outputs(weight, np.ones((50, 1, 20), np.float32), EIGHT)
    assert np.array_equal(rounded.codes, round_to_nearest(weight, EIGHT).codes)


def test_a_scale_may_cut_a_weight_off_that_no_input_meets() -> None:
    weight = RANDOM.normal(size=(6, 20))
    weight[:, 0] = 4 * np.abs(weight).max()
    moments = np.ones(20)
    moments[0] = 1e-9
    rounded = round_for_inputs(weight, moments, EIGHT)
    assert (rounded.scales > round_to_nearest(weight, EIGHT).scales * 1.1).all()
