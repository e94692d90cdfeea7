"""Activations of ``edgedeploy_ops.conv_s8`` and ``depthwise_s8`` on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import edgedeploy_ops

RNG = np.random.default_rng(11)
IMAGE = RNG.integers(-128, 128, (13, 20, 21), dtype=np.int8)
WEIGHTS = {
    "conv_s8": RNG.integers(-127, 128, (10, 13, 3, 3), dtype=np.int8),
    "depthwise_s8": RNG.integers(-127, 128, (13, 3, 3), dtype=np.int8),
}
SCALES = {"conv_s8": np.float32(2.0**-14), "depthwise_s8": np.float32(2.0**-12)}
OPERATORS: dict[str, Callable[..., NDArray[Any]]] = {
    "conv_s8": edgedeploy_ops.conv_s8,
    "depthwise_s8": edgedeploy_ops.depthwise_s8,
}
Values = NDArray[np.float64]
Formula = Callable[[Values], Values]


def sigmoid(v: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-v)))


def mish(v: Values) -> Values:
    return np.asarray(v * np.tanh(np.logaddexp(v, 0)))


def hard_swish(v: Values) -> Values:
    return np.asarray(v * np.clip(v / 6 + 0.5, 0, 1))


class Activation(NamedTuple):
    """How one is called, codes of a one, and what floats are off by at the most."""

    name: str
    figures: dict[str, float]
    formula: Formula
    out_scale: float = 10.0
    tolerance: float = 0.0

    def of_codes(self) -> dict[str, float]:
        """Those that are clamps of codes, and none, take no scale."""
        return {"out_scale": self.out_scale} if self.name in ("hardswish", "sigmoid", "mish") else {}


ACTIVATIONS = [
    Activation("none", {}, lambda v: v),
    Activation("relu", {}, lambda v: np.maximum(v, 0)),
    Activation("leaky_relu", {"alpha": 0.125}, lambda v: np.where(v > 0, v, v * 0.125)),
    Activation("leaky_relu", {"alpha": 1.5}, lambda v: np.where(v > 0, v, v * 1.5), tolerance=1e-7),
    Activation("hardswish", {"alpha": 1 / 6, "beta": 0.5}, hard_swish, tolerance=1e-6),
    Activation("sigmoid", {}, sigmoid, 120.0, 1e-5),
    Activation("mish", {}, mish, tolerance=1e-5),
]


def call(op: str, scale: float, bias: float, **how: Any) -> NDArray[Any]:
    """A scale and a bias that all channels have."""
    weights = WEIGHTS[op]
    scales = np.full(len(weights), np.float32(scale) * SCALES[op], np.float32)
    biases = np.full(len(weights), bias, np.float32)
    return OPERATORS[op](IMAGE, weights, scales, biases, padding=1, pad_code=3, **how)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: activation.name)
def test_floats_and_codes_are_the_activations(op: str, activation: Activation) -> None:
    values = call(op, 1.0, 0.25).astype(np.float64)
    assert values.min() < -4 and values.max() > 4
    expected = activation.formula(values)
    how: dict[str, Any] = {"activation": activation.name, **activation.figures}
    made = call(op, 1.0, 0.25, **how)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, rtol=activation.tolerance, atol=activation.tolerance)
    out_scale = activation.out_scale
    codes = call(op, out_scale, 0.25 * out_scale, codes=True, **how, **activation.of_codes())
    assert codes.dtype == np.int8
    steps = np.abs(codes - np.clip(np.floor(expected * out_scale + 0.5), -127, 127))
    assert steps.max() <= 1 and np.count_nonzero(steps) <= steps.size / 1000


@pytest.mark.parametrize("op", OPERATORS)
def test_clips_are_limits_in_floats_and_in_codes(op: str) -> None:
    for codes in (False, True):
        clipped = call(op, 1.0, 0.0, activation="clip", alpha=-1.0, beta=6.0, codes=codes)
        np.testing.assert_array_equal(clipped, call(op, 1.0, 0.0, low=-1.0, high=6.0, codes=codes))
        assert (clipped.min(), clipped.max()) == (-1, 6)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("activation", ["leaky_relu", "hardswish", "sigmoid", "mish"])
def test_every_variant_gives_the_bits_of_the_reference(op: str, activation: str) -> None:
    names = [row["name"] for row in edgedeploy_ops.kernels() if row["op"] in (op, f"{op}_3x3s1") and row["supported"]]
    for codes in (False, True):
        how = {"activation": activation, "alpha": 0.2, "beta": 0.5, "codes": codes}
        made = [call(op, 1.0, -0.5, variant=name, **how) for name in names]
        assert len(np.unique(made[-1])) >= 2
        for values in made[:-1]:
            np.testing.assert_array_equal(values, made[-1])


def test_values_at_the_ends_of_float_have_the_activations_limits() -> None:
    ends = call("conv_s8", 1e20, 0.0, activation="sigmoid")
    assert 0 < ends.min() < 1e-37 and ends.max() == pytest.approx(1, rel=2e-6)
    assert call("conv_s8", 0.0, -1e20, activation="mish")[0, 0, 0] == pytest.approx(0, abs=1e-10)
    assert call("conv_s8", 0.0, 1e20, activation="mish")[0, 0, 0] == pytest.approx(1e20, rel=2e-6)
    assert call("conv_s8", 0.0, 1e-40, activation="mish")[0, 0, 0] == pytest.approx(0.6e-40, rel=1e-3)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"activation": "swish"}, "unknown activation 'swish'; one of none, relu, leaky_relu, clip, sigmoid, mish"),
        ({"activation": "relu", "low": -1.0}, "low and high go with activation 'none', not with 'relu'"),
        ({"activation": "mish", "high": 4.0}, "low and high go with activation 'none', not with 'mish'"),
        ({"activation": "leaky_relu", "alpha": -0.5}, "alpha of leaky_relu must be finite and not below 0"),
        ({"activation": "leaky_relu", "alpha": np.nan}, "alpha of leaky_relu must be finite and not below 0"),
        ({"activation": "hardswish"}, "alpha of hardswish must be above 0"),
        ({"activation": "hardswish", "alpha": 1.0, "beta": np.inf}, "beta and alpha / out_scale finite"),
        ({"activation": "clip", "alpha": 2.0, "beta": 1.0}, "low must not be above high"),
        ({"activation": "clip", "alpha": -2.0, "beta": 0.0}, "high of float32 output must not be 0"),
        ({"activation": "mish", "out_scale": 2.0}, "out_scale is that of codes"),
        ({"activation": "mish", "codes": True, "out_scale": 0.0}, "out_scale must be finite and above 0"),
        ({"activation": "mish", "codes": True, "out_scale": np.inf}, "out_scale must be finite and above 0"),
        ({"activation": "sigmoid", "codes": True, "out_scale": 1e30}, "out_scale of sigmoid must lie in"),
    ],
)  # fmt: skip
def test_wrong_figures_are_one_type_of_error(op: str, how: dict[str, Any], message: str) -> None:
    with pytest.raises(edgedeploy_ops.OpsError, match=message):
        call(op, 1.0, 0.0, **how)


def test_values_that_may_leave_float_are_refused() -> None:
    with pytest.raises(edgedeploy_ops.OpsError, match="scale and bias are too large for activation 'mish'"):
        call("conv_s8", 1e30, 0.0, activation="mish")
    with pytest.raises(TypeError):
        call("conv_s8", 1.0, 0.0, activation=3)
