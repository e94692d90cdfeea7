"""The on-board program under qemu-aarch64: self-test, inference, preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from runner_models import FloatArray, identity
from runner_program import CORES, Runner
from runner_release import ReleaseInput, float_input, write_release

pytestmark = pytest.mark.cross


def test_version_and_probe_name_program_engine_and_kernels(runner: Runner) -> None:
    assert runner.document("version") == {
        "schema": 1,
        "runner": "0.1.0",
        "engine": "1.0.20261020",
        "receives": "edgedeploy-stream-1",
        "installs": "edgedeploy-installer-1",
    }
    probe = runner.document("probe", core="cortex-a53")
    assert {"fp", "asimd"} <= set(probe["cpu"]["features"])
    assert probe["cpu"]["cores"] >= 1
    for op in {kernel["op"] for kernel in probe["kernels"]}:
        selected = [kernel for kernel in probe["kernels"] if kernel["op"] == op and kernel["selected"]]
        assert len(selected) == 1
        assert selected[0]["supported"]


def test_probe_selects_the_kernel_that_the_core_can_run(runner: Runner) -> None:
    best = {"cortex-a53": set(), "cortex-a72": set(), "cortex-a76": {"asimddp"}, "max": {"i8mm"}}
    for core, expected in best.items():
        probe = runner.document("probe", core=core)
        assert expected <= set(probe["cpu"]["features"])
        selected = next(kernel for kernel in probe["kernels"] if kernel["op"] == "gemm_s8" and kernel["selected"])
        assert set(selected["isa"]) - {"asimd"} == expected, core


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
