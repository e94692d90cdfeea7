"""The on-board program's benchmark under qemu-aarch64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runner_models import classifier, host_outputs
from runner_program import Runner
from runner_release import float_input, golden_outputs, write_release

pytestmark = pytest.mark.cross


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
        (5, "Convolution", "second", [middle], [end], "int8", "edgedeploy"),
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
    golden = golden_outputs(tmp_path, net, {"in0": array}, ["out0"])
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
