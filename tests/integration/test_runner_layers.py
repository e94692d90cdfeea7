"""int8 1x1 convolutions by this project's kernels against the engine's own, on every core type."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from runner_models import FloatArray, NetWriter, PointwiseCase, add_pointwise, classifier
from runner_program import CORES, Runner
from runner_release import float_input, write_release

pytestmark = pytest.mark.cross

SEED = 7

NONE = (0, ())
RELU = (1, ())
LEAKY = (2, (0.125,))
CLIP = (3, (0.0, 6.0))
SIGMOID = (4, ())
MISH = (5, ())
HARD_SWISH = (6, (1 / 6, 0.5))
COVERED = (NONE, RELU, LEAKY, CLIP, HARD_SWISH)

# (channels in, channels out): ones, whole and ragged tiles and packs, up to 130.
CHANNELS = (
    (1, 1), (2, 3), (3, 8), (4, 4), (5, 16), (7, 9), (8, 8), (12, 20), (15, 17), (16, 12), (24, 64), (31, 33),
    (33, 2), (64, 32), (96, 40), (127, 5), (128, 24), (130, 130),
)  # fmt: skip
CASES = tuple(
    PointwiseCase(
        channels_in=channels_in,
        channels_out=channels_out,
        height=1 + index % 11,
        width=1 + index * 5 % 17,
        requantizes=requantizes,
        activation=COVERED[(index + requantizes) % len(COVERED)],
        has_bias=index % 4 != 1,
    )
    for index, (channels_in, channels_out) in enumerate(CHANNELS)
    for requantizes in (True, False)
)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One release with a branch a case, so that one start of the program runs them all."""

    release: Path
    cases: tuple[PointwiseCase, ...]

    def infer(self, runner: Runner, made: Path, *options: str, core: str) -> dict[str, FloatArray]:
        inputs = [
            part
            for index in range(len(self.cases))
            for part in ("--input", f"in{index}={self.release}/golden/in{index}.npy")
        ]
        runner.document("infer", "--release", self.release, *inputs, "--output-dir", made, *options, core=core)
        return {f"out{index}": np.load(made / f"out{index}.npy") for index in range(len(self.cases))}


def _sweep(directory: Path, cases: tuple[PointwiseCase, ...], *, precision: str = "fp32") -> Sweep:
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    inputs, outputs = {}, {}
    for index, case in enumerate(cases):
        net.layer("Input", f"in{index}", [], [f"in{index}"])
        add_pointwise(net, case, rng, name=f"conv{index}", bottom=f"in{index}", top=f"out{index}")
        shape = (1, case.channels_in, case.height, case.width)
        inputs[f"in{index}"] = float_input(rng.normal(0, 1, shape).astype(np.float32))
        outputs[f"out{index}"] = np.zeros((case.channels_out, case.height, case.width), np.float32)
    write_release(directory, net, inputs=inputs, outputs=outputs, precision=precision)
    return Sweep(release=directory, cases=cases)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return _sweep(tmp_path_factory.mktemp("sweep"), CASES)


@pytest.fixture(scope="module")
def reference(runner: Runner, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FloatArray]:
    """This project's layers on the plainest core."""
    return sweep.infer(runner, tmp_path_factory.mktemp("reference"), "--threads", "1", core="cortex-a53")


@pytest.mark.parametrize("core", CORES)
def test_results_are_the_engines_but_for_rare_single_steps(
    runner: Runner, sweep: Sweep, reference: dict[str, FloatArray], tmp_path: Path, core: str
) -> None:
    stock = sweep.infer(runner, tmp_path, "--threads", "1", "--disable-layers", core=core)
    values = steps = 0
    for index, case in enumerate(sweep.cases):
        made, expected = reference[f"out{index}"], stock[f"out{index}"]
        assert expected.size < 50 or len(np.unique(expected)) > 10, case
        if case.requantizes:
            assert np.abs(made - expected).max() <= 1, case
            values += made.size
            steps += int(np.count_nonzero(made != expected))
        else:
            np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5, err_msg=str(case))
    assert values > 5_000
    assert steps <= values / 1000


@pytest.mark.parametrize("core", CORES)
def test_results_are_the_same_bits_on_every_core_and_thread_count(
    runner: Runner, sweep: Sweep, reference: dict[str, FloatArray], tmp_path: Path, core: str
) -> None:
    for threads in ("1", "2", "5"):
        made = sweep.infer(runner, tmp_path / threads, "--threads", threads, core=core)
        for name, expected in reference.items():
            np.testing.assert_array_equal(made[name].view(np.uint32), expected.view(np.uint32), err_msg=name)


def test_the_kernel_computes_every_case_of_the_sweep(runner: Runner, sweep: Sweep) -> None:
    document = runner.document("bench", "--release", sweep.release, "--runs", "1", "--layers")
    convolutions = [layer for layer in document["layers"] if layer["type"] == "Convolution"]
    assert len(convolutions) == len(CASES)
    assert {layer["implementation"] for layer in convolutions} == {"edgedeploy"}


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_fp16_storage_agrees_with_the_engine(runner: Runner, tmp_path: Path, core: str) -> None:
    sweep = _sweep(tmp_path / "release", CASES, precision="fp16")
    made = sweep.infer(runner, tmp_path / "made", core=core)
    stock = sweep.infer(runner, tmp_path / "stock", "--disable-layers", core=core)
    for index, case in enumerate(CASES):
        expected = stock[f"out{index}"]
        if case.requantizes:
            assert np.abs(made[f"out{index}"] - expected).max() <= 1, case
        else:
            # Half a unit in fp16's last place, once more for activations that the engine computes in fp16.
            np.testing.assert_allclose(made[f"out{index}"], expected, rtol=2e-3, atol=2e-3, err_msg=str(case))


def _chain(directory: Path) -> None:
    """A requantize chain: int8 blobs between convolutions, packed by eights and not, and a Split."""
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    widths = (3, 16, 24, 10, 32)
    for index, (channels_in, channels_out) in enumerate(pairwise(widths)):
        case = PointwiseCase(channels_in=channels_in, channels_out=channels_out, activation=RELU)
        add_pointwise(net, case, rng, name=f"conv{index}", bottom=f"in{index}", top=f"in{index + 1}")
    net.layer("Split", "split", [f"in{len(widths) - 1}"], ["left", "right"])
    for side in ("left", "right"):
        case = PointwiseCase(channels_in=widths[-1], channels_out=6, requantizes=False)
        add_pointwise(net, case, rng, name=f"conv_{side}", bottom=side, top=f"out_{side}")
    array = rng.normal(0, 1, (1, 3, 9, 11)).astype(np.float32)
    zeros = np.zeros((6, 9, 11), np.float32)
    write_release(directory, net, inputs={"in0": float_input(array)}, outputs={"out_left": zeros, "out_right": zeros})


def test_a_requantize_chain_agrees_with_the_engine(runner: Runner, tmp_path: Path) -> None:
    _chain(tmp_path / "release")
    made: dict[str, dict[str, FloatArray]] = {}
    for name, core, options in (
        ("stock", "cortex-a53", ["--disable-layers"]),
        ("a53", "cortex-a53", []),
        ("max", "max", []),
    ):
        directory = tmp_path / name
        runner.document(
            "infer", "--release", tmp_path / "release", "--input", f"in0={tmp_path}/release/golden/in0.npy",
            "--output-dir", directory, *options, core=core,
        )  # fmt: skip
        made[name] = {side: np.load(directory / f"out_{side}.npy") for side in ("left", "right")}
    for side in ("left", "right"):
        np.testing.assert_array_equal(made["a53"][side], made["max"][side])
        error = made["a53"][side] - made["stock"][side]
        # A single step in the middle of the chain moves a few of the sums after it a little.
        assert np.linalg.norm(error) <= 0.01 * np.linalg.norm(made["stock"][side])


def test_layers_that_are_not_covered_go_to_the_engine_bit_for_bit(runner: Runner, tmp_path: Path) -> None:
    """Activations the kernel lacks, weights of -128, strides, padding, larger kernels, float weights."""
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    inputs = {}
    outputs = {}

    def branch(index: int, parameters: str, weights: np.ndarray, out: tuple[int, int, int], *, is_int8: bool) -> None:
        net.layer("Input", f"in{index}", [], [f"in{index}"])
        net.layer("Convolution", f"conv{index}", [f"in{index}"], [f"out{index}"], parameters)
        if is_int8:
            net.tagged_int8(weights.astype(np.int8))
            net.raw_floats(np.full(out[0], 90, np.float32))
            net.raw_floats(np.array([45], np.float32))
        else:
            net.tagged_floats(weights.astype(np.float32))
        inputs[f"in{index}"] = float_input(rng.normal(0, 1, (1, 8, 6, 6)).astype(np.float32))
        outputs[f"out{index}"] = np.zeros(out, np.float32)

    pointwise = rng.integers(-127, 128, 128)
    with_lowest = pointwise.copy()
    with_lowest[5] = -128
    branch(0, f"0=16 1=1 6=128 8=2 9={SIGMOID[0]}", pointwise, (16, 6, 6), is_int8=True)
    branch(1, f"0=16 1=1 6=128 8=2 9={MISH[0]}", pointwise, (16, 6, 6), is_int8=True)
    branch(2, "0=16 1=1 6=128 8=2", with_lowest, (16, 6, 6), is_int8=True)
    branch(3, "0=16 1=1 3=2 6=128 8=2", pointwise, (16, 3, 3), is_int8=True)
    branch(4, "0=16 1=1 4=1 6=128 8=2", pointwise, (16, 8, 8), is_int8=True)
    branch(5, "0=4 1=3 4=1 6=288 8=2", rng.integers(-127, 128, 288), (4, 6, 6), is_int8=True)
    branch(6, "0=16 1=1 6=128", rng.normal(0, 1, 128), (16, 6, 6), is_int8=False)
    branch(7, "0=16 1=3 4=1 6=1152", rng.normal(0, 1, 1152), (16, 6, 6), is_int8=False)
    write_release(tmp_path / "release", net, inputs=inputs, outputs=outputs)

    arguments = [part for name in inputs for part in ("--input", f"{name}={tmp_path}/release/golden/{name}.npy")]
    for core in ("cortex-a53", "cortex-a76"):
        made, stock = tmp_path / core / "made", tmp_path / core / "stock"
        runner.document("infer", "--release", tmp_path / "release", *arguments, "--output-dir", made, core=core)
        runner.document(
            "infer", "--release", tmp_path / "release", *arguments, "--output-dir", stock, "--disable-layers", core=core
        )
        for name in outputs:
            np.testing.assert_array_equal(np.load(made / f"{name}.npy"), np.load(stock / f"{name}.npy"), err_msg=name)
    document = runner.document("bench", "--release", tmp_path / "release", "--runs", "1", "--layers")
    assert {layer["implementation"] for layer in document["layers"]} == {"ncnn"}


@pytest.mark.parametrize("precision", ["fp32", "fp16-storage", "fp16"])
def test_float_models_give_the_same_bits_with_and_without_the_pack(
    runner: Runner, tmp_path: Path, precision: str
) -> None:
    rng = np.random.default_rng(SEED)
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    zeros = {"out0": np.zeros(5, np.float32)}
    write_release(
        tmp_path / "release", classifier(rng), inputs={"in0": float_input(array)}, outputs=zeros, precision=precision
    )
    results = []
    for name, options in (("made", []), ("stock", ["--disable-layers"])):
        runner.document(
            "infer", "--release", tmp_path / "release", "--input", f"in0={tmp_path}/release/golden/in0.npy",
            "--output-dir", tmp_path / name, *options, core="cortex-a76",
        )  # fmt: skip
        results.append(np.load(tmp_path / name / "out0.npy"))
    np.testing.assert_array_equal(*results)


def test_a_blob_with_the_wrong_channels_is_an_error_and_no_read_beyond_it(runner: Runner, tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    add_pointwise(net, PointwiseCase(channels_in=16, channels_out=8), rng, name="conv", bottom="in0", top="out0")
    array = rng.normal(0, 1, (1, 8, 4, 4)).astype(np.float32)
    write_release(tmp_path, net, inputs={"in0": float_input(array)}, outputs={"out0": np.zeros((8, 4, 4), np.float32)})
    answer = runner("selftest", "--release", tmp_path)
    assert answer.exit_status == 8
    assert "out0" in answer.error
