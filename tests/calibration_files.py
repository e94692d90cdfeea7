"""Files and inputs for the tests of calibration data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import ColorOrder, InputSpec, Preprocessing, Resize
from edgedeploy.quantize.calibration_data import open_data
from edgedeploy.quantize.items import Data

HOW = Preprocessing(
    color=ColorOrder.RGB, resize=Resize.BILINEAR, mean=(123.7, 116.3, 103.5), scale=(0.017, 0.0175, 0.0174)
)
IMAGE = (InputSpec(name="image", shape=(1, 3, 12, 16), preprocessing=HOW),)
TENSOR = (InputSpec(name="values", shape=(1, 4, 5)),)
PAIR = (InputSpec(name="left", shape=(1, 4)), InputSpec(name="right", shape=(1, 2, 3)))


FUNCTIONS = """
import numpy as np
calls = []

def listed():
    calls.append(1)
    return [np.full((4, 5), index, np.float32) for index in range(4)]

def generated():
    for array in listed():
        yield {"values": array, "more": 1}, int(array[0, 0]) + 10

def stacked():
    return np.stack(listed())

def once():
    assert not calls, "called again"
    return listed()

def nothing():
    return []

def for_ever():
    while True:
        yield 0

def mapping():
    return {"values": np.zeros((2, 4, 5))}

def number():
    return 3

def failing():
    raise KeyError("no such table")

def failing_later():
    yield np.zeros((4, 5))
    raise KeyError("no such table")

class Lazy:
    def __len__(self):
        return 3
    def __getitem__(self, index):
        if index == 1:
            raise OSError("gone")
        return np.full((4, 5), index)

def lazy():
    return Lazy()

def triples():
    return [(np.zeros((4, 5)), 1, 2)]

def named():
    return [(np.zeros((4, 5)), "cat")]

def misshapen():
    return [np.zeros((5, 4))]

def images():
    return [np.zeros((20, 30, 3), np.uint8) + 7]

not_a_function = 3
"""


def pixels(seed: int, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels(seed))
    return path


def floats(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def opened(source: Path | str, inputs: tuple[InputSpec, ...] = IMAGE, **options: Any) -> Data:
    return open_data(source, inputs, tuple(f"in{index}" for index in range(len(inputs))), **options)


def tensor(data: Data, index: int, name: str = "in0") -> NDArray[np.float32]:
    return np.asarray(data.item(index).tensors[name])
