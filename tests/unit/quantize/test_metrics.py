"""Task metrics: the built-in ones, and functions of the user's."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from edgedeploy.errors import MetricError
from edgedeploy.quantize.error_sums import SQNR_CAP_DB, ErrorSums
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.metrics import Cosine, Metric, Outputs, Top1, load_metric, points


def item(label: int | None = None) -> Item:
    return Item(name="cat.png", tensors={}, label=label)


def outputs(*values: ArrayLike) -> Outputs:
    return {f"out{place}": np.asarray(array, np.float32) for place, array in enumerate(values)}


# --- top-1 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "expected", "found", "score"),
    [
        (2, [9, 0, 0], [0, 1, 5], 1.0),  # the label counts, not the float network
        (0, [9, 0, 0], [0, 1, 5], 0.0),
        (None, [9, 0, 0], [0, 1, 5], 0.0),
        (None, [0, 1, 9], [0, 1, 5], 1.0),
        (2, [[0, 1, 9]], [[0, 1, 5]], 1.0),  # a matrix of one row
        (None, [[0, 9], [9, 0], [0, 9], [0, 9]], [[0, 9], [0, 9], [0, 9], [9, 0]], 0.5),  # row by row
        (1, [[[0]], [[9]]], [[[0]], [[4]]], 1.0),  # a pixel with two channels
        (None, np.zeros((2, 1, 2)), [[[0, 1]], [[1, 0]]], 0.5),  # pixel by pixel over the channels
        (None, [np.nan, 1], [np.nan, 1], 0.0),
        (1, [0, 1], [-np.inf, 7], 0.0),
    ],
)
def test_top1(label: int | None, expected: ArrayLike, found: ArrayLike, score: float) -> None:
    assert Top1().score(item(label), outputs(expected), outputs(found)) == score


def test_top1_of_several_outputs() -> None:
    expected, found = outputs([0, 1], [0, 1, 2]), outputs([0, 1], [2, 1, 0])
    assert Top1().score(item(), expected, found) == 0.5  # agreement: the mean
    assert Top1().score(item(1), expected, found) == 1.0  # a label belongs to out0
    turned = dict(reversed(found.items()))
    assert Top1().score(item(1), expected, turned) == 1.0
    assert Top1().score(item(0), {}, {"scores": found["out1"], "boxes": found["out0"]}) == 1.0  # else to the first


@pytest.mark.parametrize(
    ("label", "found", "message"),
    [
        (1, [[0, 1], [1, 0]], "one label for cat.png, but out0 gives 2 classes"),
        (None, [3.0], r"two classes or more, and output out0 has the shape \[1\]"),
        (None, 3.0, r"the shape \[\]"),
        (0, np.zeros((1, 4, 4)), r"the shape \[1, 4, 4\]"),
    ],
)
def test_top1_where_it_means_nothing(label: int | None, found: ArrayLike, message: str) -> None:
    with pytest.raises(MetricError, match=message) as caught:
        Top1().score(item(label), outputs(found), outputs(found))
    assert caught.value.hint


# --- cosine ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "score"),
    [
        (outputs([1, 0]), outputs([2, 0]), 1.0),
        (outputs([1, 0]), outputs([1, 1]), math.sqrt(0.5)),
        (outputs([1, 0]), outputs([-1, 0]), 0.0),
        (outputs([1, 0], [1, 0]), outputs([1, 0], [0, 1]), 0.5),
        (outputs([0, 0]), outputs([0, 0]), 1.0),
        (outputs([0, 0]), outputs([0, 1]), 0.0),
        (outputs([1, 0]), outputs([1, np.nan]), 0.0),
    ],
)
def test_cosine(expected: Outputs, found: Outputs, score: float) -> None:
    assert Cosine().score(item(), expected, found) == pytest.approx(score)


# --- sums of errors --------------------------------------------------------------------------------------------------


def test_error_sums_against_the_definitions() -> None:
    random = np.random.default_rng(0)
    expected, found = random.normal(size=(2, 3, 40)).astype(np.float32)
    sums = ErrorSums.of(expected, found)
    left, right = expected.astype(float).ravel(), found.astype(float).ravel()
    assert sums.sqnr_db == pytest.approx(10 * np.log10((left**2).sum() / ((left - right) ** 2).sum()))
    assert sums.cosine == pytest.approx(np.dot(left, right) / np.linalg.norm(left) / np.linalg.norm(right))
    assert sums.noise_share == pytest.approx(10 ** (-sums.sqnr_db / 10))


def test_error_sums_add_up() -> None:
    random = np.random.default_rng(1)
    expected, found = random.normal(size=(2, 30)).astype(np.float32)
    parts = ErrorSums.total(
        ErrorSums.of(expected[start : start + 10], found[start : start + 10]) for start in (0, 10, 20)
    )
    whole = ErrorSums.of(expected, found)
    assert (parts.sqnr_db, parts.cosine) == pytest.approx((whole.sqnr_db, whole.cosine))


@pytest.mark.parametrize(
    ("expected", "found", "sqnr_db", "cosine"),
    [
        ([1, 2], [1, 2], SQNR_CAP_DB, 1.0),
        ([0, 0], [0, 0], SQNR_CAP_DB, 1.0),
        ([0, 0], [0, 1], -SQNR_CAP_DB, 0.0),
        ([1, 2], [1, np.inf], -SQNR_CAP_DB, -1.0),
        ([1, np.nan], [1, 2], -SQNR_CAP_DB, -1.0),
        ([1, -np.inf], [1, -np.inf], SQNR_CAP_DB, 1.0),  # the same on both sides does not count
    ],
)
def test_error_sums_at_the_edges(expected: ArrayLike, found: ArrayLike, sqnr_db: float, cosine: float) -> None:
    sums = ErrorSums.of(np.asarray(expected, np.float32), np.asarray(found, np.float32))
    assert (sums.sqnr_db, sums.cosine) == (sqnr_db, cosine)
    assert ErrorSums.total([sums, ErrorSums.of(np.ones(1, np.float32), np.ones(1, np.float32))]).cosine <= 1.0


def test_points() -> None:
    assert points([1.0, 0.0, 0.5, 1.0]) == 62.5
    assert points([]) == 0.0
    assert points([0.1] * 10) == 10.0  # no rounding error adds up


# --- the user's own --------------------------------------------------------------------------------------------------

OWN = """
from dataclasses import dataclass
from rules import HALF


@dataclass
class Row:
    value: "float"


def score(item, expected, found):
    return Row(HALF).value if item.label is None else found["out0"].argmax() == item.label


def broken(item, expected, found):
    return found["nothing"]


NUMBER = 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "own.py").write_text(OWN)
    (tmp_path / "metrics" / "rules.py").write_text("HALF = 0.5\n")
    (tmp_path / "wrong.py").write_text("def score(:\n")
    (tmp_path / "importable_rules.py").write_text("def score(item, expected, found):\n    return 1\n")
    return tmp_path


def test_built_in_ones_by_name(tmp_path: Path) -> None:
    assert load_metric("top1", tmp_path) == Top1()
    assert load_metric("cosine", tmp_path) == Cosine()


@pytest.mark.parametrize("spec", ["metrics/own.py:score", "importable_rules:score"])
def test_own_functions(project: Path, spec: str) -> None:
    path_before = list(sys.path)
    metric = load_metric(spec, project)
    assert metric.name == spec
    assert metric.score(item(1), outputs([1, 0]), outputs([0, 1])) == 1.0
    assert metric.score(item(), outputs([1, 0]), outputs([0, 1])) == (0.5 if "own" in spec else 1.0)
    assert sys.path == path_before


def test_a_file_travels_as_its_text(project: Path, tmp_path: Path) -> None:
    metric = load_metric("metrics/own.py:score", project)
    metric.score(item(), outputs([1]), outputs([1]))
    sent = pickle.dumps((metric, item(1), outputs([0, 1])))
    (project / "metrics" / "own.py").unlink()
    program = (
        "import pickle, sys\nmetric, item, found = pickle.load(sys.stdin.buffer)\n"
        "print(metric.score(item, found, found))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"1.0\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("top2", "there is no metric top2"),
        ("metrics/own.py:scored", "has no function scored"),
        ("metrics/own.py:NUMBER", "has no function NUMBER"),
        ("metrics/none.py:score", "FileNotFoundError"),
        ("wrong.py:score", "SyntaxError"),
        ("no_such_module:score", "ModuleNotFoundError"),
        ("importable_rules:", "names no function"),
        (":score", "names no function"),
    ],
)
def test_what_cannot_be_loaded(project: Path, spec: str, message: str) -> None:
    with pytest.raises(MetricError, match=message) as caught:
        load_metric(spec, project)
    assert caught.value.hint


def test_the_hint_names_what_is_near(project: Path) -> None:
    with pytest.raises(MetricError) as caught:
        load_metric("metrics/own.py:scored", project)
    assert "score" in caught.value.hint
    with pytest.raises(MetricError) as caught:
        load_metric("top2", project)
    assert "top1" in caught.value.hint


def test_a_function_that_raises(project: Path) -> None:
    metric = load_metric("metrics/own.py:broken", project)
    with pytest.raises(MetricError, match=r"fails on cat\.png: KeyError: 'nothing' \(own\.py, line 16\)"):
        metric.score(item(), {}, outputs([1]))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "returned NoneType"),
        ("'0.5'", "returned str"),
        ("float('nan')", "returned nan"),
        ("1.01", "returned 1.01"),
        ("-0.5", "returned -0.5"),
        ("np.ones(2)", "returned ndarray"),
        ("[0.5]", "returned list"),
    ],
)
def test_what_is_no_score(tmp_path: Path, returned: str, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        _returning(tmp_path, returned).score(item(), {}, {})


@pytest.mark.parametrize(
    ("returned", "score"),
    [("True", 1.0), ("np.bool_(False)", 0.0), ("1", 1.0), ("np.float32(0.25)", 0.25), ("np.array([0.5])", 0.5)],
)
def test_what_is_a_score(tmp_path: Path, returned: str, score: float) -> None:
    found = _returning(tmp_path, returned).score(item(), {}, {})
    assert found == score
    assert type(found) is float


def _returning(directory: Path, returned: str) -> Metric:
    (directory / "own.py").write_text(
        f"import numpy as np\n\n\ndef score(item, expected, found):\n    return {returned}\n"
    )
    return load_metric("own.py:score", directory)
