"""``edgedeploy_ops.preprocess`` on this machine against OpenCV and against the formulas written in numpy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import edgedeploy_ops

Image = NDArray[np.uint8]
VARIANTS = [row["name"] for row in edgedeploy_ops.kernels() if row["op"] == "preprocess_u8f32" and row["supported"]]
# Source height x width to destination height x width.
SIZES = [
    ((1, 1), (5, 7)), ((2, 3), (1, 1)), ((48, 64), (48, 64)), ((48, 64), (24, 32)), ((97, 131), (33, 57)),
    ((31, 17), (64, 96)), ((480, 640), (224, 224)), ((191, 384), (192, 384)), ((600, 5), (7, 300)),
]  # fmt: skip
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def picture(height: int, width: int, seed: int = 7) -> Image:
    """Noise, the hardest picture: every rounding shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def axis(source: int, destination: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions and 11-bit weights of one axis, before clamping."""
    centre = ((np.arange(destination) + 0.5) * (1 / (destination / source)) - 0.5).astype(np.float32)
    floor = np.floor(centre)
    return floor.astype(np.int64), np.rint((centre - floor) * np.float32(2048)).astype(np.int64)


def resize(image: Image, height: int, width: int) -> Image:
    """The fixed-point bilinear resize, whole planes at a time."""
    rows, columns = image.shape[:2]
    x, wx = axis(columns, width)
    outside = (x < 0) | (x >= columns - 1)
    wx = np.where(outside, 0, wx)[None, :, None]
    left = np.clip(x, 0, columns - 1)
    right = np.minimum(left + 1, columns - 1)
    y, wy = axis(rows, height)
    wy = wy[:, None, None]
    pixels = image.astype(np.int64)
    blended = (pixels[:, left] * (2048 - wx) + pixels[:, right] * wx) >> 4
    above = blended[np.clip(y, 0, rows - 1)]
    below = blended[np.clip(y + 1, 0, rows - 1)]
    return ((((above * (2048 - wy)) >> 16) + ((below * wy) >> 16) + 2) >> 2).astype(np.uint8)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("source", "destination"), SIZES, ids=str)
def test_resize_is_within_a_step_of_opencv(variant: str, source: tuple[int, int], destination: tuple[int, int]) -> None:
    image = picture(*source)
    height, width = destination
    expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.int64)
    got = edgedeploy_ops.preprocess(image, width, height, "bgr", ZERO, ONE, variant=variant)
    difference = np.abs(got.transpose(1, 2, 0) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.05


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("color", ["bgr", "rgb", "gray"])
@pytest.mark.parametrize(("source", "destination"), SIZES, ids=str)
def test_values_are_exact(variant: str, color: str, source: tuple[int, int], destination: tuple[int, int]) -> None:
    image = picture(*source, seed=11)
    height, width = destination
    mean, scale = np.float32([123.675, 116.28, 103.53]), np.float32([0.017124754, 0.017507003, -0.017429194])
    channels = 1 if color == "gray" else 3
    small = resize(image, height, width).astype(np.int64)
    if color == "gray":
        planes = ((3735 * small[..., 0] + 19235 * small[..., 1] + 9798 * small[..., 2] + (1 << 14)) >> 15)[None]
    else:
        planes = small.transpose(2, 0, 1)[:: 1 if color == "bgr" else -1]
    mean, scale = mean[:channels], scale[:channels]
    expected = (planes.astype(np.float32) - mean[:, None, None]) * scale[:, None, None]
    got = edgedeploy_ops.preprocess(image, width, height, color, mean, scale, variant=variant)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


def test_gray_is_opencv_s() -> None:
    image = picture(64, 80)
    got = edgedeploy_ops.preprocess(image, 80, 64, "gray", [0.0], [1.0])
    np.testing.assert_array_equal(got[0], cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def test_rows_may_lie_anywhere() -> None:
    image = picture(40, 50)
    for view in (image[5:30, 7:41], image[::-1], image[::3], image[:, ::-1], image[:, ::2], image[..., ::-1]):
        got = edgedeploy_ops.preprocess(view, 19, 23, "bgr", ZERO, ONE)
        expected = edgedeploy_ops.preprocess(np.ascontiguousarray(view), 19, 23, "bgr", ZERO, ONE)
        np.testing.assert_array_equal(got, expected)


IMAGE = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGE.astype(np.float32), 2, 2, "bgr", ZERO, ONE), r"image must be .* of uint8, not \(4, 5, 3\) float32"),
        ((IMAGE[..., 0], 2, 2, "bgr", ZERO, ONE), r"image must be a 3-dimensional array of uint8, not \(4, 5\) uint8"),
        ((IMAGE[..., :2], 2, 2, "bgr", ZERO, ONE), r"image must be height x width x 3, not \(4, 5, 2\) uint8"),
        ((IMAGE[:0], 2, 2, "bgr", ZERO, ONE), "the image's height must lie in 1..65535, not 0"),
        ((IMAGE, 0, 2, "bgr", ZERO, ONE), "width must lie in 1..65535, not 0"),
        ((IMAGE, 2, 1 << 33, "bgr", ZERO, ONE), "height must lie in 1..65535, not 8589934592"),
        ((IMAGE, 2, 2, "hsv", ZERO, ONE), "unknown color 'hsv'; one of bgr, rgb, gray"),
        ((IMAGE, 2, 2, "gray", ZERO, ONE), r"mean must hold 1 values, not \(3\) float32"),
        ((IMAGE, 2, 2, "rgb", ZERO, [1.0]), r"scale must hold 3 values, not \(1\) float32"),
        (("picture.png", 2, 2, "rgb", ZERO, ONE), "image must be a 3-dimensional array of uint8"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_type_of_error(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(edgedeploy_ops.OpsError, match=message):
        edgedeploy_ops.preprocess(*arguments)  # type: ignore[arg-type]


def test_unknown_variant_names_the_known_ones() -> None:
    with pytest.raises(
        edgedeploy_ops.OpsError, match=r"unknown variant 'fast' of preprocess_u8f32; built here: .*_ref"
    ):
        edgedeploy_ops.preprocess(IMAGE, 2, 2, "bgr", ZERO, ONE, variant="fast")
