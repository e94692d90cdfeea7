"""Labelled images: the IDX files of Debian's package, and what networks are fed."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from edgedeploy.errors import MissingFileError, UnreadableInputError
from int8_nets.labelled import FASHION_VARIABLE, HELD_OUT, LabelledImages, Unlabelled, fashion_mnist, normalise


def write_idx(path: Path, magic: int, values: np.ndarray) -> None:
    header = np.array([magic, *values.shape], dtype=">i4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes(), compresslevel=1))


def write_set(directory: Path, prefix: str, count: int) -> None:
    images = np.zeros((count, 28, 28))
    images[:, 0, 0] = np.arange(count) % 256
    write_idx(directory / f"{prefix}-images-idx3-ubyte.gz", 2051, images)
    write_idx(directory / f"{prefix}-labels-idx1-ubyte.gz", 2049, np.arange(count) % 10)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path))
    write_set(tmp_path, "train", HELD_OUT + 300)
    write_set(tmp_path, "t10k", 40)
    return tmp_path


def test_the_last_training_images_are_held_out(dataset: Path) -> None:
    split = fashion_mnist()
    assert (len(split.train), len(split.held_out), len(split.test)) == (300, HELD_OUT, 40)
    assert split.held_out.pixels[0, 0, 0] == 300 % 256
    item = split.test.item(17)
    assert item.label == 7
    assert item.tensors["in0"].shape == (1, 1, 28, 28)
    assert item.tensors["in0"][0, 0, 0, 0] == pytest.approx((17 - 72.9) / 90)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingFileError) as caught:
        fashion_mnist()
    assert "apt-get install dataset-fashion-mnist" in (caught.value.hint or "")


def test_damaged_files_are_told(dataset: Path) -> None:
    labels = dataset / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:20])
    with pytest.raises(UnreadableInputError, match="train-labels"):
        fashion_mnist()


def test_images_are_not_taken_for_labels(dataset: Path) -> None:
    (dataset / "t10k-images-idx3-ubyte.gz").rename(dataset / "t10k-labels-idx1-ubyte.gz")
    write_set(dataset, "train", HELD_OUT + 1)
    write_idx(dataset / "t10k-images-idx3-ubyte.gz", 2051, np.zeros((40, 28, 28)))
    with pytest.raises(UnreadableInputError, match="t10k-labels"):
        fashion_mnist()


def test_items_survive_pickling() -> None:
    images = LabelledImages(pixels=np.full((3, 28, 28), 9, np.uint8), labels=np.array([1, 2, 3], np.uint8))
    copy = pickle.loads(pickle.dumps(images))
    assert np.array_equal(copy.item(2).tensors["in0"], images.item(2).tensors["in0"])
    assert normalise(images.pixels).dtype == np.float32


def test_labels_can_be_taken_away() -> None:
    images = LabelledImages(pixels=np.full((3, 28, 28), 9, np.uint8), labels=np.array([1, 2, 3], np.uint8))
    bare = Unlabelled(data=images)
    assert len(bare) == 3
    assert (bare.item(1).label, bare.item(1).name) == (None, "1")
    assert np.array_equal(bare.item(1).tensors["in0"], images.item(1).tensors["in0"])
