from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from calibration_files import FUNCTIONS, IMAGE, PAIR, TENSOR, floats, opened, pixels, tensor, write_image

from edgedeploy.errors import CalibrationDataError, MissingFileError, UnreadableInputError
from edgedeploy.preprocessing import load_sample
from edgedeploy.quantize.calibration_data import choose_indices, load_items, require_readable
from edgedeploy.quantize.items import Data


class TestDirectoryOfImages:
    def test_items_are_the_files_in_order_with_the_project_s_preprocessing(self, tmp_path: Path) -> None:
        files = [write_image(tmp_path / name, seed) for seed, name in enumerate(["b.png", "a.jpg", "c/d.bmp"])]
        (tmp_path / "notes.txt").write_text("no image")
        write_image(tmp_path / ".cache" / "hidden.png", 9)
        data = opened(tmp_path)
        assert [data.item(index).name for index in range(len(data))] == ["a.jpg", "b.png", "c/d.bmp"]
        for index, path in enumerate([files[1], files[0], files[2]]):
            expected = load_sample(path, IMAGE).tensors["image"]
            np.testing.assert_array_equal(tensor(data, index), expected)
            assert tensor(data, index).shape == (1, 3, 12, 16)
            assert data.item(index).label is None

    def test_subdirectories_are_classes_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        for seed, name in enumerate(["dog/1.png", "cat/1.png", "dog/2.png"]):
            write_image(tmp_path / name, seed)
        data = opened(tmp_path)
        found = {data.item(index).name: data.item(index).label for index in range(3)}
        assert found == {"cat/1.png": 0, "dog/1.png": 1, "dog/2.png": 1}

    @pytest.mark.parametrize(
        "names", [["only/1.png", "only/2.png"], ["a/1.png", "b/1.png", "top.png"], ["a/b/1.png", "c/d/1.png"]]
    )
    def test_other_directories_are_no_classes(self, tmp_path: Path, names: list[str]) -> None:
        for seed, name in enumerate(names):
            write_image(tmp_path / name, seed)
        assert {opened(tmp_path).item(index).label for index in range(len(names))} == {None}

    @pytest.mark.parametrize("inside", [True, False])
    def test_labels_from_a_file(self, tmp_path: Path, inside: bool) -> None:
        directory = tmp_path / "data"
        for seed, name in enumerate(["a/1.png", "b/1.png"]):
            write_image(directory / name, seed)
        file = directory / "labels.csv" if inside else tmp_path / "other.txt"
        file.write_text("file,label\na/1.png,7\nb/1.png, 3\n\nunknown.png,1\n")
        data = opened(directory) if inside else opened(directory, labels=file)
        assert [data.item(index).label for index in range(2)] == [7, 3]

    def test_files_without_a_label_are_listed(self, tmp_path: Path) -> None:
        for name in ("1.png", "2.png", "3.png"):
            write_image(tmp_path / name, 0)
        (tmp_path / "labels.txt").write_text("2.png,0\n")
        with pytest.raises(CalibrationDataError, match=r"2 of 3 files:\n  1\.png\n  3\.png"):
            opened(tmp_path)

    @pytest.mark.parametrize("line", ["1.png", "1.png,cat", "1.png,-1", ",3", "2.png,0"])
    def test_lines_that_are_no_labels(self, tmp_path: Path, line: str) -> None:
        write_image(tmp_path / "1.png", 0)
        file = tmp_path / "labels.csv"
        file.write_text(f"1.png,0\n2.png,4\n{line}\n")
        with pytest.raises(UnreadableInputError, match=r"line 3 of .*labels\.csv"):
            opened(tmp_path)

    def test_a_file_of_labels_that_is_missing(self, tmp_path: Path) -> None:
        write_image(tmp_path / "1.png", 0)
        with pytest.raises(MissingFileError):
            opened(tmp_path, labels=tmp_path / "none.csv")

    def test_all_damaged_files_are_listed_before_anything_runs(self, tmp_path: Path) -> None:
        for name in ("good.png", "cut.png", "cut.jpg", "text.png", "empty.jpg"):
            write_image(tmp_path / "x" / name, 0)
        for name in ("cut.png", "cut.jpg"):
            path = tmp_path / "x" / name
            path.write_bytes(path.read_bytes()[:-40])
        (tmp_path / "x" / "text.png").write_text("this is no image")
        (tmp_path / "x" / "empty.jpg").write_bytes(b"")
        with pytest.raises(UnreadableInputError) as error:
            opened(tmp_path)
        assert error.value.message.startswith(f"4 of 5 files in {tmp_path} cannot be used:")
        assert error.value.message.splitlines()[1:] == [
            "  x/cut.jpg: ends early",
            "  x/cut.png: ends early",
            "  x/empty.jpg: is empty",
            "  x/text.png: is no image that OpenCV can read",
        ]
        assert error.value.hint

    def test_what_only_decoding_shows_is_listed_by_loading_all(self, tmp_path: Path) -> None:
        for seed in range(5):
            write_image(tmp_path / f"{seed}.bmp", seed)
        for name in ("1.bmp", "3.bmp"):
            path = tmp_path / name
            path.write_bytes(path.read_bytes()[:200])
        data = opened(tmp_path)
        require_readable(data, [0, 2, 4])
        every = r"2 of 5 .*\n.*1\.bmp.*\n.*3\.bmp"
        with pytest.raises(UnreadableInputError, match=every):
            require_readable(data, range(5))
        # The first one that is met is enough to tell all.
        with pytest.raises(UnreadableInputError, match=every):
            load_items(data, [0, 3], range(5))
        assert [item.name for item in load_items(data, [4, 0], range(5))] == ["4.bmp", "0.bmp"]

    def test_a_directory_without_data(self, tmp_path: Path) -> None:
        (tmp_path / "readme.md").write_text("nothing here")
        with pytest.raises(CalibrationDataError, match="has no images and no"):
            opened(tmp_path)

    def test_images_for_an_input_without_preprocessing(self, tmp_path: Path) -> None:
        write_image(tmp_path / "1.png", 0)
        with pytest.raises(CalibrationDataError, match="has no preprocessing"):
            opened(tmp_path, TENSOR)

    def test_images_for_a_model_with_several_inputs(self, tmp_path: Path) -> None:
        write_image(tmp_path / "1.png", 0)
        with pytest.raises(CalibrationDataError, match="inputs left, right"):
            opened(tmp_path, PAIR)


class TestDirectoryOfArrays:
    def test_one_array_a_file(self, tmp_path: Path) -> None:
        arrays = [floats(1, 4, 5, seed=0), floats(4, 5, seed=1), floats(4, 5, seed=2).astype(np.float64)]
        for index, array in enumerate(arrays):
            np.save(tmp_path / f"{index}.npy", array)
        np.savez(tmp_path / "3.npz", values=arrays[1])
        data = opened(tmp_path, TENSOR)
        assert len(data) == 4
        for index, array in enumerate([*arrays, arrays[1]]):
            np.testing.assert_array_equal(tensor(data, index), array.reshape(1, 4, 5).astype(np.float32))

    def test_raw_images_are_preprocessed_and_tensors_are_not(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "reference.png"), pixels(3))
        expected = load_sample(tmp_path / "reference.png", IMAGE).tensors["image"]
        (tmp_path / "arrays").mkdir()
        np.save(tmp_path / "arrays" / "0.npy", pixels(3))
        np.save(tmp_path / "arrays" / "1.npy", expected)
        data = opened(tmp_path / "arrays")
        np.testing.assert_array_equal(tensor(data, 0), expected)
        np.testing.assert_array_equal(tensor(data, 1), expected)

    def test_grey_images(self, tmp_path: Path) -> None:
        grey = pixels(1)[:, :, 0]
        np.save(tmp_path / "0.npy", grey)
        np.save(tmp_path / "1.npy", np.repeat(grey[:, :, None], 3, axis=2))
        data = opened(tmp_path)
        np.testing.assert_array_equal(tensor(data, 0), tensor(data, 1))

    def test_several_inputs(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "0.npz", left=floats(4), right=floats(1, 2, 3), more=floats(9))
        item = opened(tmp_path, PAIR).item(0)
        assert {name: value.shape for name, value in item.tensors.items()} == {"in0": (1, 4), "in1": (1, 2, 3)}

    def test_damaged_and_unfitting_files_are_listed(self, tmp_path: Path) -> None:
        np.save(tmp_path / "good.npy", floats(1, 4, 5))
        np.save(tmp_path / "shape.npy", floats(5, 4))
        np.save(tmp_path / "cut.npy", floats(4, 5))
        cut = tmp_path / "cut.npy"
        cut.write_bytes(cut.read_bytes()[:-8])
        np.savez(tmp_path / "other.npz", values_=floats(4, 5))
        (tmp_path / "text.npz").write_text("no zip")
        (tmp_path / "text.npy").write_text("no array")
        np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
        with pytest.raises(UnreadableInputError) as error:
            opened(tmp_path, TENSOR)
        lines = error.value.message.splitlines()
        assert lines[0].startswith("6 of 7 files")
        assert [line.split(":")[0].strip() for line in lines[1:]] == [
            "cut.npy",
            "objects.npy",
            "other.npz",
            "shape.npy",
            "text.npy",
            "text.npz",
        ]

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
    def test_values_that_are_not_finite(self, tmp_path: Path, value: float) -> None:
        array = np.zeros((4, 5))
        array[3, 4] = value
        np.save(tmp_path / "0.npy", array)
        with pytest.raises(UnreadableInputError, match="NaN or infinity"):
            opened(tmp_path, TENSOR).item(0)

    def test_arrays_of_text(self, tmp_path: Path) -> None:
        np.save(tmp_path / "0.npy", np.full((4, 5), "a"))
        with pytest.raises(UnreadableInputError, match="not numbers"):
            opened(tmp_path, TENSOR).item(0)


class TestStacks:
    def test_one_file_for_all_items(self, tmp_path: Path) -> None:
        stack = floats(6, 4, 5)
        np.save(tmp_path / "stack.npy", stack)
        np.savez(tmp_path / "stack.npz", values=stack, labels=np.arange(6) * 2)
        for name, labels in (("stack.npy", [None] * 6), ("stack.npz", [0, 2, 4, 6, 8, 10])):
            data = opened(tmp_path / name, TENSOR)
            assert len(data) == 6
            np.testing.assert_array_equal(tensor(data, 5), stack[5:6])
            assert [data.item(index).label for index in range(6)] == labels

    def test_a_stack_of_images_with_labels_beside_it(self, tmp_path: Path) -> None:
        np.save(tmp_path / "stack.npy", np.stack([pixels(seed) for seed in range(3)]))
        (tmp_path / "labels.csv").write_text("0,4\n1,5\n2,6\n")
        data = opened(tmp_path / "stack.npy", labels=tmp_path / "labels.csv")
        assert tensor(data, 2).shape == (1, 3, 12, 16)
        assert [data.item(index).label for index in range(3)] == [4, 5, 6]

    def test_one_file_an_input(self, tmp_path: Path) -> None:
        np.save(tmp_path / "left.npy", floats(3, 1, 4))
        np.save(tmp_path / "right.npy", floats(3, 2, 3))
        data = opened(tmp_path, PAIR)
        assert len(data) == 3
        assert data.item(2).tensors["in0"].shape == (1, 4)

    @pytest.mark.parametrize(
        ("left", "right", "error", "message"),
        [
            ((3, 4), (2, 2, 3), CalibrationDataError, "different numbers of items"),
            ((0, 4), (0, 2, 3), CalibrationDataError, "has no items"),
            ((3, 5), (3, 2, 3), UnreadableInputError, "shape"),
            ((), (3, 2, 3), UnreadableInputError, "single number"),
        ],
    )
    def test_stacks_that_do_not_fit(
        self, tmp_path: Path, left: tuple[int, ...], right: tuple[int, ...], error: type[Exception], message: str
    ) -> None:
        np.save(tmp_path / "left.npy", floats(*left))
        np.save(tmp_path / "right.npy", floats(*right))
        with pytest.raises(error, match=message):
            opened(tmp_path, PAIR)
        np.savez(tmp_path / "both.npz", left=floats(*left), right=floats(*right))
        with pytest.raises(error, match=message):
            opened(tmp_path / "both.npz", PAIR)

    def test_damaged_stacks(self, tmp_path: Path) -> None:
        for name in ("stack.npy", "stack.npz"):
            (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
            with pytest.raises(UnreadableInputError, match="cannot be read"):
                opened(tmp_path / name, TENSOR)
        np.save(tmp_path / "array.npy", floats(2, 4, 5))
        np.savez(tmp_path / "arrays.npz", values=floats(2, 4, 5))
        (tmp_path / "array.npy").rename(tmp_path / "swapped.npz")
        (tmp_path / "arrays.npz").rename(tmp_path / "swapped.npy")
        for name in ("swapped.npy", "swapped.npz"):
            with pytest.raises(UnreadableInputError, match="with another name"):
                opened(tmp_path / name, TENSOR)
        np.savez(tmp_path / "other.npz", other=floats(2, 4, 5))
        with pytest.raises(UnreadableInputError, match="no array for the input 'values'"):
            opened(tmp_path / "other.npz", TENSOR)
        np.savez(tmp_path / "labels.npz", values=floats(2, 4, 5), labels=np.array([0.5, 1.0]))
        with pytest.raises(CalibrationDataError, match=r"labels in .* is float64"):
            opened(tmp_path / "labels.npz", TENSOR)


class TestAll:
    def sources(self, directory: Path) -> dict[str, Data]:
        for index in range(30):
            (directory / "files").mkdir(exist_ok=True)
            np.save(directory / "files" / f"{index}.npy", floats(4, 5, seed=index))
        stack = floats(40_000, 4, 5)
        np.save(directory / "stack.npy", stack)
        np.savez(directory / "stack.npz", values=stack)
        (directory / "mine.py").write_text(FUNCTIONS)
        names = ("files", "stack.npy", "stack.npz", "mine.py:listed", "mine.py:generated")
        return {name: opened(name, TENSOR, directory=directory) for name in names}

    def test_data_pickle_small_and_read_the_same_elsewhere(self, tmp_path: Path) -> None:
        for name, data in self.sources(tmp_path).items():
            expected = tensor(data, 3)
            content = pickle.dumps(data)
            assert len(content) < 5000, name
            again = pickle.loads(content)
            assert len(again) == len(data)
            np.testing.assert_array_equal(tensor(again, 3), expected)

    def test_there_is_nothing_beyond_the_end(self, tmp_path: Path) -> None:
        for data in self.sources(tmp_path).values():
            with pytest.raises(IndexError):
                data.item(len(data))

    def test_what_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match="do not exist") as error:
            opened(tmp_path / "none", TENSOR)
        assert error.value.hint

    def test_files_of_other_kinds(self, tmp_path: Path) -> None:
        (tmp_path / "data.csv").write_text("1,2")
        with pytest.raises(CalibrationDataError, match="is no calibration data"):
            opened(tmp_path / "data.csv", TENSOR)


class TestChoosing:
    def test_all_where_there_are_no_more(self) -> None:
        assert choose_indices(5, 5, seed=3) == choose_indices(5, 300, seed=4) == (0, 1, 2, 3, 4)

    def test_the_seed_decides(self) -> None:
        chosen = choose_indices(1000, 300, seed=0)
        assert len(set(chosen)) == 300
        assert list(chosen) == sorted(chosen)
        assert chosen == choose_indices(1000, 300, seed=0)
        assert chosen != choose_indices(1000, 300, seed=1)
        assert choose_indices(1000, 3, seed=0) == (511, 636, 848)
        # From everywhere, not from one end.
        assert chosen[0] < 20
        assert chosen[-1] > 980

    @pytest.mark.parametrize(("count", "images"), [(0, 300), (10, 0)])
    def test_nothing_to_choose(self, count: int, images: int) -> None:
        with pytest.raises(CalibrationDataError) as error:
            choose_indices(count, images, seed=0)
        assert error.value.hint
