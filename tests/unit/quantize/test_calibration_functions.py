"""Calibration data from a user's own function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calibration_files import FUNCTIONS, HOW, IMAGE, TENSOR, opened, tensor

from edgedeploy.errors import CalibrationDataError, ShapeMismatchError, UnreadableInputError


class TestFunctions:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        (tmp_path / "mine.py").write_text(FUNCTIONS)
        return tmp_path

    @pytest.mark.parametrize(
        ("name", "labels"), [("listed", [None] * 4), ("generated", [10, 11, 12, 13]), ("stacked", [None] * 4)]
    )
    def test_items_are_what_it_returns(self, directory: Path, name: str, labels: list[int | None]) -> None:
        data = opened(f"mine.py:{name}", TENSOR, directory=directory)
        assert len(data) == 4
        for index in (3, 0, 2, 1, 3):
            np.testing.assert_array_equal(tensor(data, index), np.full((1, 4, 5), index, np.float32))
            assert data.item(index).label == labels[index]

    def test_an_item_comes_only_when_it_is_asked_for(self, directory: Path) -> None:
        data = opened("mine.py:lazy", TENSOR, directory=directory)
        assert tensor(data, 2)[0, 0, 0] == 2
        with pytest.raises(CalibrationDataError, match=r"fails on item 1: OSError: gone \(mine\.py, line"):
            data.item(1)

    def test_images_are_preprocessed(self, directory: Path) -> None:
        data = opened("mine.py:images", IMAGE, directory=directory)
        expected = (7 - np.float32(HOW.mean)) * np.float32(HOW.scale)
        np.testing.assert_allclose(tensor(data, 0)[0, :, 5, 5], expected, rtol=1e-5)

    def test_modules_are_found_beside_the_project(self, directory: Path) -> None:
        (directory / "own_calibration_module.py").write_text(FUNCTIONS)
        assert len(opened("own_calibration_module:listed", TENSOR, directory=directory)) == 4

    @pytest.mark.parametrize("name", ["once", "generated"])
    def test_it_is_called_once(self, directory: Path, name: str) -> None:
        data = opened(f"mine.py:{name}", TENSOR, directory=directory)
        assert [len(data), len(data)] == [4, 4]
        data.item(0)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("nothing", "no items"),
            ("for_ever", "more than 100000 items"),
            ("mapping", "returns dict"),
            ("number", "returns int"),
            ("failing", r"fails: KeyError: 'no such table' \(mine\.py, line"),
            ("failing_later", "fails: KeyError"),
            ("not_a_function", "no function not_a_function"),
            ("lisned", "no function lisned"),
        ],
    )
    def test_functions_that_are_no_data(self, directory: Path, name: str, message: str) -> None:
        with pytest.raises(CalibrationDataError, match=message) as error:
            opened(f"mine.py:{name}", TENSOR, directory=directory)
        assert error.value.hint

    @pytest.mark.parametrize(
        ("name", "kind", "message"),
        [
            ("triples", UnreadableInputError, "tuple of 3"),
            ("named", UnreadableInputError, "'cat' is no number"),
            ("misshapen", ShapeMismatchError, r"shape \[5, 4\]"),
        ],
    )
    def test_elements_that_the_model_does_not_take(
        self, directory: Path, name: str, kind: type[Exception], message: str
    ) -> None:
        with pytest.raises(kind, match=message):
            opened(f"mine.py:{name}", TENSOR, directory=directory).item(0)

    @pytest.mark.parametrize("spec", ["none.py:listed", "no_such_module_anywhere:listed", "mine.py:", ":listed"])
    def test_what_cannot_be_loaded(self, directory: Path, spec: str) -> None:
        with pytest.raises(CalibrationDataError) as error:
            opened(spec, TENSOR, directory=directory)
        assert error.value.hint

    def test_a_file_that_does_not_compile(self, directory: Path) -> None:
        (directory / "broken.py").write_text("def listed(:\n")
        with pytest.raises(CalibrationDataError, match="SyntaxError"):
            opened("broken.py:listed", TENSOR, directory=directory)
