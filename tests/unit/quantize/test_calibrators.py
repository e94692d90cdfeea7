from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedeploy.quantize.blob_statistics import BINS, BlobStatistics, MagnitudeHistogram
from edgedeploy.quantize.calibrators import threshold
from edgedeploy.quantize.kl import KL_BINS, LEVELS, best_bins, divergences
from edgedeploy.quantize.settings import Calibrator

ALL = tuple(Calibrator)
ENGINE_BINS = {
    "normal": (1950, 1860, 1855),
    "laplace": (1642, 1599, 1822),
    "relu": (1772, 1859, 1728),
    "relu6": (2046, 2046, 2047),
    "heavy": (463, 455, 237),
    "uniform": (2047, 2047, 2047),
    "outlier": (162, 159, 154),
    "few": (1152, 1297, 824),
}
"""What the engine's own ncnn2table makes of the histograms of these values, with seeds 0, 1 and 2."""


def statistics_of(values: NDArray[np.float64]) -> BlobStatistics:
    """Statistics that saw exactly these values, of one channel."""
    numbers = np.asarray(values, dtype=np.float32)
    histogram = MagnitudeHistogram()
    assert histogram.add(numbers)
    counts, edge = histogram.within(float(np.abs(numbers).max()))
    return BlobStatistics(
        blob="b",
        count=numbers.size,
        channel_minimum=numbers.min(keepdims=True).reshape(1),
        channel_maximum=numbers.max(keepdims=True).reshape(1),
        histogram=counts,
        edge=edge,
        zeros=histogram.zeros,
    )


def draw(kind: str, seed: int = 0) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    kinds: dict[str, Callable[[], NDArray[np.float64]]] = {
        "normal": lambda: random.normal(size=100_000),
        "laplace": lambda: random.laplace(size=100_000),
        "relu": lambda: np.maximum(random.normal(size=100_000), 0),
        "relu6": lambda: np.clip(random.normal(3, 3, size=100_000), 0, 6),
        "heavy": lambda: random.standard_t(2, size=100_000),
        "uniform": lambda: random.uniform(size=50_000),
        "outlier": lambda: np.append(random.normal(size=10_000), 50.0),
        "few": lambda: random.normal(size=20),
    }
    return kinds[kind]()


def shares_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The engine's histogram: bins of the range up to the largest magnitude, zeros left out."""
    magnitudes = np.abs(values.astype(np.float32))
    magnitudes = magnitudes[magnitudes > 0]
    places = np.minimum((magnitudes / magnitudes.max() * KL_BINS).astype(int), KL_BINS - 1)
    counts = np.bincount(places, minlength=KL_BINS)
    return counts / counts.sum()


def divergence_of(share: NDArray[np.float64], kept: int) -> float:
    """The definition, bin by bin: what the module's docstring says."""
    clipped = list(share[:kept])
    clipped[-1] += share[kept:].sum()
    width = kept / LEVELS

    def overlap(k: int, level: int) -> float:
        return max(0.0, min(k + 1, (level + 1) * width) - max(k, level * width))

    around = [range(max(0, int(k / width) - 1), min(LEVELS, int((k + 1) / width) + 2)) for k in range(kept)]
    mass = [0.0] * LEVELS
    for k in range(kept):
        for level in around[k]:
            mass[level] += overlap(k, level) * share[k]
    averaged = [sum(overlap(k, level) * mass[level] / width for level in around[k]) for k in range(kept)]
    return sum((p + 1e-4) * math.log((p + 1e-4) / (q + 1e-4)) for p, q in zip(clipped, averaged, strict=True))


class TestAll:
    @pytest.mark.parametrize("calibrator", ALL)
    @pytest.mark.parametrize("kind", ["normal", "relu", "relu6", "heavy", "uniform", "outlier", "few"])
    def test_a_threshold_is_positive_and_not_above_the_largest_magnitude(
        self, calibrator: Calibrator, kind: str
    ) -> None:
        statistics = statistics_of(draw(kind))
        assert 0 < threshold(statistics, calibrator, 99.9) <= statistics.absmax * (1 + 1e-6)

    @pytest.mark.parametrize("calibrator", ALL)
    def test_all_zero_has_the_threshold_zero(self, calibrator: Calibrator) -> None:
        assert threshold(statistics_of(np.zeros(100)), calibrator, 99.9) == 0.0

    @pytest.mark.parametrize("calibrator", ALL)
    @pytest.mark.parametrize("value", [1e-30, 1e-3, 1.0, -7.0, 3e38])
    def test_one_value_among_zeros_is_not_lost(self, calibrator: Calibrator, value: float) -> None:
        found = threshold(statistics_of(np.append(np.zeros(100_000), value)), calibrator, 99.0)
        assert 0 < found <= abs(value) * (1 + 1e-6)
        assert math.isfinite(127 / found)

    @pytest.mark.parametrize("calibrator", ALL)
    def test_it_scales_with_the_values(self, calibrator: Calibrator) -> None:
        values = draw("normal")
        one, four = (threshold(statistics_of(values * scale), calibrator, 99.9) for scale in (1.0, 4.0))
        assert four == pytest.approx(4 * one, rel=1e-6)


def test_absmax_is_the_largest_magnitude() -> None:
    assert threshold(statistics_of(np.array([-7.25, 3.0])), Calibrator.ABSMAX) == 7.25


class TestPercentile:
    @pytest.mark.parametrize("kind", ["normal", "relu", "relu6", "uniform", "heavy"])
    @pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0, 99.9, 100.0])
    def test_it_is_that_of_the_values_to_a_bin(self, kind: str, percentile: float) -> None:
        values = draw(kind)
        statistics = statistics_of(values)
        found = threshold(statistics, Calibrator.PERCENTILE, percentile)
        expected = np.percentile(np.abs(values), percentile)
        assert found == pytest.approx(max(expected, statistics.edge / BINS), abs=1.01 * statistics.edge / BINS)

    def test_an_outlier_is_cut_off(self) -> None:
        assert threshold(statistics_of(draw("outlier")), Calibrator.PERCENTILE, 99.9) < 5


class TestKl:
    @pytest.mark.parametrize("kind", ENGINE_BINS)
    def test_the_same_bins_are_kept_as_by_the_engine_s_tool(self, kind: str) -> None:
        assert tuple(best_bins(shares_of(draw(kind, seed))) for seed in range(3)) == ENGINE_BINS[kind]

    @pytest.mark.parametrize("kind", ["normal", "relu6", "heavy", "few"])
    @pytest.mark.parametrize("kept", [128, 129, 200, 256, 777, 1024, 2000, 2047])
    def test_the_divergence_is_the_definition_s(self, kind: str, kept: int) -> None:
        share = shares_of(draw(kind))
        assert divergences(share)[kept - LEVELS] == pytest.approx(divergence_of(share, kept), rel=1e-9, abs=1e-12)

    @pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "heavy", "outlier"])
    def test_other_bins_than_the_engine_s_lead_to_nearly_as_good_a_threshold(self, kind: str) -> None:
        values = draw(kind)
        statistics = statistics_of(values)
        share = shares_of(values)
        found = threshold(statistics, Calibrator.KL)
        kept = round(found / statistics.absmax * KL_BINS - 0.5)
        all_of_them = divergences(share)
        assert all_of_them[kept - LEVELS] <= all_of_them.min() + 0.02 * (all_of_them.max() - all_of_them.min())

    def test_nothing_counted_keeps_the_least(self) -> None:
        assert best_bins(np.zeros(KL_BINS)) == LEVELS


class TestLeastSquareError:
    @pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "relu6", "heavy", "uniform", "outlier"])
    def test_no_other_threshold_is_much_better(self, kind: str) -> None:
        values = draw(kind)
        statistics = statistics_of(values)

        def error(limit: float) -> float:
            step = limit / 127
            return float(np.square(np.clip(np.rint(values / step), -127, 127) * step - values).mean())

        found = threshold(statistics, Calibrator.MSE)
        best = min(error(statistics.absmax * share) for share in np.linspace(0.02, 1.0, 99))
        assert error(found) <= 1.02 * best + 1e-12

    def test_a_range_that_is_used_evenly_is_kept_whole(self) -> None:
        assert threshold(statistics_of(draw("uniform")), Calibrator.MSE) == pytest.approx(1.0, rel=0.01)
