"""``edgedeploy_ops.conv_s8`` and ``depthwise_s8`` on this machine against numpy, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgedeploy_ops

SEED = 7


def variants(op: str) -> list[str]:
    return [row["name"] for row in edgedeploy_ops.kernels() if row["op"].startswith(op) and row["supported"]]


def sums_of(
    image: NDArray[np.int8],
    weights: NDArray[np.int8],
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    pad_code: int = 0,
) -> NDArray[np.int64]:
    """``weights``: N x channels of a group x window; as many groups as the image's channels make of that."""
    around = ((0, 0), (padding, padding), (padding, padding))
    wide = np.pad(image, around, constant_values=pad_code).astype(np.int64)
    rows, columns = weights.shape[2:]
    height = (wide.shape[1] - dilation * (rows - 1) - 1) // stride + 1
    width = (wide.shape[2] - dilation * (columns - 1) - 1) // stride + 1
    groups = len(image) // weights.shape[1]
    grouped = weights.astype(np.int64).reshape(groups, -1, *weights.shape[1:])
    sums = np.zeros((groups, grouped.shape[1], height, width), np.int64)
    for r in range(rows):
        for s in range(columns):
            seen = wide[:, r * dilation :: stride, s * dilation :: stride][:, :height, :width]
            seen = seen.reshape(groups, -1, height, width)
            sums += np.einsum("gnk,gkyx->gnyx", grouped[..., r, s], seen)
    return sums.reshape(-1, height, width)


def value_of(sums: NDArray[np.int64], scale: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale and offset have few bits, so that float64 holds the whole of it and rounding to float32 is the only one."""
    wide = sums.astype(np.float64) * scale[:, None, None].astype(np.float64) + offset[:, None, None].astype(np.float64)
    return wide.astype(np.float32)


def problem(
    image_shape: tuple[int, int, int], weights_shape: tuple[int, ...]
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(SEED + sum(image_shape) + sum(weights_shape))
    image = rng.integers(-128, 128, image_shape, dtype=np.int8)
    weights = rng.integers(-127, 128, weights_shape, dtype=np.int8)
    scale = (rng.integers(-64, 65, len(weights)) / 2**15).astype(np.float32)
    bias = (rng.integers(-200, 200, len(weights)) / 16).astype(np.float32)
    return image, weights, scale, bias


def check(
    run: Callable[..., NDArray[Any]],
    sums: NDArray[np.int64],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> None:
    """Every output and limits, against the sums."""
    floats = value_of(sums, scale, bias)
    assert len(np.unique(floats)) > 3
    made = run(scale, bias)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, floats)
    np.testing.assert_array_equal(run(scale, bias, low=0.0, high=6.0), np.clip(floats, 0, 6))
    np.testing.assert_array_equal(run(scale), value_of(sums, scale, np.zeros_like(bias)))
    rounded = np.floor(value_of(sums, scale, bias + np.float32(0.5)).astype(np.float64))
    for limits in ({}, {"low": 0.0}, {"low": -100.0, "high": 57.0}):
        codes = run(scale, bias, codes=True, **limits)
        assert codes.dtype == np.int8
        np.testing.assert_array_equal(codes, np.clip(rounded, limits.get("low", -127), limits.get("high", 127)))


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = [
    ((8, 5, 6), (8, 8, 1, 1), {}),
    ((3, 9, 7), (10, 3, 3, 3), {"stride": 2, "padding": 1, "pad_code": -7}),
    ((17, 6, 11), (5, 17, 3, 2), {"padding": 2, "dilation": 2, "pad_code": 127}),
    ((1, 3, 3), (1, 1, 5, 5), {"stride": 3, "padding": 4, "pad_code": -128}),
    ((40, 7, 7), (24, 40, 3, 3), {"padding": 1}),
]


@pytest.mark.parametrize("variant", variants("conv_s8"))
@pytest.mark.parametrize(("image_shape", "weights_shape", "window"), CONVOLUTIONS)
def test_convolution_is_exact(
    variant: str, image_shape: tuple[int, int, int], weights_shape: tuple[int, ...], window: dict[str, int]
) -> None:
    image, weights, scale, bias = problem(image_shape, weights_shape)
    sums = sums_of(image, weights, **window)

    def run(*values: NDArray[np.float32], **how: Any) -> NDArray[Any]:
        return edgedeploy_ops.conv_s8(image, weights, *values, variant=variant, **window, **how)

    check(run, sums, scale, bias)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("image_shape", [(8, 5, 6), (3, 7, 5), (17, 9, 20)])
def test_depthwise_convolution_is_exact(kernel: int, stride: int, image_shape: tuple[int, int, int]) -> None:
    image, weights, scale, bias = problem(image_shape, (image_shape[0], kernel, kernel))
    for variant in variants(f"depthwise_s8_{kernel}x{kernel}s{stride}"):
        for padding in (0, kernel // 2, kernel - 1):
            window = {"stride": stride, "padding": padding, "pad_code": 11}
            sums = sums_of(image, weights[:, None], **window)

            def run(
                *values: NDArray[np.float32], _window: dict[str, int] = window, _variant: str = variant, **how: Any
            ) -> NDArray[Any]:
                return edgedeploy_ops.depthwise_s8(image, weights, *values, variant=_variant, **_window, **how)

            check(run, sums, scale, bias)


def test_strided_arrays_are_taken_and_the_longest_sum_is_exact() -> None:
    image, weights, scale, bias = problem((12, 8, 9), (6, 12, 3, 3))
    made = edgedeploy_ops.conv_s8(image[::2, ::2], weights[:, ::2, ::-1], scale, bias)
    sums = sums_of(image[::2, ::2], weights[:, ::2, ::-1])
    np.testing.assert_array_equal(made, value_of(sums, scale, bias))
    most = 131071 // 8 * 8
    long = edgedeploy_ops.conv_s8(
        np.full((most, 1, 1), -128, np.int8), np.full((1, most, 1, 1), 127, np.int8), [2.0**-10]
    )
    assert long[0, 0, 0] == np.float32(-128 * 127 * most) * np.float32(2**-10)


IMAGE = np.ones((3, 4, 4), np.int8)
WEIGHTS = np.ones((2, 3, 3, 3), np.int8)
WINDOWS = np.ones((3, 3, 3), np.int8)
TWO, THREE = [1.0] * 2, [1.0] * 3
conv, depthwise = edgedeploy_ops.conv_s8, edgedeploy_ops.depthwise_s8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv(IMAGE.astype(np.uint8), WEIGHTS, TWO), r"image must be a 3-.* of int8, not \(3, 4, 4\) uint8"),
        (lambda: conv(IMAGE, WEIGHTS[0], TWO), "weights must be a 4-dimensional array of int8"),
        (lambda: conv(IMAGE[:2], WEIGHTS, TWO), "their channels differ"),
        (lambda: conv(IMAGE, WEIGHTS[:0], []), r"each side of weights must lie in 1\.\.1048576, not 0"),
        (lambda: conv(IMAGE, np.full_like(WEIGHTS, -128), TWO), r"weights must lie in \[-127, 127\]"),
        (lambda: conv(IMAGE, WEIGHTS, THREE), r"scale must hold 2 values, not \(3\) float32"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, [np.inf] * 2), "scale and bias must be finite"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, stride=0), r"stride must lie in 1\.\.16384, not 0"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, dilation=2), "the window reaches over 5 pixels, the padded image has 4"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, pad_code=128), r"pad_code must lie in -128\.\.127, not 128"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, low=2.0, high=1.0), "low must not be above high"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, high=0.0), "high of float32 output must not be 0"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, codes=True, low=0.5), "low of codes must be a whole number"),
        (lambda: conv(IMAGE, WEIGHTS, TWO, variant="gemm_s8_ref"), "unknown variant 'gemm_s8_ref' of conv_s8; built"),
        (lambda: conv(np.ones((131072, 1, 1), np.int8), np.ones((1, 131072, 1, 1), np.int8), [1.0]), "products of a"),
        (lambda: depthwise(IMAGE, WINDOWS[:2], TWO), "their channels differ"),
        (lambda: depthwise(IMAGE, WINDOWS[:, :2], THREE), "no square window"),
        (lambda: depthwise(IMAGE, WINDOWS[:, :2, :2], THREE), "windows of 3x3 and 5x5 with stride 1 and 2, not 2x2"),
        (lambda: depthwise(IMAGE, WINDOWS, THREE, stride=3), "not 3x3 with 3"),
        (lambda: depthwise(IMAGE, WINDOWS, THREE, padding=3), r"padding must lie in 0\.\.2, not 3"),
        (lambda: depthwise(IMAGE[:, :2], WINDOWS, THREE), "the window reaches over 3 pixels, the padded image has 2"),
        (lambda: depthwise(IMAGE, WINDOWS, THREE, variant="depthwise_s8_5x5s1_ref"), "unknown variant"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_type_of_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(edgedeploy_ops.OpsError, match=message):
        call()
