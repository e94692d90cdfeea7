"""What the operator pack leaves to the engine, and weights and blobs that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from runner_layer_cases import CLIP, LEAKY, NONE, RELU, SEED, batched, make_sweep
from runner_layer_reference import folded_offset, outputs_of
from runner_models import (
    SAME_LOWER,
    SAME_UPPER,
    ConvolutionCase,
    Int8Arrays,
    NetWriter,
    add_convolution,
    random_arrays,
)
from runner_program import Runner
from runner_release import float_input, write_release

pytestmark = pytest.mark.cross

MODEL, MEMORY, INFERENCE = 6, 7, 8
PLAIN_CORES = ("cortex-a53", "cortex-a76")

# One layer of each kind and form of input that the pack computes.
CASES = (
    ConvolutionCase(channels_in=8, channels_out=16, height=6, width=7, activation=RELU),
    ConvolutionCase(channels_in=5, channels_out=9, kernel=(3, 2), height=6, width=7, requantizes=False),
    ConvolutionCase(channels_in=5, channels_out=8, kernel=(3, 3), dilation=(2, 1), height=6, width=7, activation=LEAKY),
    ConvolutionCase(
        kind="ConvolutionDepthWise", channels_in=16, channels_out=16, groups=16, kernel=(3, 3), height=6, width=7
    ),
    ConvolutionCase(kind="InnerProduct", channels_in=8, channels_out=11, height=2, width=3, requantizes=False),
)


def _all_arrays(change: Callable[[Int8Arrays], Int8Arrays]) -> tuple[Int8Arrays, ...]:
    rng = np.random.default_rng(SEED)
    return tuple(change(random_arrays(case, rng)) for case in CASES)


def _first(values: np.ndarray, value: float) -> np.ndarray:
    changed = values.copy()
    changed.flat[0] = value
    return changed


BAD_WEIGHTS: dict[str, Callable[[Int8Arrays], Int8Arrays]] = {
    "a weight of -128": lambda a: replace(a, weights=_first(a.weights, -128)),
    "a weight scale of NaN": lambda a: replace(a, weight_scales=_first(a.weight_scales, np.nan)),
    "a weight scale too small to divide by": lambda a: replace(a, weight_scales=_first(a.weight_scales, 1e-42)),
    "an input scale of NaN": lambda a: replace(a, input_scale=np.float32(np.nan)),
    "an infinite input scale": lambda a: replace(a, input_scale=np.float32(np.inf)),
    "an input scale of zero": lambda a: replace(a, input_scale=np.float32(0)),
    "a bias of NaN": lambda a: replace(a, bias=_first(a.bias, np.nan)),
    "an infinite bias": lambda a: replace(a, bias=_first(a.bias, -np.inf)),
}


@pytest.mark.parametrize("fault", BAD_WEIGHTS)
@pytest.mark.parametrize("core", PLAIN_CORES)
def test_weights_that_no_kernel_takes_go_to_the_engine(runner: Runner, tmp_path: Path, core: str, fault: str) -> None:
    sweep = make_sweep(tmp_path / "release", CASES, arrays=_all_arrays(BAD_WEIGHTS[fault]))
    made = sweep.infer(runner, tmp_path / "made", core=core)
    stock = sweep.infer(runner, tmp_path / "stock", "--disable-layers", core=core)
    for case, values, expected in zip(CASES, made, stock, strict=True):
        np.testing.assert_array_equal(values, expected, err_msg=str(case))
    assert set(sweep.implementations(runner, core=core)) == {"ncnn"}


@pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf])
def test_output_scales_that_are_not_finite_go_to_the_engine(runner: Runner, tmp_path: Path, scale: float) -> None:
    arrays = _all_arrays(lambda a: replace(a, output_scale=np.float32(scale)))
    sweep = make_sweep(tmp_path / "release", CASES, arrays=arrays)
    sweep.infer(runner, tmp_path / "made", core="cortex-a76")
    for case, implementation in zip(CASES, sweep.implementations(runner, core="cortex-a76"), strict=True):
        assert implementation == ("ncnn" if case.requantizes else "edgedeploy"), case


ODD_SCALES: dict[str, Callable[[Int8Arrays], Int8Arrays]] = {
    "a channel of zeros": lambda a: replace(a, weight_scales=_first(a.weight_scales, 0)),
    "a negative weight scale": lambda a: replace(a, weight_scales=_first(a.weight_scales, -80)),
    "a huge weight scale": lambda a: replace(a, weight_scales=_first(a.weight_scales, 1e30)),
    "sums far beyond the codes": lambda a: replace(a, weight_scales=_first(a.weight_scales, 1e-20)),
}


@pytest.mark.parametrize("scales", ODD_SCALES)
def test_odd_scales_agree_with_the_engine(runner: Runner, tmp_path: Path, scales: str) -> None:
    sweep = make_sweep(tmp_path / "release", CASES, arrays=_all_arrays(ODD_SCALES[scales]))
    assert set(sweep.implementations(runner, core="cortex-a76")) == {"edgedeploy"}
    for core in PLAIN_CORES:
        made = sweep.infer(runner, tmp_path / core / "made", core=core)
        stock = sweep.infer(runner, tmp_path / core / "stock", "--disable-layers", core=core)
        for case, values, expected in zip(CASES, made, stock, strict=True):
            if case.requantizes:
                assert np.abs(values - expected).max() <= 1, case
            else:
                np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=str(case))


def test_clips_and_output_scales_that_are_no_limits_of_a_kernel(runner: Runner, tmp_path: Path) -> None:
    """Those go over a tile of floats: an upper end of zero, scales below zero; and clips around them."""
    base = ConvolutionCase(channels_in=8, channels_out=20, kernel=(3, 2), height=9, width=8)
    clips = [(3, (-3.0, 0.0)), (3, (-2.0, -1.0)), (3, (1.0, 2.0)), (3, (0.0, 1e9)), CLIP]
    cases = [replace(base, activation=clip, requantizes=requantizes) for clip in clips for requantizes in (True, False)]
    rng = np.random.default_rng(SEED)
    arrays = [random_arrays(case, rng) for case in cases]
    cases.append(replace(base, activation=NONE))
    arrays.append(replace(random_arrays(base, rng), output_scale=np.float32(-20)))
    sweep = make_sweep(tmp_path / "release", tuple(cases), arrays=tuple(arrays))
    assert set(sweep.implementations(runner, core="max")) == {"edgedeploy"}
    for core in PLAIN_CORES:
        made = sweep.infer(runner, tmp_path / core / "made", core=core)
        stock = sweep.infer(runner, tmp_path / core / "stock", "--disable-layers", core=core)
        for case, values, expected in zip(cases, made, stock, strict=True):
            tolerance = 1 if case.requantizes else 1e-5
            np.testing.assert_allclose(values, expected, rtol=0 if case.requantizes else 1e-5, atol=tolerance)


def test_same_padding_of_windows_narrower_than_their_stride(runner: Runner, tmp_path: Path) -> None:
    """Against numpy alone: the engine overruns its buffer there."""
    narrow = ConvolutionCase(channels_in=8, channels_out=12, kernel=(1, 3), stride=(3, 1), height=7, width=8)
    cases = tuple(
        replace(narrow, padding=padding, kernel=kernel, stride=stride, channels_in=channels, pad_code=40)
        for padding in (SAME_UPPER, SAME_LOWER)
        for kernel, stride in (((1, 3), (3, 1)), ((2, 1), (1, 2)), ((2, 2), (3, 3)), ((3, 1), (2, 3)))
        for channels in (3, 8)
    )
    sweep = make_sweep(tmp_path / "release", cases)
    for core in PLAIN_CORES:
        made = sweep.infer(runner, tmp_path / core, core=core)
        for case, arrays, values, output in zip(cases, sweep.arrays, sweep.inputs, made, strict=True):
            np.testing.assert_array_equal(output, outputs_of(case, arrays, values), err_msg=str(case))


@pytest.mark.parametrize("shape", [(40,), (8, 5), (5, 8), (2, 20)])
def test_an_inner_product_takes_inputs_of_fewer_dimensions_as_one(
    runner: Runner, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    case = ConvolutionCase(kind="InnerProduct", channels_in=40, channels_out=11, height=1, width=1, requantizes=False)
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    arrays = add_convolution(net, case, rng, name="layer", bottom="in0", top="out0")
    values = rng.normal(0, 1, shape).astype(np.float32)
    expected = outputs_of(case, arrays, values)
    write_release(tmp_path, net, inputs={"in0": batched(values)}, outputs={"out0": expected})
    for core in PLAIN_CORES:
        document = runner.document("selftest", "--release", tmp_path, core=core)
        assert document["passed"] is True
        document = runner.document("bench", "--release", tmp_path, "--runs", "1", "--layers", core=core)
        assert [layer["implementation"] for layer in document["layers"]] == ["edgedeploy"]


def test_layers_that_are_not_covered_go_to_the_engine_bit_for_bit(runner: Runner, tmp_path: Path) -> None:
    """Groups, depthwise windows without a kernel, more products than an int32 holds, float weights."""
    depthwise = ConvolutionCase(
        kind="ConvolutionDepthWise", channels_in=16, channels_out=16, groups=16, kernel=(3, 3), height=9, width=8
    )
    grouped = replace(depthwise, channels_in=32, channels_out=48, groups=8)
    cases = (
        grouped,
        replace(grouped, kernel=(1, 1), requantizes=False),
        replace(depthwise, dilation=(2, 2)),
        replace(depthwise, dilation=(1, 2)),
        replace(depthwise, kernel=(7, 7), padding=(3, 3, 3, 3)),
        replace(depthwise, kernel=(3, 5)),
        replace(depthwise, kernel=(1, 1)),
        replace(depthwise, stride=(3, 3)),
        replace(depthwise, stride=(1, 2), requantizes=False),
        replace(depthwise, padding=(3, 0, 0, 0)),
        replace(depthwise, channels_in=12, channels_out=12, groups=12, activation=RELU),
        replace(depthwise, channels_in=16, channels_out=32, groups=16),
        ConvolutionCase(kind="InnerProduct", channels_in=2048, channels_out=2, height=8, width=8, requantizes=False),
    )
    sweep = make_sweep(tmp_path / "release", cases)
    for core in PLAIN_CORES:
        made = sweep.infer(runner, tmp_path / core / "made", core=core)
        stock = sweep.infer(runner, tmp_path / core / "stock", "--disable-layers", core=core)
        for case, values, expected in zip(cases, made, stock, strict=True):
            np.testing.assert_array_equal(values, expected, err_msg=str(case))
        assert set(sweep.implementations(runner, core=core)) == {"ncnn"}


def test_float_weights_go_to_the_engine_bit_for_bit(runner: Runner, tmp_path: Path) -> None:
    """With scales, which tell the engine to quantize them itself, and without."""
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    layers = (
        ("Convolution", "0=16 1=3 4=1 6=1152", 1152, 0),
        ("Convolution", "0=16 1=3 4=1 6=1152 8=2", 1152, 16),
        ("ConvolutionDepthWise", "0=8 1=3 4=1 6=72 7=8", 72, 0),
        ("ConvolutionDepthWise", "0=8 1=3 4=1 6=72 7=8 8=1", 72, 8),
        ("InnerProduct", "0=3 2=864", 864, 0),
        ("InnerProduct", "0=3 2=864 8=2", 864, 3),
    )
    outputs = {}
    for index, (kind, parameters, count, scales) in enumerate(layers):
        net.layer("Input", f"in{index}", [], [f"in{index}"])
        net.layer(kind, f"layer{index}", [f"in{index}"], [f"out{index}"], parameters)
        net.tagged_floats(rng.normal(0, 1, count).astype(np.float32))
        if scales:
            net.raw_floats(np.full(scales, 30, np.float32))
            net.raw_floats(np.array([45], np.float32))
        channels = int(parameters.split()[0].removeprefix("0="))
        outputs[f"out{index}"] = np.zeros((channels,) if kind == "InnerProduct" else (channels, 6, 18), np.float32)
    inputs = {f"in{index}": batched(rng.normal(0, 1, (8, 6, 18)).astype(np.float32)) for index in range(len(layers))}
    release = tmp_path / "release"
    write_release(release, net, inputs=inputs, outputs=outputs)
    arguments = [part for name in inputs for part in ("--input", f"{name}={release}/golden/{name}.npy")]
    for core in PLAIN_CORES:
        made, stock = tmp_path / core / "made", tmp_path / core / "stock"
        for directory, options in ((made, []), (stock, ["--disable-layers"])):
            runner.document("infer", "--release", release, *arguments, "--output-dir", directory, *options, core=core)
        for name in outputs:
            np.testing.assert_array_equal(np.load(made / f"{name}.npy"), np.load(stock / f"{name}.npy"), err_msg=name)
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers")
    assert {layer["implementation"] for layer in document["layers"]} == {"ncnn"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}{case.kernel[0]}x{case.kernel[1]}")
def test_weights_that_end_too_early_are_an_error(runner: Runner, tmp_path: Path, case: ConvolutionCase) -> None:
    sweep = make_sweep(tmp_path / "whole", (case,))
    whole = (sweep.release / "model" / "model.bin").read_bytes()
    for step in range(8):
        length = len(whole) * step // 8
        release = tmp_path / f"short{step}"
        make_sweep(release, (case,), weight_bytes=length)
        for options in ([], ["--disable-layers"]):
            answer = runner("selftest", "--release", release, *options)
            assert answer.exit_status == MODEL, (length, answer.stderr)
            assert "before the layers have read their weights" in answer.error


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}{case.kernel[0]}x{case.kernel[1]}")
@pytest.mark.parametrize("channels", [1, 4, 24])
def test_a_blob_with_the_wrong_channels_is_an_error_and_no_read_beyond_it(
    runner: Runner, tmp_path: Path, case: ConvolutionCase, channels: int
) -> None:
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    add_convolution(net, case, np.random.default_rng(SEED), name="layer", bottom="in0", top="out0")
    array = np.ones((1, channels, case.height, case.width), np.float32)
    outputs = {"out0": np.zeros(case.output_shape, np.float32)}
    write_release(tmp_path, net, inputs={"in0": float_input(array)}, outputs=outputs)
    answer = runner("selftest", "--release", tmp_path)
    assert answer.exit_status == INFERENCE
    assert "out0" in answer.error


def test_a_window_larger_than_its_input_is_an_error(runner: Runner, tmp_path: Path) -> None:
    for index, case in enumerate(CASES[1:4]):
        net = NetWriter()
        net.layer("Input", "in0", [], ["in0"])
        add_convolution(net, case, np.random.default_rng(SEED), name="layer", bottom="in0", top="out0")
        array = np.ones((1, case.channels_in, 1, 2), np.float32)
        outputs = {"out0": np.zeros(case.output_shape, np.float32)}
        write_release(tmp_path / str(index), net, inputs={"in0": float_input(array)}, outputs=outputs)
        answer = runner("selftest", "--release", tmp_path / str(index))
        assert answer.exit_status in {MEMORY, INFERENCE}, case
        assert "out0" in answer.error


@pytest.mark.parametrize("kind", ["Convolution", "ConvolutionDepthWise"])
def test_codes_of_a_whole_number_of_sums_fold_by_a_scale_next_to_theirs(
    runner: Runner, tmp_path: Path, kind: Literal["Convolution", "ConvolutionDepthWise"]
) -> None:
    """310 sums a code, and a bias between two sums: no start of the sums comes near it."""
    groups, kernel = (16, (3, 3)) if kind == "ConvolutionDepthWise" else (1, (1, 1))
    case = ConvolutionCase(kind=kind, channels_in=16, channels_out=16, groups=groups, kernel=kernel, height=9, width=8)
    arrays = replace(
        random_arrays(case, np.random.default_rng(SEED)),
        bias=np.full(16, 124.5 / 310, np.float32),
        weight_scales=np.full(16, 7.75, np.float32),
        input_scale=np.float32(40),
        output_scale=np.float32(1),
    )
    scale = np.float32(1 / 310)
    folded = folded_offset(scale, arrays.bias[0], 128.0 * 127 * case.products)
    assert folded is not None and folded[2] != scale
    sweep = make_sweep(tmp_path / "release", (case,), arrays=(arrays,))
    expected = outputs_of(case, arrays, sweep.inputs[0])
    assert len(np.unique(expected)) > 10
    for core in PLAIN_CORES:
        np.testing.assert_array_equal(sweep.infer(runner, tmp_path / core, core=core)[0], expected)


@pytest.mark.parametrize(("output_scale", "folds"), [(0.127, True), (1.27, False)])
def test_sums_beyond_the_floats_that_step_by_one_have_codes_at_the_limits(
    runner: Runner, tmp_path: Path, output_scale: float, folds: bool
) -> None:
    """A channel of the largest products and one of the least; with ten times the scale their codes exceed 16 bits."""
    case = ConvolutionCase(channels_in=256, channels_out=16, kernel=(3, 3), height=5, width=6)
    rng = np.random.default_rng(SEED)
    arrays = random_arrays(case, rng)
    arrays.weights[0], arrays.weights[1] = 127, -127
    arrays = replace(
        arrays,
        bias=rng.normal(0, 10, 16).astype(np.float32),
        weight_scales=np.full(16, 10, np.float32),
        input_scale=np.float32(127),
        output_scale=np.float32(output_scale),
    )
    scale = np.float32(1) / (arrays.input_scale * arrays.weight_scales[0]) * arrays.output_scale
    assert (
        folded_offset(scale, arrays.bias[0] * arrays.output_scale, 128.0 * 127 * case.products) is not None
    ) == folds
    values = rng.normal(0, 0.3, case.input_shape).astype(np.float32)
    values[:, :, :3] = 1
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    add_convolution(net, case, rng, name="layer", bottom="in0", top="out0", arrays=arrays)
    expected = outputs_of(case, arrays, values)
    assert expected[0].max() == 127 and expected[1].min() == -127 and len(np.unique(expected)) > 30
    write_release(tmp_path, net, inputs={"in0": batched(values)}, outputs={"out0": expected.astype(np.float32)})
    for core in PLAIN_CORES:
        directory = tmp_path / core
        given = ("--input", f"in0={tmp_path}/golden/in0.npy", "--output-dir", directory)
        runner.document("infer", "--release", tmp_path, *given, core=core)
        np.testing.assert_array_equal(np.load(directory / "out0.npy"), expected)


@pytest.mark.parametrize("channels", [224, 232, 256])
def test_sums_beyond_what_winograd_recovers_at_once_are_exact(runner: Runner, tmp_path: Path, channels: int) -> None:
    """224 channels of the largest products stay below 2^25; of more, the sums come in two parts."""
    case = ConvolutionCase(
        channels_in=channels, channels_out=8, kernel=(3, 3), padding=(1, 1, 1, 1), height=6, width=7, requantizes=False
    )
    rng = np.random.default_rng(SEED)
    arrays = random_arrays(case, rng)
    arrays = replace(arrays, weights=np.full(arrays.weights.shape, 127, np.int8), input_scale=np.float32(127))
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    add_convolution(net, case, rng, name="layer", bottom="in0", top="out0", arrays=arrays)
    values = np.ones(case.input_shape, np.float32)
    expected = outputs_of(case, arrays, values)
    write_release(tmp_path, net, inputs={"in0": batched(values)}, outputs={"out0": expected})
    for core in ("cortex-a53", "cortex-a72"):
        assert runner.document("selftest", "--release", tmp_path, core=core)["passed"] is True
        document = runner.document("bench", "--release", tmp_path, "--runs", "1", "--layers", core=core)
        assert [layer["implementation"] for layer in document["layers"]] == ["edgedeploy"]


@pytest.mark.parametrize(("precision", "computed_by"), [("fp32", "edgedeploy"), ("fp16", "ncnn")])
def test_a_core_of_halves_without_sdot_computes_floats_by_winograd_where_it_stores_floats(
    runner: Runner, tmp_path: Path, precision: str, computed_by: str
) -> None:
    """Which layers Winograd's kernel writes is a matter of the blob, not of what the core could store."""
    case = ConvolutionCase(
        channels_in=8, channels_out=16, kernel=(3, 3), height=9, width=11, requantizes=False, activation=RELU
    )
    sweep = make_sweep(tmp_path / "release", (case, replace(case, requantizes=True)), precision=precision)
    assert sweep.implementations(runner, core="a64fx") == [computed_by, "edgedeploy"]
    if precision == "fp32":
        made = sweep.infer(runner, tmp_path / "made", core="a64fx")
        for case, arrays, values, output in zip(sweep.cases, sweep.arrays, sweep.inputs, made, strict=True):
            np.testing.assert_array_equal(output, outputs_of(case, arrays, values), err_msg=str(case))


@pytest.mark.parametrize("kind", ["Convolution", "ConvolutionDepthWise"])
@pytest.mark.parametrize("weights", ["int8", "float"])
def test_a_layer_of_the_engine_behind_a_relu_of_ours(
    runner: Runner, tmp_path: Path, kind: Literal["Convolution", "ConvolutionDepthWise"], weights: str
) -> None:
    """It is told that nothing it reads is negative, and has no use for it."""
    first = ConvolutionCase(channels_in=8, channels_out=16, height=6, width=7, requantizes=False, activation=RELU)
    groups = 16 if kind == "ConvolutionDepthWise" else 1
    second = replace(first, kind=kind, channels_in=16, groups=groups, kernel=(3, 3), activation=NONE)
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    add_convolution(net, first, rng, name="first", bottom="in0", top="mid")
    arrays = random_arrays(second, rng)
    if weights == "int8":
        arrays = replace(arrays, weights=_first(arrays.weights, -128))
        add_convolution(net, second, rng, name="second", bottom="mid", top="out0", arrays=arrays)
    else:
        count = arrays.weights.size
        net.layer(kind, "second", ["mid"], ["out0"], f"0=16 1=3 6={count}" + (f" 7={groups}" if groups > 1 else ""))
        net.tagged_floats(rng.normal(0, 0.2, count).astype(np.float32))
    values = rng.normal(0, 1, first.input_shape).astype(np.float32)
    outputs = {"out0": np.zeros(second.output_shape, np.float32)}
    write_release(tmp_path, net, inputs={"in0": batched(values)}, outputs=outputs)
    for core in PLAIN_CORES:
        document = runner.document("bench", "--release", tmp_path, "--runs", "1", "--layers", core=core)
        assert [layer["implementation"] for layer in document["layers"]] == ["edgedeploy", "ncnn"]
        results = []
        for name, options in (("made", []), ("stock", ["--disable-layers"])):
            fed = ("--input", f"in0={tmp_path}/golden/in0.npy", "--output-dir", tmp_path / core / name)
            runner.document("infer", "--release", tmp_path, *fed, *options, core=core)
            results.append(np.load(tmp_path / core / name / "out0.npy"))
        np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
