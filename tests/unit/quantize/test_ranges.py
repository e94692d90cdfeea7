"""Encodings, and the search for a blob's range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.quantize.blob_statistics import BINS, BlobStatistics
from edgedeploy.quantize.ranges import Reader, encoding_for, fake_quantize, row_weights, search_threshold
from edgedeploy.quantize.windows import SampledWindows

RANDOM = np.random.default_rng(4)


def statistics_of(values: np.ndarray) -> BlobStatistics:
    edge = float(2.0 ** np.ceil(np.log2(np.abs(values).max() * 1.001)))
    places = np.minimum((np.abs(values).ravel() * (BINS / edge)).astype(int), BINS - 1)
    return BlobStatistics(
        blob="b",
        count=values.size,
        channel_minimum=np.array([values.min()], np.float32),
        channel_maximum=np.array([values.max()], np.float32),
        histogram=np.bincount(places, minlength=BINS),
        edge=edge,
    )


def reader_of(parts: list[np.ndarray], outputs: int = 4) -> Reader:
    windows = SampledWindows.of([part.astype(np.float32)[:, None] for part in parts])
    return Reader(windows=windows, weight=RANDOM.normal(size=(outputs, parts[0].shape[1])))


@given(st.floats(1e-3, 1e4), st.booleans())
def test_ends_of_the_range_have_the_largest_codes(threshold: float, shifted: bool) -> None:
    encoding = encoding_for(threshold, shifted=shifted)
    low = 0.0 if shifted else -threshold
    codes = encoding.encode(np.array([low, threshold, 2 * threshold, low - threshold]))
    expected = [127, -127, -127, 127] if shifted else [-127, 127, 127, -127]
    assert codes.tolist() == expected
    assert encoding.lowest == pytest.approx(low, abs=1e-6 * threshold)
    assert encoding.highest == pytest.approx(threshold)


@given(st.floats(1e-2, 1e3), st.booleans())
def test_shortcut_and_codes_agree(threshold: float, shifted: bool) -> None:
    encoding = encoding_for(threshold, shifted=shifted)
    numbers = np.random.default_rng(1).normal(size=500).astype(np.float32) * threshold
    found = fake_quantize(numbers, encoding)
    exact = encoding.decode(encoding.encode(numbers))
    # Numbers right between two codes may go either way.
    assert np.abs(found - exact).max() <= 1.001 / encoding.scale
    assert (np.abs(found - exact) > 1e-4 * threshold).mean() < 0.01
    inside = (numbers > encoding.lowest) & (numbers < encoding.highest)
    assert np.abs(found - numbers)[inside].max() <= 0.501 / encoding.scale


def test_rare_large_values_are_cut_off() -> None:
    values = RANDOM.normal(size=(500, 480))
    values[7, 2] = 20.0
    chosen = search_threshold(statistics_of(values), [reader_of([values])], shifted=False, limit=np.inf)
    assert 4 < chosen < 15


def test_even_values_keep_the_whole_range() -> None:
    values = RANDOM.uniform(-1, 1, size=(4000, 6))
    chosen = search_threshold(statistics_of(values), [reader_of([values])], shifted=False, limit=np.inf)
    assert chosen == pytest.approx(np.abs(values).max(), rel=0.1)


def test_the_limit_is_not_passed() -> None:
    values = RANDOM.uniform(0, 9, size=(4000, 6))
    assert search_threshold(statistics_of(values), [reader_of([values])], shifted=True, limit=6.0) <= 6.0


def test_large_values_that_no_window_shows_count_by_the_histogram() -> None:
    seen = RANDOM.uniform(-1, 1, size=(2000, 6))
    everything = np.concatenate([seen, RANDOM.uniform(-10, 10, size=(2000, 6))])
    readers = [reader_of([seen])]
    narrow = search_threshold(statistics_of(seen), readers, shifted=False, limit=np.inf)
    wide = search_threshold(statistics_of(everything), readers, shifted=False, limit=np.inf)
    assert wide > 4 * narrow


def test_every_item_counts_the_same() -> None:
    outputs = np.concatenate([np.full((5, 2), 3.0), np.full((10, 2), 1.0)]).astype(np.float32)
    items = np.repeat([0, 1], [5, 10])
    weights = row_weights(outputs, items)
    energy = np.bincount(items, weights=weights * np.square(outputs).sum(axis=1))
    assert weights.mean() == pytest.approx(1)
    assert energy[0] / energy[1] == pytest.approx(1, abs=0.2)  # 4.5 without weights
    # An item that is next to empty counts less, so that its noise does not decide.
    outputs[5:] *= 1e-6
    energy = np.bincount(items, weights=row_weights(outputs, items) * np.square(outputs).sum(axis=1))
    assert energy[1] < 1e-6 * energy[0]
    assert row_weights(np.zeros((15, 2), np.float32), items).tolist() == [1.0] * 15
