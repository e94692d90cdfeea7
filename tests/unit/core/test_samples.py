"""Samples that are arrays: what is read, and what no comparison could judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedeploy.artifacts import InputSpec
from edgedeploy.errors import ShapeMismatchError, UnreadableInputError
from edgedeploy.preprocessing import load_sample

INPUTS = (InputSpec(name="x", shape=(1, 2, 3)),)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_an_array_arrives_as_float32(tmp_path: Path) -> None:
    sample = load_sample(saved(tmp_path / "a.npy", np.arange(6.0).reshape(1, 2, 3)), INPUTS)
    assert sample.tensors["x"].dtype == np.float32
    np.testing.assert_array_equal(sample.tensors["x"].ravel(), np.arange(6))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_hide_every_difference_are_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros((1, 2, 3))
    array[0, 1, 2] = value
    with pytest.raises(UnreadableInputError, match="NaN or infinity"):
        load_sample(saved(tmp_path / "a.npy", array), INPUTS)


@pytest.mark.parametrize("array", [np.full((1, 2, 3), "a"), np.ones((1, 2, 3), dtype=np.complex64)])
def test_arrays_of_other_things_than_numbers_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(UnreadableInputError, match="not numbers"):
        load_sample(saved(tmp_path / "a.npy", array), INPUTS)


def test_the_shape_is_the_inputs(tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatchError, match=r"\[2, 3\]"):
        load_sample(saved(tmp_path / "a.npy", np.zeros((2, 3))), INPUTS)
