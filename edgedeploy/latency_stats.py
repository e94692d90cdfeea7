"""Statistics of repeated timings: pure functions on samples in run order.

Timings are skewed to the right and have outliers, so everything rests on order statistics; the mean and the
coefficient of variation are there because people ask for them. The bootstrap treats runs as independent; the drift
check is what catches the commonest way in which they are not (a board that heats up).

Source: A. Georges, D. Buytaert, L. Eeckhout, "Statistically Rigorous Java Performance Evaluation" (OOPSLA 2007), for
confidence intervals instead of best-of-n; B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993),
chapter 13, for the percentile interval; J. Tukey, "Exploratory Data Analysis" (1977), for the fences.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

RESAMPLES = 2000
SEED = 20070101
CONFIDENCE = 0.95
_CHUNK_VALUES = 1_000_000

# Fewer than six samples cannot bound a median at 95 %: even [min, max] covers it with only 1 - 2 * 0.5**n.
MIN_SAMPLES_FOR_INTERVAL = 6
MIN_SAMPLES_FOR_DRIFT = 2 * MIN_SAMPLES_FOR_INTERVAL

STABLE_MAX_IQR_SHARE = 0.05
STABLE_MAX_OUTLIER_SHARE = 0.10
DRIFT_MIN_SHARE = 0.02
FENCE_IQRS = 1.5
# On a quiet board the quartiles lie so close that harmless jitter crosses the fences: below this share of the median
# nothing is an outlier.
FENCE_MIN_SHARE = 0.02

FloatSamples = NDArray[np.float64]


class Verdict(str, Enum):
    """How far a median may be trusted; ``stability_rule`` says by which thresholds."""

    STABLE = "stable"
    NOISY = "noisy"
    DRIFTING = "drifting"
    TOO_FEW = "too few runs"


class Frozen(BaseModel):
    """A part of a document: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


class Interval(Frozen):
    low: float
    high: float


class Drift(Frozen):
    """Second half of the runs against the first: ``ratio`` of their medians (1.1: the second half took 10 % longer)."""

    ratio: float
    interval: Interval
    detected: bool


class LatencySummary(Frozen):
    """What a list of timings says. All times in microseconds.

    ``p90_us``, ``p95_us`` and ``p99_us`` are None where fewer than 10, 20 and 100 samples leave nothing beyond them;
    ``median_ci`` is None below 6 samples and ``drift`` below 12.
    """

    n: int
    min_us: float
    median_us: float
    mean_us: float
    max_us: float
    p90_us: float | None
    p95_us: float | None
    p99_us: float | None
    mad_us: float
    iqr_us: float
    coefficient_of_variation: float
    median_ci: Interval | None
    drift: Drift | None
    outliers: int
    verdict: Verdict


class MedianRatio(Frozen):
    """Median of ``after`` over median of ``before``. ``significant`` is None where too few samples can tell."""

    ratio: float
    interval: Interval | None
    significant: bool | None
    ranges_overlap: bool


def stability_rule() -> str:
    """Return the thresholds behind a verdict, in words for people."""
    return (
        f"stable: interquartile range at most {STABLE_MAX_IQR_SHARE * 100:.0f} % of the median, at most "
        f"{STABLE_MAX_OUTLIER_SHARE * 100:.0f} % outliers and no drift; drifting: the second half's median differs "
        f"from the first half's by over {DRIFT_MIN_SHARE * 100:.0f} % and by more than chance; too few: below "
        f"{MIN_SAMPLES_FOR_INTERVAL} runs; noisy: the rest"
    )


def summarize(samples_us: Sequence[float]) -> LatencySummary:
    """Summarise timings.

    Args:
        samples_us: Microseconds, in the order of the runs, at least one, finite.

    Returns:
        For ``[10.0, 12.0, 11.0]``: ``n=3, median_us=11.0, median_ci=None, verdict=Verdict.TOO_FEW``.
    """
    values = _as_array(samples_us)
    median = float(np.median(values))
    quartiles = np.percentile(values, [25, 75])
    iqr = float(quartiles[1] - quartiles[0])
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if values.size > 1 else 0.0
    drift = find_drift(samples_us)
    outliers = count_outliers(samples_us)
    return LatencySummary(
        n=int(values.size),
        min_us=float(values.min()),
        median_us=median,
        mean_us=mean,
        max_us=float(values.max()),
        p90_us=supported_percentile(samples_us, 90),
        p95_us=supported_percentile(samples_us, 95),
        p99_us=supported_percentile(samples_us, 99),
        mad_us=float(np.median(np.abs(values - median))),
        iqr_us=iqr,
        coefficient_of_variation=deviation / mean if mean else 0.0,
        median_ci=median_interval(samples_us),
        drift=drift,
        outliers=outliers,
        verdict=_verdict(n=int(values.size), median=median, iqr=iqr, outliers=outliers, drift=drift),
    )


def supported_percentile(samples_us: Sequence[float], percent: int) -> float | None:
    """Return a percentile by linear interpolation, or None where not even one sample is expected beyond it."""
    if len(samples_us) * (100 - percent) < 100:
        return None
    return float(np.percentile(_as_array(samples_us), percent))


def median_interval(samples_us: Sequence[float]) -> Interval | None:
    """Return the median's 95 % bootstrap percentile interval (2000 resamples, fixed seed); None below 6 samples."""
    if len(samples_us) < MIN_SAMPLES_FOR_INTERVAL:
        return None
    return _percentile_interval(_bootstrap_medians(_as_array(samples_us), np.random.default_rng(SEED)))


def median_ratio(before_us: Sequence[float], after_us: Sequence[float]) -> MedianRatio:
    """Compare two lists of timings by the ratio of their medians.

    The difference is significant when the 95 % bootstrap interval of the ratio leaves out 1. Both sides are resampled
    independently.

    Returns:
        For twenty samples around 100 and twenty around 90: ``ratio=0.9``, an interval around it, ``significant=True``.
    """
    before, after = _as_array(before_us), _as_array(after_us)
    # A median of zero (a stage that does nothing) has no ratio to speak of; a nanosecond keeps the arithmetic finite.
    floor = 1e-3
    ratio = max(float(np.median(after)), floor) / max(float(np.median(before)), floor)
    overlap = bool(before.min() <= after.max() and after.min() <= before.max())
    if min(before.size, after.size) < MIN_SAMPLES_FOR_INTERVAL:
        return MedianRatio(ratio=ratio, interval=None, significant=None, ranges_overlap=overlap)
    rng = np.random.default_rng(SEED)
    denominators = np.maximum(_bootstrap_medians(before, rng), floor)
    interval = _percentile_interval(np.maximum(_bootstrap_medians(after, rng), floor) / denominators)
    significant = not interval.low <= 1.0 <= interval.high
    return MedianRatio(ratio=ratio, interval=interval, significant=significant, ranges_overlap=overlap)


def find_drift(samples_us: Sequence[float]) -> Drift | None:
    """Compare the second half of the runs with the first; None below 12 samples."""
    if len(samples_us) < MIN_SAMPLES_FOR_DRIFT:
        return None
    middle = len(samples_us) // 2
    result = median_ratio(samples_us[:middle], samples_us[middle:])
    if result.interval is None:
        return None
    detected = bool(result.significant) and abs(result.ratio - 1) > DRIFT_MIN_SHARE
    return Drift(ratio=result.ratio, interval=result.interval, detected=detected)


def count_outliers(samples_us: Sequence[float]) -> int:
    """Count the samples beyond Tukey's fences: 1.5 interquartile ranges outside the quartiles.

    Fences lie at least 2 % of the median outside.
    """
    values = _as_array(samples_us)
    low, middle, high = np.percentile(values, [25, 50, 75])
    reach = max(FENCE_IQRS * float(high - low), FENCE_MIN_SHARE * float(middle))
    return int(np.count_nonzero((values < low - reach) | (values > high + reach)))


def _verdict(*, n: int, median: float, iqr: float, outliers: int, drift: Drift | None) -> Verdict:
    if n < MIN_SAMPLES_FOR_INTERVAL:
        return Verdict.TOO_FEW
    if drift is not None and drift.detected:
        return Verdict.DRIFTING
    if iqr > STABLE_MAX_IQR_SHARE * median or outliers > STABLE_MAX_OUTLIER_SHARE * n:
        return Verdict.NOISY
    return Verdict.STABLE


def _as_array(samples_us: Sequence[float]) -> FloatSamples:
    return np.asarray(samples_us, dtype=np.float64)


def _bootstrap_medians(values: FloatSamples, rng: np.random.Generator) -> FloatSamples:
    """Return the medians of resamples, drawn a chunk at a time so that thousands of samples need no gigabyte."""
    rows = max(1, _CHUNK_VALUES // values.size)
    chunks: list[FloatSamples] = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        picks = rng.integers(0, values.size, size=(count, values.size))
        chunks.append(np.median(values[picks], axis=1))
    return np.concatenate(chunks)


def _percentile_interval(values: FloatSamples) -> Interval:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(low=float(low), high=float(high))
