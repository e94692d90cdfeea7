"""Hard swish, leaky ReLU, sigmoid and mish of int8 layers: gates in the kernels' registers, and where they are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runner_layer_cases import HARD_SWISH, LEAKY, MISH, SEED, SIGMOID, make_sweep
from runner_layer_reference import gated_channels, largest_sums, outputs_of, scales_of
from runner_models import ConvolutionCase, Int8Arrays, random_arrays
from runner_program import CORES, Runner

pytestmark = pytest.mark.cross

POINTWISE = ConvolutionCase(channels_in=24, channels_out=16, height=7, width=9)
LONG = ConvolutionCase(channels_in=128, channels_out=8, kernel=(3, 3), padding=(1, 1, 1, 1), height=5, width=6)
DEPTHWISE = ConvolutionCase(
    kind="ConvolutionDepthWise", channels_in=16, channels_out=16, groups=16, kernel=(3, 3), height=9, width=8
)
WIDE_DEPTHWISE = replace(DEPTHWISE, kernel=(5, 5), stride=(2, 2), height=17, width=30)
GATES = (
    HARD_SWISH,
    LEAKY,
    (2, (0.0,)),
    (2, (1.5,)),
    (6, (0.2, 0.5)),
    (6, (1.0, -0.75)),
    (6, (0.05, 2.5)),
    SIGMOID,
    MISH,
)
NO_GATES = ((2, (-0.5,)), HARD_SWISH, LEAKY, SIGMOID, MISH)


def folds(case: ConvolutionCase, arrays: Int8Arrays) -> bool:
    """Whether the codes' offsets can all be folded into where the sums start."""
    scale, bias = scales_of(case, arrays, to_codes=True)
    most = largest_sums(arrays.weights, not_negative=False)
    return None not in gated_channels(case, scale, bias, most, arrays.output_scale)


@pytest.mark.parametrize(
    "case", [POINTWISE, LONG, DEPTHWISE, WIDE_DEPTHWISE], ids=lambda case: f"{case.kind}{case.kernel}"
)
def test_gated_layers_are_numpys_bit_for_bit(runner: Runner, tmp_path: Path, case: ConvolutionCase) -> None:
    """Codes whose offsets are folded, or cannot be: sums that are too long, a scale that is a power of two; floats."""
    rng = np.random.default_rng(SEED)
    cases: list[ConvolutionCase] = []
    arrays: list[Int8Arrays] = []
    for gate in GATES:
        gated = replace(case, activation=gate)
        plain = random_arrays(gated, rng)
        whole = replace(
            plain,
            weight_scales=np.full_like(plain.weight_scales, 2),
            input_scale=np.float32(16),
            output_scale=np.float32(0.125),
        )
        loud = replace(plain, weights=np.full_like(plain.weights, 127))
        cases += [gated, replace(gated, requantizes=False), gated, gated, replace(gated, requantizes=False)]
        arrays += [plain, plain, whole, loud, loud]
    folded = [folds(case, own) for case, own in zip(cases, arrays, strict=True) if case.requantizes]
    assert not all(folded) and (any(folded) or case is LONG)

    sweep = make_sweep(tmp_path / "release", tuple(cases), arrays=tuple(arrays))
    expected = [outputs_of(case, own, given) for case, own, given in zip(cases, arrays, sweep.inputs, strict=True)]
    for core in CORES:
        assert set(sweep.implementations(runner, core=core)) == {"edgedeploy"}
        made = sweep.infer(runner, tmp_path / core, core=core)
        for index, (output, values) in enumerate(zip(made, expected, strict=True)):
            np.testing.assert_array_equal(
                output.view(np.uint32), values.astype(np.float32).view(np.uint32), err_msg=f"{core} {cases[index]}"
            )


def test_what_is_no_gate_goes_over_a_tile_and_agrees_with_the_engine(runner: Runner, tmp_path: Path) -> None:
    """Slopes below zero, and biases whose values come near the end of float."""
    rng = np.random.default_rng(SEED)
    bases = (POINTWISE, DEPTHWISE, replace(POINTWISE, requantizes=False))
    cases = [replace(base, activation=activation) for base in bases for activation in NO_GATES]
    arrays = [random_arrays(case, rng) for case in cases]
    for index, case in enumerate(cases):
        if case.activation != NO_GATES[0]:
            arrays[index] = replace(arrays[index], bias=np.full_like(arrays[index].bias, 3e30))
    sweep = make_sweep(tmp_path / "release", tuple(cases), arrays=tuple(arrays))
    for core in ("cortex-a72", "cortex-a76"):
        assert set(sweep.implementations(runner, core=core)) == {"edgedeploy"}
        made = sweep.infer(runner, tmp_path / core / "made", core=core)
        stock = sweep.infer(runner, tmp_path / core / "stock", "--disable-layers", core=core)
        for case, values, expected in zip(cases, made, stock, strict=True):
            tolerance = 1 if case.requantizes else 1e-5
            np.testing.assert_allclose(
                values, expected, rtol=0 if case.requantizes else 1e-5, atol=tolerance, err_msg=f"{core} {case}"
            )
