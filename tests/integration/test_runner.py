"""The on-board program under qemu-aarch64: self-test, inference, preprocessing, benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from runner_models import FloatArray, NetWriter, PointwiseCase, add_pointwise, classifier, host_outputs, identity
from runner_program import CORES, Runner
from runner_release import ReleaseInput, float_input, write_release

pytestmark = pytest.mark.cross

SEED = 20240517


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _golden(
    directory: Path, net: NetWriter, inputs: dict[str, FloatArray], outputs: list[str]
) -> dict[str, FloatArray]:
    net.save(directory / "model")
    return host_outputs(directory / "model", inputs, outputs)


@pytest.fixture
def classifier_release(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A release of the classifier with a float input and golden arrays of the host's engine."""
    net = classifier(rng)
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    golden = _golden(tmp_path / "release", net, {"in0": array}, ["out0"])
    write_release(tmp_path / "release", net, inputs={"in0": float_input(array)}, outputs=golden)
    return tmp_path / "release"


def test_version_and_probe_name_program_engine_and_kernels(runner: Runner) -> None:
    assert runner.document("version") == {"schema": 1, "runner": "0.1.0", "engine": "1.0.20261020"}
    probe = runner.document("probe", core="cortex-a53")
    assert {"fp", "asimd"} <= set(probe["cpu"]["features"])
    assert probe["cpu"]["cores"] >= 1
    for op in {kernel["op"] for kernel in probe["kernels"]}:
        selected = [kernel for kernel in probe["kernels"] if kernel["op"] == op and kernel["selected"]]
        assert len(selected) == 1
        assert selected[0]["supported"]


def test_probe_selects_the_dot_product_kernel_only_where_the_core_has_it(runner: Runner) -> None:
    for core, expected in (("cortex-a53", False), ("cortex-a72", False), ("cortex-a76", True), ("max", True)):
        probe = runner.document("probe", core=core)
        assert ("asimddp" in probe["cpu"]["features"]) is expected
        selected = next(kernel for kernel in probe["kernels"] if kernel["op"] == "gemm_s8" and kernel["selected"])
        assert ("asimddp" in selected["isa"]) is expected, core


@pytest.mark.parametrize("core", CORES)
def test_selftest_passes_on_the_hosts_golden_outputs(runner: Runner, classifier_release: Path, core: str) -> None:
    document = runner.document("selftest", "--release", classifier_release, core=core)
    assert document["schema"] == 1
    assert document["passed"] is True
    (output,) = document["outputs"]
    assert output["name"] == "out0"
    assert output["passed"] is True
    assert output["cosine"] == pytest.approx(1, abs=1e-6)
    assert output["max_abs_error"] < 1e-4
    assert output["sqnr_db"] is None or output["sqnr_db"] > 80
    assert document["duration_us"] > 0
    assert document["peak_rss_bytes"] > 0


def test_selftest_fails_beyond_its_limits_and_says_by_how_much(runner: Runner, classifier_release: Path) -> None:
    path = classifier_release / "golden" / "out0.npy"
    golden = np.load(path)
    golden[2] += 0.5
    np.save(path, golden)
    answer = runner("selftest", "--release", classifier_release)
    assert answer.exit_status == 3
    assert answer.document["passed"] is False
    assert answer.document["outputs"][0]["max_abs_error"] == pytest.approx(0.5, abs=1e-3)
    assert "self-test" in answer.error


def test_selftest_fails_on_a_value_that_is_not_finite(runner: Runner, tmp_path: Path) -> None:
    array = np.array([[1, np.nan, 3]], np.float32)
    write_release(
        tmp_path,
        identity({"in0": "out0"}),
        inputs={"in0": float_input(array)},
        outputs={"out0": array[0]},
        limits=(-1, 1e9),
    )
    answer = runner("selftest", "--release", tmp_path)
    assert answer.exit_status == 3
    assert answer.document["outputs"] == [
        {"name": "out0", "cosine": None, "max_abs_error": None, "sqnr_db": None, "passed": False}
    ]


def _preprocess(image: np.ndarray[Any, np.dtype[np.uint8]], shape: tuple[int, ...], how: dict[str, Any]) -> FloatArray:
    """OpenCV's resize and colour conversion, then the formula in float32."""
    resized = cv2.resize(image, (shape[3], shape[2]), interpolation=cv2.INTER_LINEAR)
    if how["color"] == "rgb":
        resized = resized[:, :, ::-1]
    if how["color"] == "gray":
        resized = cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY)[:, :, np.newaxis]
    mean = np.array(how["mean"], np.float32)
    scale = np.array(how["scale"], np.float32)
    return np.ascontiguousarray(((resized.astype(np.float32) - mean) * scale).transpose(2, 0, 1))


@pytest.mark.parametrize("core", ["cortex-a53", "max"])
@pytest.mark.parametrize(
    "case",
    [
        ("bgr", "bilinear", (37, 53), (1, 3, 13, 21)),
        ("rgb", "bilinear", (9, 7), (1, 3, 23, 31)),
        ("gray", "bilinear", (40, 30), (1, 1, 15, 17)),
        ("rgb", "none", (5, 3), (1, 3, 5, 3)),
    ],
)
def test_images_reach_the_model_as_the_host_prepares_them(
    runner: Runner,
    tmp_path: Path,
    rng: np.random.Generator,
    core: str,
    case: tuple[str, str, tuple[int, int], tuple[int, ...]],
) -> None:
    color, resize, size, shape = case
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    channels = shape[1]
    how = {
        "color": color,
        "resize": resize,
        "mean": [10.5, 120.25, 99.0][:channels],
        "scale": [0.01, 0.02, 0.5][:channels],
    }
    expected = _preprocess(image, shape, how)
    write_release(
        tmp_path,
        identity({"in0": "out0"}),
        inputs={"in0": ReleaseInput(array=image, shape=shape, preprocessing=how)},
        outputs={"out0": expected},
    )
    runner.document(
        "infer",
        "--release",
        tmp_path,
        "--input",
        f"in0={tmp_path}/golden/in0.npy",
        "--output-dir",
        tmp_path / "made",
        core=core,
    )
    np.testing.assert_array_equal(np.load(tmp_path / "made" / "out0.npy"), expected)


@pytest.mark.parametrize("shape", [(1, 7), (1, 5, 3), (1, 3, 5, 3), (1, 2, 3, 5, 3)])
def test_float_inputs_of_every_rank_pass_through_unchanged(
    runner: Runner, tmp_path: Path, rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    array = rng.normal(0, 1, shape).astype(np.float32)
    write_release(tmp_path, identity({"in0": "out0"}), inputs={"in0": float_input(array)}, outputs={"out0": array[0]})
    document = runner.document(
        "infer",
        "--release",
        tmp_path,
        "--input",
        f"in0={tmp_path}/golden/in0.npy",
        "--output-dir",
        tmp_path / "a" / "b",
    )
    assert document["outputs"] == [
        {"name": "out0", "shape": list(shape[1:]), "file": str(tmp_path / "a" / "b" / "out0.npy")}
    ]
    made = np.load(tmp_path / "a" / "b" / "out0.npy")
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, array[0])


def test_postprocessing_by_argmax_and_by_threshold(runner: Runner, tmp_path: Path) -> None:
    array = np.array([[[0.1, 0.9, 0.3], [0.6, 0.2, 0.5]]], np.float32)
    for kind, values in (("argmax", [1, 0]), ("threshold", [2]), ("none", None)):
        release = tmp_path / kind
        write_release(
            release,
            identity({"in0": "out0"}),
            inputs={"in0": float_input(array)},
            outputs={"out0": array[0]},
            postprocessing={"kind": kind, "threshold": 0.5},
        )
        document = runner.document(
            "infer", "--release", release, "--input", f"in0={release}/golden/in0.npy", "--output-dir", release / "made"
        )
        expected = [] if values is None else [{"name": "out0", "values": values}]
        assert document["postprocessing"] == {"kind": kind, "outputs": expected}
    mask = np.load(tmp_path / "threshold" / "made" / "out0.mask.npy")
    np.testing.assert_array_equal(mask, (array[0] > 0.5).astype(np.uint8))
    assert mask.dtype == np.uint8


@pytest.fixture
def mixed_release(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two inputs, two outputs, float and int8 layers, a Split, and an output that another layer consumes."""
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    net.layer("Input", "in1", [], ["in1"])
    net.layer("BinaryOp", "add", ["in0", "in1"], ["sum"], "0=0")
    add_pointwise(
        net,
        PointwiseCase(channels_in=8, channels_out=16, activation=(1, ())),
        rng,
        name="first",
        bottom="sum",
        top="mid",
    )
    net.layer("Split", "split", ["mid"], ["mid_0", "mid_1"])
    add_pointwise(
        net,
        PointwiseCase(channels_in=16, channels_out=4, requantizes=False, activation=(4, ())),
        rng,
        name="second",
        bottom="mid_0",
        top="out0",
    )
    net.layer("Pooling", "pool", ["out0"], ["out1"], "0=0 4=1")
    net.layer("Noop", "end", ["mid_1"], ["out2"])
    arrays = {name: rng.normal(0, 1, (1, 8, 4, 6)).astype(np.float32) for name in ("in0", "in1")}
    release = tmp_path / "mixed"
    golden = _golden(release, net, arrays, ["out0", "out1"])
    write_release(
        release,
        net,
        inputs={name: float_input(array) for name, array in arrays.items()},
        outputs=golden,
        limits=(0.99, 0.05),
    )
    return release


def test_bench_measures_everything_and_counts_right(runner: Runner, mixed_release: Path, tmp_path: Path) -> None:
    answer = runner(
        "bench",
        "--release",
        mixed_release,
        "--warmup",
        "2",
        "--runs",
        "3",
        "--threads",
        "2",
        "--layers",
        "--output-dir",
        tmp_path / "made",
    )
    assert answer.exit_status == 0, answer.stderr
    document = answer.document
    assert list(document) == [
        "schema",
        "runner",
        "engine",
        "config",
        "preprocessing",
        "load",
        "first_inference_us",
        "samples",
        "layers",
        "memory",
        "conditions",
        "outputs",
        "postprocessing",
    ]
    config = document["config"]
    assert config["cpus_applied"]
    del config["cpus_applied"]
    assert document["preprocessing"] == [{"input": name, "kernel": None} for name in ("in0", "in1")]
    assert config == {"warmup": 2, "runs": 3, "seconds": 0.0, "threads": 2, "cpus_requested": [], "precision": "fp32"}
    assert document["load"]["cold_us"] > 0
    assert document["load"]["warm_us"] > 0
    assert document["load"]["cold_method"] in {"posix_fadvise", "none"}
    assert document["first_inference_us"] > 0
    assert len(document["samples"]) == 3
    for sample in document["samples"]:
        assert set(sample) == {"pre_us", "inference_us", "post_us"}
        assert all(value >= 0 for value in sample.values())
        assert sample["inference_us"] > 0
    assert [point["phase"] for point in document["memory"]] == ["start", "load", "first_inference", "bench"]
    for point in document["memory"]:
        assert point["peak_rss_bytes"] >= point["rss_bytes"] > 0
    for moment in ("before", "after"):
        assert set(document["conditions"][moment]) == {"governors", "frequencies_khz", "temperatures_mc"}
    assert [line for line in answer.stderr.splitlines() if line.startswith("progress: ")] == [
        "progress: warmup 1/2",
        "progress: warmup 2/2",
        "progress: run 1/3",
        "progress: run 2/3",
        "progress: run 3/3",
        "progress: layers 1/3",
        "progress: layers 2/3",
        "progress: layers 3/3",
    ]
    for output in document["outputs"]:
        golden = np.load(mixed_release / "golden" / f"{output['name']}.npy")
        made = np.load(output["file"])
        assert output["shape"] == list(made.shape) == list(golden.shape)
        np.testing.assert_allclose(made, golden, atol=0.05)


def test_bench_lists_layers_in_order_with_shapes_precision_and_implementation(
    runner: Runner, mixed_release: Path
) -> None:
    document = runner.document("bench", "--release", mixed_release, "--runs", "2", "--layers")
    seen = [
        (
            layer["index"],
            layer["type"],
            layer["name"],
            layer["input_shapes"],
            layer["output_shapes"],
            layer["precision"],
            layer["implementation"],
        )
        for layer in document["layers"]
    ]
    image, middle, end = [8, 4, 6], [16, 4, 6], [4, 4, 6]
    assert seen == [
        (2, "BinaryOp", "add", [image, image], [image], "fp32", "ncnn"),
        (3, "Convolution", "first", [image], [middle], "int8", "edgedeploy"),
        (4, "Split", "split", [middle], [middle, middle], "int8", "ncnn"),
        # Sigmoid is not among the kernel's activations: the engine's own layer computes this one.
        (5, "Convolution", "second", [middle], [end], "int8", "ncnn"),
        (6, "Pooling", "pool", [end], [[4]], "fp32", "ncnn"),
        (7, "Noop", "end", [middle], [middle], "int8", "ncnn"),
    ]
    for layer in document["layers"]:
        assert layer["runs"] == 2
        assert 0 <= layer["min_us"] <= layer["median_us"]
    stock = runner.document("bench", "--release", mixed_release, "--runs", "1", "--layers", "--disable-layers")
    assert {layer["implementation"] for layer in stock["layers"]} == {"ncnn"}


def test_bench_says_fp16_where_the_core_computes_in_it(
    runner: Runner, tmp_path: Path, rng: np.random.Generator
) -> None:
    net = classifier(rng)
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    golden = _golden(tmp_path, net, {"in0": array}, ["out0"])
    write_release(
        tmp_path, net, inputs={"in0": float_input(array)}, outputs=golden, precision="fp16", limits=(0.999, 0.05)
    )
    for core, precision in (("cortex-a53", "fp32"), ("cortex-a76", "fp16")):
        document = runner.document("bench", "--release", tmp_path, "--runs", "1", "--layers", core=core)
        assert document["config"]["precision"] == "fp16"
        assert document["layers"][0]["precision"] == precision
        assert runner.document("selftest", "--release", tmp_path, core=core)["passed"] is True


def test_bench_runs_until_both_count_and_time_are_reached(runner: Runner, classifier_release: Path) -> None:
    document = runner.document(
        "bench", "--release", classifier_release, "--warmup", "0", "--runs", "2", "--seconds", "0.5"
    )
    total_us = sum(sum(sample.values()) for sample in document["samples"])
    assert len(document["samples"]) >= 2
    assert document["layers"] == []
    assert document["outputs"] == [{"name": "out0", "shape": [5], "file": None}]
    # The last run begins before the time is over, and what is not timed (progress lines) is short.
    assert total_us > 0.1e6


def test_bench_takes_the_callers_input(
    runner: Runner, classifier_release: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    np.save(tmp_path / "own.npy", array)
    runner.document(
        "bench",
        "--release",
        classifier_release,
        "--runs",
        "1",
        "--input",
        f"in0={tmp_path}/own.npy",
        "--output-dir",
        tmp_path,
    )
    expected = host_outputs(classifier_release / "model", {"in0": array}, ["out0"])["out0"]
    np.testing.assert_allclose(np.load(tmp_path / "out0.npy"), expected, atol=1e-4)


def test_bench_binds_to_the_cpus_asked_for(runner: Runner, classifier_release: Path) -> None:
    available = runner.document("bench", "--release", classifier_release, "--runs", "1")["config"]["cpus_applied"]
    chosen = available[-1]
    config = runner.document("bench", "--release", classifier_release, "--runs", "1", "--cpus", str(chosen))["config"]
    assert config["cpus_requested"] == [chosen]
    assert config["cpus_applied"] == [chosen]
    answer = runner("bench", "--release", classifier_release, "--cpus", "1023")
    assert answer.exit_status == 2
    assert "--cpus" in answer.error
