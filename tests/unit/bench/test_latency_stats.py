"""Statistics against hand-worked values, known distributions and their own promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.latency_stats import (
    Verdict,
    count_outliers,
    find_drift,
    median_interval,
    median_ratio,
    stability_rule,
    summarize,
    supported_percentile,
)


def noise(center: float, spread: float, count: int, seed: int) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).normal(center, spread, count)]


def test_summary_by_hand() -> None:
    result = summarize([10.0, 20.0, 30.0, 40.0])
    assert (result.n, result.min_us, result.max_us) == (4, 10.0, 40.0)
    assert (result.median_us, result.mean_us) == (25.0, 25.0)
    assert result.mad_us == 10.0
    assert result.iqr_us == 15.0
    assert result.coefficient_of_variation == pytest.approx(math.sqrt(500 / 3) / 25)
    assert result.median_ci is None and result.drift is None
    assert result.verdict is Verdict.TOO_FEW


def test_single_sample() -> None:
    result = summarize([7.0])
    assert (result.median_us, result.coefficient_of_variation, result.iqr_us) == (7.0, 0.0, 0.0)


@pytest.mark.parametrize(("percent", "needed"), [(90, 10), (95, 20), (99, 100)])
def test_percentile_needs_a_sample_beyond_it(percent: int, needed: int) -> None:
    samples = [float(value) for value in range(needed)]
    assert supported_percentile(samples[:-1], percent) is None
    assert supported_percentile(samples, percent) == pytest.approx((needed - 1) * percent / 100)


def test_interval_needs_six_samples() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([1.0] * 6) is not None


def test_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        interval = median_interval(noise(100, 5, 30, seed))
        assert interval is not None
        covered += interval.low <= 100 <= interval.high
    assert 180 <= covered <= 199


def test_interval_is_the_same_every_time_and_narrows_with_samples() -> None:
    few, many = noise(100, 5, 10, 1), noise(100, 5, 1000, 1)
    assert median_interval(few) == median_interval(few)
    narrow, wide = median_interval(many), median_interval(few)
    assert narrow is not None and wide is not None
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3


def test_many_samples_are_resampled_in_chunks() -> None:
    interval = median_interval(noise(100, 1, 5000, 2))
    assert interval is not None and 99.8 < interval.low < interval.high < 100.2


def test_ratio_of_a_real_change_is_significant() -> None:
    result = median_ratio(noise(100, 2, 30, 1), noise(90, 2, 30, 2))
    assert result.ratio == pytest.approx(0.9, abs=0.02)
    assert result.significant is True
    assert result.interval is not None and result.interval.low < result.ratio < result.interval.high < 1


def test_ratio_of_the_same_thing_is_seldom_significant() -> None:
    false_alarms = sum(
        bool(median_ratio(noise(100, 5, 30, seed), noise(100, 5, 30, seed + 1000)).significant) for seed in range(100)
    )
    assert false_alarms <= 12


def test_ratio_of_few_samples_says_that_it_cannot_tell() -> None:
    result = median_ratio([100.0, 101.0], [50.0, 51.0])
    assert result.ratio == pytest.approx(50.5 / 100.5)
    assert (result.significant, result.interval, result.ranges_overlap) == (None, None, False)
    assert median_ratio([1.0, 3.0], [2.0, 4.0]).ranges_overlap


def test_ratio_of_nothing_to_nothing_is_one() -> None:
    assert median_ratio([0.0] * 10, [0.0] * 10).ratio == 1.0


def test_drift_is_found_in_a_board_that_heats_up_and_not_in_noise() -> None:
    heating = [100 + step for step in range(30)]
    found = find_drift([float(value) for value in heating])
    assert found is not None and found.detected and found.ratio > 1.1
    quiet = find_drift(noise(100, 1, 30, 3))
    assert quiet is not None and not quiet.detected
    assert find_drift([1.0] * 11) is None


def test_drift_below_two_percent_is_not_worth_a_word() -> None:
    small = find_drift([100.0] * 10 + [101.0] * 10)
    assert small is not None and small.ratio == pytest.approx(1.01) and not small.detected


def test_outliers_by_hand() -> None:
    assert count_outliers([100.0] * 9 + [200.0]) == 1
    assert count_outliers([100.0] * 9 + [101.0]) == 0, "within 2 % of the median"
    assert count_outliers([float(value) for value in range(100)]) == 0
    assert count_outliers([50.0] + [100.0] * 9) == 1, "below counts too"


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        (noise(100, 0.5, 30, 1), Verdict.STABLE),
        (noise(100, 20, 30, 1), Verdict.NOISY),
        ([100.0] * 25 + [150.0] * 5, Verdict.NOISY),
        ([100.0] * 15 + [120.0] * 15, Verdict.DRIFTING),
        ([100.0] * 5, Verdict.TOO_FEW),
        ([100.0] * 6, Verdict.STABLE),
    ],
)
def test_verdict(samples: list[float], verdict: Verdict) -> None:
    assert summarize(samples).verdict is verdict


def test_rule_names_its_thresholds() -> None:
    assert "5 % of the median" in stability_rule() and "10 % outliers" in stability_rule()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(min_value=0.0, max_value=1e9), min_size=1, max_size=40))
def test_promises_hold_for_any_samples(samples: list[float]) -> None:
    result = summarize(samples)
    assert result.min_us <= result.median_us <= result.max_us
    assert 0 <= result.outliers <= result.n == len(samples)
    if result.median_ci is not None:
        assert result.min_us <= result.median_ci.low <= result.median_ci.high <= result.max_us
    for percentile in (result.p90_us, result.p95_us):
        assert percentile is None or percentile <= result.max_us
