"""``edgedeploy_ops.gemm`` on this machine against integer and float32 arithmetic in numpy, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import edgedeploy_ops

Float32 = np.float32
VARIANTS = [row["name"] for row in edgedeploy_ops.kernels() if row["op"] == "gemm_s8" and row["supported"]]
SHAPES = [(1, 1, 1), (3, 5, 7), (8, 8, 32), (9, 17, 33), (49, 32, 27), (2, 10, 1280)]


def activate(value: NDArray[np.float32], kind: str, alpha: float, beta: float) -> NDArray[np.float32]:
    """Written from ncnn's definition of each activation, in float32."""
    a, b = Float32(alpha), Float32(beta)
    if kind == "relu":
        return np.maximum(value, Float32(0))
    if kind == "leaky_relu":
        return np.where(value > 0, value, value * a)
    if kind == "clip":
        return np.minimum(np.maximum(value, a), b)
    if kind == "hardswish":
        lower = -b / a
        upper = Float32(1) / a + lower
        return np.where(value < lower, Float32(0), np.where(value > upper, value, value * (value * a + b)))
    return value


def round_half_away(value: NDArray[np.float32]) -> NDArray[np.int8]:
    exact = value.astype(np.float64)
    return np.clip(np.copysign(np.floor(np.abs(exact) + 0.5), exact), -127, 127).astype(np.int8)


def problem(
    m: int, n: int, k: int, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    a = random.integers(-128, 128, (m, k), dtype=np.int8)
    b = random.integers(-127, 128, (n, k), dtype=np.int8)
    scale = (random.uniform(-1, 1, n) / (30 * np.sqrt(k))).astype(np.float32)
    bias = random.uniform(-3, 3, n).astype(np.float32)
    return a, b, scale, bias


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("kind", "alpha", "beta"),
    [("none", 0.0, 0.0), ("relu", 0.0, 0.0), ("leaky_relu", 0.2, 0.0), ("clip", -1.0, 2.5), ("hardswish", 1 / 6, 0.5)],
)
def test_product_is_exact(variant: str, shape: tuple[int, int, int], kind: str, alpha: float, beta: float) -> None:
    a, b, scale, bias = problem(*shape, seed=sum(shape))
    accumulator = a.astype(np.int32) @ b.astype(np.int32).T
    expected = activate(accumulator.astype(np.float32) * scale + bias, kind, alpha, beta)

    real = edgedeploy_ops.gemm(a, b, scale, bias, activation=kind, alpha=alpha, beta=beta, variant=variant)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, expected)

    whole = edgedeploy_ops.gemm(
        a, b, scale, bias, activation=kind, alpha=alpha, beta=beta, out_scale=20.0, variant=variant
    )
    assert whole.dtype == np.int8
    np.testing.assert_array_equal(whole, round_half_away(expected * Float32(20)))


def test_halves_round_away_from_zero_and_saturate() -> None:
    a = np.arange(-128, 128, dtype=np.int8).reshape(-1, 1)
    got = edgedeploy_ops.gemm(a, np.array([[1], [127]], np.int8), [0.5, 1.0], out_scale=1.0)
    expected = [np.sign(v) * np.floor(abs(v) / 2 + 0.5) for v in range(-128, 128)]
    np.testing.assert_array_equal(got[:, 0], expected)
    np.testing.assert_array_equal(got[:, 1], np.clip(np.arange(-128, 128) * 127, -127, 127))


def test_longest_k_does_not_overflow() -> None:
    k = 131071
    a = np.full((1, k), -128, np.int8)
    b = np.full((1, k), 127, np.int8)
    assert edgedeploy_ops.gemm(a, b, [1.0])[0, 0] == np.float32(-128 * 127 * k)


def test_bias_is_optional_and_strided_arrays_are_taken() -> None:
    a, b, scale, _ = problem(6, 10, 24, seed=3)
    expected = (a[::2, ::3].astype(np.int32) @ b[::2, ::3].astype(np.int32).T).astype(np.float32) * scale[::2]
    np.testing.assert_array_equal(edgedeploy_ops.gemm(a[::2, ::3], b[::2, ::3], scale[::2]), expected)


A = np.ones((2, 3), np.int8)
B = np.ones((4, 3), np.int8)
SCALE = [1.0] * 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: edgedeploy_ops.gemm(A.astype(np.int16), B, SCALE), r"a must be a 2-d.* of int8, not \(2, 3\) int16"),
        (lambda: edgedeploy_ops.gemm(A[0], B, SCALE), r"a must be a 2-dimensional array of int8, not \(3\) int8"),
        (lambda: edgedeploy_ops.gemm(A, [[1]], SCALE), "b must be a 2-dimensional array of int8"),
        (lambda: edgedeploy_ops.gemm(A, B[:, :2], SCALE), r"a is \(2, 3\) int8 and b \(4, 2\) int8: their k differ"),
        (lambda: edgedeploy_ops.gemm(A, B, [1.0]), r"scale must hold 4 values, not \(1\) float32"),
        (lambda: edgedeploy_ops.gemm(A, B, "abcd"), "scale must hold"),
        (lambda: edgedeploy_ops.gemm(A, B, SCALE, [[1.0] * 4]), r"bias must hold 4 values, not \(1, 4\) float32"),
        (lambda: edgedeploy_ops.gemm(A, np.full((4, 3), -128, np.int8), SCALE), r"b must lie in \[-127, 127\]"),
        (lambda: edgedeploy_ops.gemm(A[:, :0], B[:, :0], SCALE), r"k must lie in 1\.\.131071, not 0"),
        (lambda: edgedeploy_ops.gemm(A, B, SCALE, activation="swish"), "unknown activation 'swish'; one of none, relu"),
        (lambda: edgedeploy_ops.gemm(A, B, SCALE, variant="gemm"), "unknown variant 'gemm' of gemm_s8; built"),
        (lambda: edgedeploy_ops.gemm(A, B, SCALE, variant="preprocess_u8f32_ref"), "unknown variant 'prep"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_type_of_error(call: object, message: str) -> None:
    with pytest.raises(edgedeploy_ops.OpsError, match=message):
        call()  # type: ignore[operator]


def test_table_is_consistent() -> None:
    rows = edgedeploy_ops.kernels()
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)
    for op in ("preprocess_u8f32", "gemm_s8"):
        of_op = [row for row in rows if row["op"] == op]
        assert of_op[-1]["name"] == f"{op}_ref"
        assert of_op[-1]["isa"] == []
        assert [row["selected"] for row in of_op].count(True) == 1
        assert all(row["reference"] == f"{op}_ref" and row["tolerance"] == 0 for row in of_op)
        assert next(row for row in of_op if row["supported"])["selected"]
