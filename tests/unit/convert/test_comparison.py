"""The compare gate's measures and its verdict."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.artifacts import ComparisonLimits, ModelOutput
from edgedeploy.convert.compare import (
    LARGEST_ERROR,
    SQNR_CAP_DB,
    check_shape,
    compare_outputs,
    judge,
    measure,
    require_passed,
    with_limits,
)
from edgedeploy.errors import ComparisonError, ConversionError

OUT = ModelOutput(name="out0", source_name="probabilities", shape=(4,))
LIMITS = ComparisonLimits(max_abs_error=0.1, cosine=0.99, sqnr_db=20.0)


def _array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_measures_are_the_textbooks() -> None:
    found = measure(_array(3, 4), _array(3, 3))
    assert found.max_abs_error == 1.0
    assert found.cosine == pytest.approx(21 / (5 * np.sqrt(18)))
    assert found.sqnr_db == pytest.approx(10 * np.log10(25 / 1))


def test_equal_arrays_are_perfect_also_when_all_is_zero() -> None:
    for values in (_array(1, -2, 3), _array(0, 0, 0), _array(np.inf, np.nan, 1)):
        found = measure(values, values.copy())
        assert (found.max_abs_error, found.cosine, found.sqnr_db) == (0.0, pytest.approx(1.0), SQNR_CAP_DB)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (_array(1, 2), _array(1, np.nan)),
        (_array(1, 2), _array(1, np.inf)),
        (_array(1, np.inf), _array(1, -np.inf)),
        (_array(1, np.nan), _array(1, 2)),
    ],
)
def test_values_that_are_not_finite_are_the_largest_error(reference: np.ndarray, found: np.ndarray) -> None:
    difference = measure(reference, found)
    assert (difference.max_abs_error, difference.cosine, difference.sqnr_db) == (LARGEST_ERROR, -1.0, -SQNR_CAP_DB)


def test_something_where_the_original_has_nothing_is_no_match() -> None:
    found = measure(_array(0, 0), _array(0, 1e-3))
    assert (found.cosine, found.sqnr_db) == (0.0, -SQNR_CAP_DB)


_ARRAYS = hnp.arrays(np.float32, 6, elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


@given(_ARRAYS, _ARRAYS)
def test_results_are_always_valid_json_and_in_range(reference: np.ndarray, found: np.ndarray) -> None:
    difference = measure(reference, found)
    json.dumps(vars(difference), allow_nan=False)
    assert -1.0 <= difference.cosine <= 1.0
    assert -SQNR_CAP_DB <= difference.sqnr_db <= SQNR_CAP_DB


def test_the_worst_sample_counts() -> None:
    reference = {"probabilities": _array(1, 2, 3, 4)}
    near, far = {"out0": _array(1, 2, 3, 4.05)}, {"out0": _array(1, 2, 3, 5)}
    worst = compare_outputs([OUT], [(reference, near), (reference, far), (reference, near)])
    assert worst["out0"] == measure(reference["probabilities"], far["out0"])


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        (ComparisonLimits(max_abs_error=0.06, cosine=0.999, sqnr_db=40.0), True),
        (ComparisonLimits(max_abs_error=0.04, cosine=0.999, sqnr_db=40.0), False),
        (ComparisonLimits(max_abs_error=0.06, cosine=0.9999999, sqnr_db=40.0), False),
        (ComparisonLimits(max_abs_error=0.06, cosine=0.999, sqnr_db=50.0), False),
    ],
)
def test_each_limit_counts(limits: ComparisonLimits, passed: bool) -> None:
    differences = {"out0": measure(_array(1, 2, 3, 4), _array(1, 2, 3, 4.05))}
    comparison = judge([OUT], differences, reference="test 1", samples=1, limits=limits)
    assert comparison.passed is passed
    loose = ComparisonLimits(max_abs_error=1, cosine=0, sqnr_db=0)
    assert with_limits(with_limits(comparison, loose), limits) == comparison
    assert with_limits(comparison, loose).passed
    if passed:
        require_passed(comparison)
    else:
        with pytest.raises(ComparisonError, match=r"out0: max abs error 0\.05.*beyond the limits") as caught:
            require_passed(comparison)
        assert "--accept-differences" in caught.value.hint


def test_shapes_may_differ_by_ones_only() -> None:
    output = ModelOutput(name="out0", source_name="y", shape=(40, 7))
    for shape in ((1, 40, 7), (40, 1, 7), (1, 1, 40, 7)):
        check_shape(output, np.zeros(shape, np.float32))
    for shape in ((1, 7, 40), (1, 280), (1, 40, 8)):
        with pytest.raises(ConversionError, match="out0"):
            check_shape(output, np.zeros(shape, np.float32))
