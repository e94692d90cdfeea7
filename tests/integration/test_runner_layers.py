"""Int8 layers by this project's kernels against the engine's own and against numpy, on every core type.

Each test runs a whole sweep of layers in one start of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runner_layer_cases import SDOT_CORES, Sweep, has_exact_reference, is_computed_here, make_sweep, sweep_cases
from runner_layer_reference import outputs_of
from runner_models import FloatArray
from runner_program import CORES, Runner

from edgedeploy.graph import read_graph
from edgedeploy.quantize.accumulators import accumulator_limit
from edgedeploy.quantize.own_layers import winograd_is_ours
from edgedeploy.quantize.settings import Target

pytestmark = pytest.mark.cross

THREADS = ("1", "2", "5")
# Values of the requantized layers that may differ from the engine's, by one step: scale, bias and output scale are
# applied in another order of roundings.
STEPS = 1 / 10_000
FLOAT_TOLERANCE = 1e-5
# Sigmoid and mish: the engine approximates exponentials, too.
CURVED = (4, 5)
CURVED_TOLERANCE = 2e-5
# Half a unit in fp16's last place, once more for activations that the engine computes in fp16; its mish takes several
# steps in it.
FP16_TOLERANCE = 2e-3
FP16_CURVED_TOLERANCE = 5e-3

Infer = Callable[..., list[FloatArray]]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return make_sweep(tmp_path_factory.mktemp("sweep"), sweep_cases())


@pytest.fixture(scope="module")
def infer(runner: Runner, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Infer:
    """The sweep's outputs on a core, run once."""
    known: dict[tuple[str, ...], list[FloatArray]] = {}

    def outputs(core: str, threads: str = "1", *options: str) -> list[FloatArray]:
        key = (core, threads, *options)
        if key not in known:
            made = tmp_path_factory.mktemp("made")
            known[key] = sweep.infer(runner, made, *options, core=core, threads=threads)
        return known[key]

    return outputs


def test_the_sweep_is_broad(sweep: Sweep) -> None:
    here = [case for case in sweep.cases if is_computed_here(case, "max")]
    assert len(here) > 180 and len(sweep.cases) - len(here) > 20
    for kind in ("Convolution", "ConvolutionDepthWise", "InnerProduct"):
        assert {case.activation[0] for case in here if case.kind == kind} == set(range(7)), kind
    windows = {(case.kernel, case.stride) for case in here if case.kind == "ConvolutionDepthWise"}
    assert windows == {((k, k), (s, s)) for k in (3, 5) for s in (1, 2)}
    convolutions = [case for case in here if case.kind == "Convolution"]
    assert {case.kernel[axis] for case in convolutions for axis in (0, 1)} == set(range(1, 8))
    assert {case.stride[axis] for case in convolutions for axis in (0, 1)} == {1, 2, 3}
    assert {case.dilation[axis] for case in convolutions for axis in (0, 1)} == {1, 2, 3}
    # In eights, in runs of a row, packed; windows larger than their input.
    assert sum(case.channels_in % 8 == 0 for case in convolutions) > 40
    assert sum(case.channels_in % 8 != 0 and case.dilation[0] == 1 for case in convolutions) > 40
    assert sum(case.channels_in % 8 != 0 and case.dilation[0] > 1 for case in convolutions) > 5
    # Their rows apart, where whole windows are copied.
    few = [case for case in convolutions if case.channels_in < 8 and case.channels_out >= 64 and case.kernel[1] > 1]
    assert {case.dilation[1] for case in few if case.dilation[0] == 1} == {1, 2, 3}
    assert sum(case.extent[0] > case.width or case.extent[1] > case.height for case in convolutions) > 5
    assert sum(has_exact_reference(case) for case in sweep.cases) > 100


@pytest.mark.parametrize("core", CORES)
def test_results_are_the_engines_but_for_rare_single_steps(sweep: Sweep, infer: Infer, core: str) -> None:
    stock = infer(core, "1", "--disable-layers")
    values = steps = 0
    for case, made, expected in zip(sweep.cases, infer(core), stock, strict=True):
        assert expected.size < 50 or len(np.unique(expected)) > 10, case
        if not is_computed_here(case, core):
            np.testing.assert_array_equal(made, expected, err_msg=str(case))
        elif case.requantizes:
            assert np.abs(made - expected).max() <= 1, case
            values += made.size
            steps += int(np.count_nonzero(made != expected))
        else:
            tolerance = CURVED_TOLERANCE if case.activation[0] in CURVED else FLOAT_TOLERANCE
            np.testing.assert_allclose(made, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))
    print(f"{core}: {steps} of {values} requantized values differ by a step")
    assert values > 20_000
    assert steps <= values * STEPS


def test_results_are_numpys_bit_for_bit(sweep: Sweep, infer: Infer) -> None:
    outputs = infer("max")
    for index, case in enumerate(sweep.cases):
        if has_exact_reference(case):
            expected = outputs_of(case, sweep.arrays[index], sweep.inputs[index]).astype(np.float32)
            np.testing.assert_array_equal(outputs[index].view(np.uint32), expected.view(np.uint32), err_msg=str(case))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("core", CORES)
def test_results_are_the_same_bits_on_every_core_and_thread_count(
    sweep: Sweep, infer: Infer, core: str, threads: str
) -> None:
    made = zip(sweep.cases, infer(core, threads), infer("max"), strict=True)
    for case, values, expected in made:
        if is_computed_here(case, core):
            np.testing.assert_array_equal(values.view(np.uint32), expected.view(np.uint32), err_msg=str(case))


@pytest.mark.parametrize("core", ["cortex-a53", SDOT_CORES[0]])
def test_the_pack_computes_what_it_covers(runner: Runner, sweep: Sweep, core: str) -> None:
    for case, implementation in zip(sweep.cases, sweep.implementations(runner, core=core), strict=True):
        assert implementation == ("edgedeploy" if is_computed_here(case, core) else "ncnn"), case


def test_the_quantizer_knows_which_layers_our_winograd_takes(sweep: Sweep) -> None:
    graph = read_graph(sweep.release / "model" / "model.param", sweep.release / "model" / "model.bin")
    target = Target(name="cortex-a53", dotprod=False, own_layers=True)
    taken = []
    for index, case in enumerate(sweep.cases):
        layer = graph.layer(f"layer{index}")
        _, suits_winograd = accumulator_limit(layer, target)
        if suits_winograd:
            assert winograd_is_ours(layer, target) == is_computed_here(case, target.name), case
            taken.append(winograd_is_ours(layer, target))
    assert taken.count(True) > 2 and taken.count(False) > 5


@pytest.mark.parametrize("precision", ["fp16-storage", "fp16"])
@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_half_precision_agrees_with_the_engine(runner: Runner, tmp_path: Path, core: str, precision: str) -> None:
    half = make_sweep(tmp_path / "release", sweep_cases(), precision=precision)
    outputs = half.infer(runner, tmp_path / "made", core=core)
    stock = half.infer(runner, tmp_path / "stock", "--disable-layers", core=core)
    for case, made, expected in zip(half.cases, outputs, stock, strict=True):
        if case.requantizes:
            assert np.abs(made - expected).max() <= 1, case
        else:
            tolerance = FP16_CURVED_TOLERANCE if case.activation[0] in CURVED else FP16_TOLERANCE
            np.testing.assert_allclose(made, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))
