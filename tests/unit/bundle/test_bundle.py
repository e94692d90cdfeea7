"""Bundles: what is written, that it is the same every time, and what input is refused."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_bundle import IMAGE, OUTPUTS, SOURCE_INPUTS, build, golden, manifest_of, sample, write_sources

from edgedeploy.artifacts import (
    BinaryRequirements,
    ComparisonLimits,
    ConvertedModel,
    Postprocessing,
    PostprocessingKind,
    Precision,
    Resize,
    canonical_json,
)
from edgedeploy.bundle.load import SOURCES_FILE, load_bundle
from edgedeploy.bundle.make import estimate_memory_bytes
from edgedeploy.bundle.manifest import preprocessing_fingerprint
from edgedeploy.errors import BundleError

# --- what is written -------------------------------------------------------------------------------------------------


def test_manifest_is_what_the_contract_says(tmp_path: Path) -> None:
    bundle = build(tmp_path)
    document = manifest_of(bundle)
    assert bundle.manifest.read_bytes() == canonical_json(document)
    assert bundle.digest == hashlib.sha256(bundle.manifest.read_bytes()).hexdigest()
    assert set(document) == {
        "schema",
        "app",
        "board",
        "triple",
        "versions",
        "model",
        "postprocessing",
        "preprocessing_fingerprint",
        "golden",
        "requirements",
        "files",
    }
    assert document["schema"] == 1
    assert document["versions"]["converter"] == "pnnx 20261020"
    assert document["model"]["inputs"] == [
        {
            "name": "in0",
            "source_name": "x",
            "shape": [1, 3, 8, 6],
            "preprocessing": {
                "color": "rgb",
                "resize": "bilinear",
                "mean": [123.675, 116.28, 103.53],
                "scale": [0.0171, 0.0175, 0.0174],
            },
        },
        {"name": "in1", "source_name": "state:0", "shape": [1, 5], "preprocessing": None},
    ]
    assert document["model"]["outputs"][0] == {
        "name": "out0",
        "source_name": "sigmoid_0.tmp_0",
        "shape": [1, 8, 6],
    }
    assert document["postprocessing"] == {"kind": "threshold", "threshold": 0.3}
    assert document["preprocessing_fingerprint"] == preprocessing_fingerprint(SOURCE_INPUTS)
    assert document["golden"]["inputs"] == [
        {"name": "in0", "file": "golden/in0.npy"},
        {"name": "in1", "file": "golden/in1.npy"},
    ]
    assert document["golden"]["limits"] == {"cosine": 0.999, "max_abs_error": 0.05}
    assert document["requirements"]["isa"] == ["asimd", "fp"]
    assert document["requirements"]["glibc"] is None
    assert "glibc_symbol" not in document["requirements"]
    modes = {item["path"]: item["mode"] for item in document["files"]}
    assert modes == {
        "bin/edgedeploy-runner": "755",
        "model/model.param": "644",
        "model/model.bin": "644",
        "golden/in0.npy": "644",
        "golden/in1.npy": "644",
        "golden/out0.npy": "644",
        "golden/out1.npy": "644",
    }


def test_nothing_of_the_host_is_in_the_manifest(tmp_path: Path) -> None:
    assert str(tmp_path).encode() not in build(tmp_path).manifest.read_bytes()


def test_files_point_at_sources_on_the_host(tmp_path: Path) -> None:
    bundle = build(tmp_path)
    files = {str(item.path): item for item in bundle.files}
    assert files["bin/edgedeploy-runner"].source == tmp_path / "sources" / "edgedeploy-runner"
    assert files["bin/edgedeploy-runner"].mode == 0o755
    assert files["model/model.bin"].source == tmp_path / "sources" / "det.bin"
    assert files["golden/out0.npy"].source == tmp_path / "bundle" / "golden" / "out0.npy"
    for item in bundle.files:
        content = item.source.read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (item.sha256, item.size_bytes)
    assert bundle.size_bytes == sum(item.size_bytes for item in bundle.files) + bundle.manifest.stat().st_size


def test_arrays_are_npy_version_1_in_c_order(tmp_path: Path) -> None:
    turned = {"x": sample().raw["x"].transpose(1, 0, 2), "state:0": sample().raw["state:0"]}
    outputs = {**golden(), "out0": np.asfortranarray(golden()["out0"])}
    bundle = build(tmp_path, sample=replace(sample(), raw=turned), golden_outputs=outputs)
    for name, expected in (("in0", turned["x"]), ("in1", turned["state:0"]), ("out0", golden()["out0"])):
        content = (bundle.manifest.parent / "golden" / f"{name}.npy").read_bytes()
        assert content[:8] == b"\x93NUMPY\x01\x00"
        assert b"'fortran_order': False" in content[:128]
        np.testing.assert_array_equal(np.load(io.BytesIO(content)), expected)


def test_reading_back_gives_the_same_bundle(tmp_path: Path) -> None:
    made = build(tmp_path)
    assert load_bundle(tmp_path / "bundle") == made


def test_a_bundle_with_all_files_inside_needs_no_sources(tmp_path: Path) -> None:
    made = build(tmp_path)
    for item in made.files:
        inside = tmp_path / "bundle" / item.path
        inside.parent.mkdir(exist_ok=True)
        if not inside.exists():
            shutil.copyfile(item.source, inside)
    (tmp_path / "bundle" / SOURCES_FILE).unlink()
    shutil.rmtree(tmp_path / "sources")
    assert load_bundle(tmp_path / "bundle").digest == made.digest


def test_a_dynamic_program_keeps_the_symbol_that_needs_its_glibc(tmp_path: Path) -> None:
    _, runtime = write_sources(tmp_path / "sources")
    needs = BinaryRequirements(architecture="aarch64", isa=("asimd",), glibc="2.34", glibc_symbol="__libc_start_main")
    bundle = build(tmp_path, runtime=replace(runtime, requirements=needs))
    assert bundle.requirements == needs


def test_memory_grows_with_weights_and_maps(tmp_path: Path) -> None:
    model, _ = write_sources(tmp_path / "sources")
    small = estimate_memory_bytes(model)
    larger_maps = replace(model, inputs=(replace(model.inputs[0], shape=(1, 3, 1024, 1024)), model.inputs[1]))
    assert estimate_memory_bytes(larger_maps) - small > 10 * 3 * 1024 * 1024 * 4
    model.weights.write_bytes(bytes(1 << 20))
    assert estimate_memory_bytes(model) - small > 3 << 20
    assert build(tmp_path).memory_bytes == manifest_of(build(tmp_path))["requirements"]["memory_bytes"]


# --- determinism -----------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), precision=st.sampled_from(Precision), threshold=st.floats(0, 1))
def test_same_inputs_give_the_same_release_wherever_it_lies(seed: int, precision: Precision, threshold: float) -> None:
    changes: dict[str, Any] = {
        "sample": sample(seed),
        "golden_outputs": golden(seed),
        "precision": precision,
        "postprocessing": Postprocessing(kind=PostprocessingKind.THRESHOLD, threshold=threshold),
    }
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        one = build(Path(first), **changes)
        other = build(Path(second), target="elsewhere", **changes)
        assert one.digest == other.digest
        assert one.manifest.read_bytes() == other.manifest.read_bytes()


def test_whole_numbers_in_the_preprocessing_are_the_same_as_floats(tmp_path: Path) -> None:
    model, _ = write_sources(tmp_path / "sources")

    def with_scale(*scale: float) -> ConvertedModel:
        image = replace(SOURCE_INPUTS[0], preprocessing=replace(IMAGE, scale=scale))
        return replace(model, source_inputs=(image, SOURCE_INPUTS[1]))

    whole = build(tmp_path, model=with_scale(1, 1, 1), target="a")
    floating = build(tmp_path, model=with_scale(1.0, 1.0, 1.0), target="b")
    assert whole.digest == floating.digest


@pytest.mark.parametrize(
    "change",
    [
        {"precision": Precision.FP32},
        {"app": "other"},
        {"board_name": "rpi5"},
        {"golden_outputs": golden(1)},
        {"sample": sample(1)},
        {"golden_limits": ComparisonLimits(max_abs_error=0.04, cosine=0.999)},
        {"postprocessing": Postprocessing(kind=PostprocessingKind.ARGMAX, threshold=0.3)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_input_is_in_the_digest(tmp_path: Path, change: dict[str, Any]) -> None:
    assert build(tmp_path, **change).digest != build(tmp_path).digest


def test_blob_names_that_are_no_file_names_get_numbered_files(tmp_path: Path) -> None:
    model, _ = write_sources(tmp_path / "sources")
    odd = replace(model, outputs=(replace(OUTPUTS[0], name="../out 0"), replace(OUTPUTS[1], name="in0")))
    outputs = {"../out 0": golden()["out0"], "in0": golden()["out1"]}
    bundle = build(tmp_path, model=odd, golden_outputs=outputs)
    assert manifest_of(bundle)["golden"]["outputs"] == [
        {"name": "../out 0", "file": "golden/output-0.npy"},
        {"name": "in0", "file": "golden/output-1.npy"},
    ]
    np.testing.assert_array_equal(np.load(tmp_path / "bundle" / "golden" / "in0.npy"), sample().raw["x"])


# --- wrong input -----------------------------------------------------------------------------------------------------


def _raw(**changes: Any) -> dict[str, Any]:
    raw = dict(sample().raw)
    for name, value in changes.items():
        key = "state:0" if name == "state" else name
        if value is None:
            del raw[key]
        else:
            raw[key] = value
    return {"sample": replace(sample(), raw=raw)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_raw(x=None), "the sample page.png has no input 'x'"),
        (_raw(x=np.zeros((3, 8, 6), np.uint8)), r"uint8 \(3, 8, 6\) for input 'x', not uint8 \(height, width, 3\)"),
        (_raw(x=np.zeros((0, 6, 3), np.uint8)), r"uint8 \(0, 6, 3\) for input 'x'"),
        (_raw(x=np.zeros((8, 6, 3), np.float32)), "float32"),
        (_raw(state=np.zeros((1, 5), np.float64)), r"float64 \(1, 5\) for input 'state:0', not float32 \(1, 5\)"),
        (_raw(state=np.zeros((1, 6), np.float32)), r"float32 \(1, 6\)"),
        ({"golden_outputs": {"out0": golden()["out0"]}}, "are not the model's"),
        ({"golden_outputs": {**golden(), "out1": np.zeros((1, 5), np.float32)}}, r"out1 is float32 \(1, 5\)"),
        ({"golden_outputs": {**golden(), "out1": np.zeros(5, np.float64)}}, "out1 is float64"),
        ({"golden_outputs": {**golden(), "out1": np.full(5, np.nan, np.float32)}}, "not finite"),
        ({"app": "Not A Name"}, r"app: .*Not A Name"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_left(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BundleError, match=expected):
        build(tmp_path, **change)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sources"]


def test_an_image_that_is_not_resized_has_the_inputs_size(tmp_path: Path) -> None:
    model, _ = write_sources(tmp_path / "sources")
    image = replace(SOURCE_INPUTS[0], preprocessing=replace(IMAGE, resize=Resize.NONE))
    exact = replace(model, source_inputs=(image, SOURCE_INPUTS[1]))
    with pytest.raises(BundleError, match=r"uint8 \(11, 7, 3\) for input 'x', not uint8 \(8, 6, 3\)"):
        build(tmp_path, model=exact)
    assert build(tmp_path, model=exact, **_raw(x=np.zeros((8, 6, 3), np.uint8)))


def test_a_missing_program_is_refused_and_the_old_bundle_stays(tmp_path: Path) -> None:
    old = build(tmp_path)
    _, runtime = write_sources(tmp_path / "sources")
    with pytest.raises(BundleError, match=r"gone, which is bin/edgedeploy-runner in the release, does not exist"):
        build(tmp_path, runtime=replace(runtime, runner=tmp_path / "gone"))
    assert load_bundle(tmp_path / "bundle") == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "sources"]


def test_a_new_bundle_takes_the_old_ones_place_as_a_whole(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "bundle" / "golden" / "stale.npy").write_bytes(b"old")
    new = build(tmp_path, precision=Precision.FP32)
    assert load_bundle(tmp_path / "bundle") == new
    assert not (tmp_path / "bundle" / "golden" / "stale.npy").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "sources"]


def test_a_directory_that_is_not_a_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(BundleError, match="is not a bundle, so it is not replaced"):
        build(tmp_path)
    assert (tmp_path / "bundle" / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_a_bundle_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be written"):
        build(tmp_path, directory=tmp_path / "file" / "bundle")
