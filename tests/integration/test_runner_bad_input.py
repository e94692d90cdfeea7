"""What the on-board program says to bad command lines, manifests, models and arrays: one line, one exit code."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_models import ConvolutionCase, NetWriter, add_convolution, identity
from runner_program import Runner
from runner_release import ReleaseInput, float_input, list_files, write_manifest, write_release

pytestmark = pytest.mark.cross

USAGE, FILE, MANIFEST, MODEL, MEMORY, INFERENCE = 2, 4, 5, 6, 7, 8
ARRAY = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """One convolution whose weights have every kind of record: int8, bias, scales."""
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    case = ConvolutionCase(channels_in=3, channels_out=8)
    add_convolution(net, case, np.random.default_rng(1), name="conv", bottom="in0", top="out0")
    directory = tmp_path / "release"
    write_release(
        directory, net, inputs={"in0": float_input(ARRAY)}, outputs={"out0": np.zeros((8, 2, 2), np.float32)},
        limits=(-1, 1e6),
    )  # fmt: skip
    return directory


@pytest.fixture
def manifest(release: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["fly"], "fly"),
        (["version", "--threads", "2"], "--threads"),
        (["selftest"], "--release"),
        (["selftest", "--release"], "--release"),
        (["selftest", "--release", "x", "--runs", "2"], "--runs"),
        (["bench", "--release", "x", "--threads", "0"], "--threads"),
        (["bench", "--release", "x", "--runs", "two"], "two"),
        (["bench", "--release", "x", "--runs", "0"], "--runs"),
        (["bench", "--release", "x", "--seconds", "-1"], "--seconds"),
        (["bench", "--release", "x", "--seconds", "nan"], "nan"),
        (["bench", "--release", "x", "--cpus", "1,,2"], "--cpus"),
        (["bench", "--release", "x", "--input", "in0"], "in0"),
        (["bench", "--release", "x", "--input", "in0=a", "--input", "in0=b"], "twice"),
        (["infer", "--release", "x", "--input", "in0=a"], "--output-dir"),
    ],
)
def test_command_lines_that_make_no_sense(runner: Runner, arguments: list[str], named: str) -> None:
    answer = runner(*arguments)
    assert answer.exit_status == USAGE
    assert answer.stdout == ""
    assert named in answer.error


def test_inputs_that_the_model_lacks_or_that_are_not_given(runner: Runner, release: Path, tmp_path: Path) -> None:
    answer = runner("bench", "--release", release, "--input", "image=x.npy")
    assert answer.exit_status == USAGE
    assert "in0" in answer.error
    answer = runner("infer", "--release", release, "--output-dir", tmp_path / "made")
    assert answer.exit_status == USAGE
    assert "--input in0=" in answer.error
    assert not (tmp_path / "made").exists()


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = manifest
        for part in parents:
            place = place[part]
        if value is _MISSING:
            del place[last]
        else:
            place[last] = value

    return change


_MISSING = object()
_PREPROCESSING = {"color": "rgb", "resize": "bilinear", "mean": [0, 0, 0], "scale": [1, 1, 1]}


@pytest.mark.parametrize(
    "fault",
    [
        ("schema", 2, "schema"),
        ("schema", "1", "schema"),
        ("app", _MISSING, "app"),
        ("model", [], "model"),
        ("model.param", _MISSING, "model.param"),
        ("model.param", 3, "model.param"),
        ("model.param", "", "model.param"),
        ("model.param", "/etc/passwd", "model.param"),
        ("model.param", "model/../../x", "model.param"),
        ("model.weights", "..", "model.weights"),
        ("model.weights", "./model.bin", "model.weights"),
        ("model.precision", "fp8", "model.precision"),
        ("model.inputs", [], "model.inputs"),
        ("model.inputs", {}, "model.inputs"),
        ("model.inputs.0.name", _MISSING, "model.inputs[0].name"),
        ("model.inputs.0.shape", [2, 3, 2, 2], "model.inputs[0].shape"),
        ("model.inputs.0.shape", [1], "model.inputs[0].shape"),
        ("model.inputs.0.shape", [1, 3, 0, 2], "model.inputs[0].shape[2]"),
        ("model.inputs.0.shape", [1, 3, -2, 2], "model.inputs[0].shape[2]"),
        ("model.inputs.0.shape", [1, 3, 2.5, 2], "model.inputs[0].shape[2]"),
        ("model.inputs.0.preprocessing", _MISSING, "model.inputs[0].preprocessing"),
        ("model.inputs.0.preprocessing", {**_PREPROCESSING, "color": "cmyk"}, "model.inputs[0].preprocessing.color"),
        ("model.inputs.0.preprocessing", {**_PREPROCESSING, "resize": "cubic"}, "model.inputs[0].preprocessing.resize"),
        ("model.inputs.0.preprocessing", {**_PREPROCESSING, "mean": [0, 0]}, "model.inputs[0].preprocessing.mean"),
        ("model.inputs.0.preprocessing", {**_PREPROCESSING, "scale": [1, 1, "1"]}, "scale[2]"),
        ("model.outputs.0.shape", [8, "2", 2], "model.outputs[0].shape[1]"),
        ("postprocessing.kind", "softmax", "postprocessing.kind"),
        ("postprocessing", {"kind": "threshold"}, "postprocessing.threshold"),
        ("golden.inputs", [], "golden.inputs"),
        ("golden.outputs.0.name", "out9", "golden.outputs"),
        ("golden.outputs.0.file", "../out0.npy", "golden.outputs[0].file"),
        ("golden.limits.cosine", None, "golden.limits.cosine"),
        ("golden.limits.max_abs_error", _MISSING, "golden.limits.max_abs_error"),
        ("files", _MISSING, "files"),
        ("files.0.size_bytes", "12", "files[0].size_bytes"),
    ],
)
def test_manifests_at_fault_are_refused_with_the_key(
    runner: Runner, release: Path, manifest: dict[str, Any], fault: tuple[str, Any, str]
) -> None:
    path, value, named = fault
    changed = copy.deepcopy(manifest)
    _set(path, value)(changed)
    write_manifest(release, changed)
    answer = runner("selftest", "--release", release)
    assert answer.exit_status == MANIFEST
    assert answer.stdout == ""
    assert named in answer.error


def test_manifests_that_are_not_json(runner: Runner, release: Path) -> None:
    for text in ("", "{", "[1, 2]", "\x00\xff"):
        (release / "manifest.json").write_text(text, encoding="latin-1")
        answer = runner("selftest", "--release", release)
        assert answer.exit_status == MANIFEST, text
        assert "manifest.json" in answer.error


@pytest.mark.parametrize(
    "name", ["manifest.json", "model/model.param", "model/model.bin", "golden/in0.npy", "golden/out0.npy"]
)
def test_missing_files_are_named(runner: Runner, release: Path, name: str) -> None:
    (release / name).unlink()
    answer = runner("selftest", "--release", release)
    assert answer.exit_status == FILE
    assert name in answer.error
    (release / name).mkdir()
    assert runner("selftest", "--release", release).exit_status == FILE


def test_a_release_that_is_not_there(runner: Runner, tmp_path: Path) -> None:
    answer = runner("selftest", "--release", tmp_path / "nowhere")
    assert answer.exit_status == FILE
    assert "nowhere" in answer.error


def test_a_file_of_another_size_than_listed_is_named_before_the_engine_sees_it(runner: Runner, release: Path) -> None:
    for name in ("model/model.param", "model/model.bin", "golden/in0.npy", "golden/out0.npy"):
        path = release / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        answer = runner("selftest", "--release", release)
        assert answer.exit_status == FILE, name
        assert name in answer.error
        assert str(len(whole)) in answer.error
        path.write_bytes(whole)
    answer = runner("selftest", "--release", release)
    assert (answer.exit_status, answer.stderr) == (0, "")


def _relist(release: Path, manifest: dict[str, Any]) -> None:
    changed = copy.deepcopy(manifest)
    list_files(release, changed)
    write_manifest(release, changed)


def test_weights_that_end_anywhere_too_early_or_too_late(
    runner: Runner, release: Path, manifest: dict[str, Any]
) -> None:
    path = release / "model" / "model.bin"
    whole = path.read_bytes()
    # In the tag, the int8 weights, the bias, both scales; nothing at all.
    for length in (0, 2, 10, 30, 70, len(whole) - 8, len(whole) - 4, len(whole) - 1):
        path.write_bytes(whole[:length])
        _relist(release, manifest)
        for options in ([], ["--disable-layers"]):
            answer = runner("selftest", "--release", release, *options)
            assert answer.exit_status == MODEL, length
            assert "model.bin" in answer.error
            assert "before the layers have read their weights" in answer.error
    path.write_bytes(whole + bytes(4))
    _relist(release, manifest)
    answer = runner("selftest", "--release", release)
    assert answer.exit_status == MODEL
    assert "4 bytes are left" in answer.error


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "param"),
        ("not a model\n", "param"),
        ("7767517\n2 2\nInput in0 0 1 in0\nFlyingCarpet conv 1 1 in0 out0\n", "FlyingCarpet"),
        ("7767517\n2 2\nInput in0 0 1 in0\n", "param"),
        ("7767517\n2 2\nInput in0 0 1 in0\nConvolution conv 1 1 in0 out0 0=-4 1=1 6=12\n", "conv"),
    ],
)
def test_graphs_that_the_engine_refuses(
    runner: Runner, release: Path, manifest: dict[str, Any], text: str, named: str
) -> None:
    (release / "model" / "model.param").write_text(text, encoding="ascii")
    _relist(release, manifest)
    answer = runner("selftest", "--release", release)
    assert answer.exit_status == MODEL
    assert named in answer.error


def test_names_in_the_manifest_that_the_model_lacks(runner: Runner, release: Path, manifest: dict[str, Any]) -> None:
    for role, known in (("inputs", "in0"), ("outputs", "out0")):
        changed = copy.deepcopy(manifest)
        changed["model"][role][0]["name"] = "elsewhere"
        changed["golden"][role][0]["name"] = "elsewhere"
        write_manifest(release, changed)
        answer = runner("selftest", "--release", release)
        assert answer.exit_status == MODEL
        assert "elsewhere" in answer.error
        assert known in answer.error


def test_an_output_of_another_shape_than_the_manifests(runner: Runner, release: Path, manifest: dict[str, Any]) -> None:
    changed = copy.deepcopy(manifest)
    changed["model"]["outputs"][0]["shape"] = [8, 4]
    np.save(release / "golden" / "out0.npy", np.zeros((8, 4), np.float32))
    _relist(release, changed)
    answer = runner("selftest", "--release", release)
    assert answer.exit_status == INFERENCE
    assert "[8, 2, 2]" in answer.error
    assert "[8, 4]" in answer.error


def _npy(header: str, data: bytes, *, version: bytes = b"\x01\x00", magic: bytes = b"\x93NUMPY") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return magic + version + len(text).to_bytes(2, "little") + text + data


_HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 2, 2), }"
_DATA = ARRAY.tobytes()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "signature"),
        (b"\x93NUM", "signature"),
        (_npy(_HEADER, _DATA, magic=b"\x92NUMPY"), "signature"),
        (_npy(_HEADER, _DATA, version=b"\x02\x00"), "2.0"),
        (_npy(_HEADER, _DATA)[:40], "header"),
        (_npy(_HEADER, _DATA)[:-1], "48 bytes"),
        (_npy(_HEADER, _DATA + b"\0"), "48 bytes"),
        (_npy(_HEADER.replace("<f4", "<f8"), _DATA * 2), "<f8"),
        (_npy(_HEADER.replace("<f4", ">f4"), _DATA), ">f4"),
        (_npy(_HEADER.replace("<f4", "|O"), _DATA), "|O"),
        (_npy(_HEADER.replace("False", "True"), _DATA), "Fortran"),
        (_npy(_HEADER.replace("(1, 3, 2, 2)", "(1, 3, 4)"), _DATA), "[1, 3, 4]"),
        (_npy(_HEADER.replace("(1, 3, 2, 2)", "(99999999999999999999,)"), _DATA), "large"),
        (_npy(_HEADER.replace("(1, 3, 2, 2)", "(1000000, 1000000, 1000000, 1000000)"), _DATA), "large"),
        (_npy(_HEADER.replace("(1, 3, 2, 2)", "(1, -3)"), _DATA), "shape"),
        (_npy(_HEADER.replace("(1, 3, 2, 2)", "12"), _DATA), "header"),
        (_npy(_HEADER.replace("'shape'", "'form'"), _DATA), "form"),
        (_npy("{'descr': '<f4', 'fortran_order': False}", _DATA), "shape"),
        (_npy("{'descr': '<f4", _DATA), "header"),
        (_npy("import os", _DATA), "header"),
        (_npy("", b""), "header"),
    ],
)  # fmt: skip
def test_arrays_that_are_malformed(runner: Runner, release: Path, tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "own.npy"
    path.write_bytes(content)
    answer = runner("bench", "--release", release, "--input", f"in0={path}")
    assert answer.exit_status == FILE
    assert str(path) in answer.error
    assert why in answer.error


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2, 2), np.float32),
        np.zeros((1, 3, 2, 3), np.float32),
        np.zeros((1, 3, 2, 2), np.uint8),
        np.float32(3),
    ],
)
def test_arrays_of_another_shape_or_type_than_the_input(
    runner: Runner, release: Path, tmp_path: Path, array: np.ndarray[Any, Any]
) -> None:
    np.save(tmp_path / "own.npy", array)
    answer = runner("bench", "--release", release, "--input", f"in0={tmp_path}/own.npy")
    assert answer.exit_status == FILE
    assert "[1, 3, 2, 2]" in answer.error


def test_images_of_another_kind_than_the_input(runner: Runner, tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    item = ReleaseInput(array=image, shape=(1, 3, 4, 4), preprocessing={**_PREPROCESSING, "resize": "none"})
    write_release(
        tmp_path, identity({"in0": "out0"}), inputs={"in0": item}, outputs={"out0": np.zeros((3, 4, 4), np.float32)}
    )
    assert runner("selftest", "--release", tmp_path).exit_status == 0
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
                  np.zeros((4, 4, 3), np.float32), np.zeros((5, 4, 3), np.uint8)):  # fmt: skip
        np.save(tmp_path / "own.npy", wrong)
        answer = runner("bench", "--release", tmp_path, "--input", f"in0={tmp_path}/own.npy")
        assert answer.exit_status == FILE, wrong.shape
        assert "own.npy" in answer.error


def test_more_memory_than_there_is(runner: Runner, tmp_path: Path) -> None:
    side = 20_000
    item = ReleaseInput(
        array=np.zeros((4, 4, 3), np.uint8), shape=(1, 3, side, side), preprocessing=copy.deepcopy(_PREPROCESSING)
    )
    write_release(
        tmp_path, identity({"in0": "out0"}), inputs={"in0": item}, outputs={"out0": np.zeros((1,), np.float32)}
    )
    answer = runner("bench", "--release", tmp_path, memory_limit_bytes=3 << 30)
    assert answer.exit_status == MEMORY
    assert "memory" in answer.error


def test_an_output_directory_that_cannot_be_made(runner: Runner, release: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="ascii")
    answer = runner(
        "infer", "--release", release, "--input", f"in0={release}/golden/in0.npy", "--output-dir", tmp_path / "taken"
    )
    assert answer.exit_status == FILE
    assert "taken" in answer.error


def test_nothing_half_written_stays_when_the_disk_refuses(runner: Runner, release: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "out0.npy").mkdir(parents=True)  # the rename onto a directory fails, whoever runs the tests
    answer = runner("infer", "--release", release, "--input", f"in0={release}/golden/in0.npy", "--output-dir", made)
    assert answer.exit_status == FILE
    assert [path.name for path in made.iterdir()] == ["out0.npy"]


def test_an_error_is_one_line_of_text_whatever_the_file_holds(runner: Runner, release: Path) -> None:
    (release / "manifest.json").write_bytes(b'{"schema": \x7f\xff\xfe}')
    answer = runner("selftest", "--release", release)
    assert answer.exit_status == MANIFEST
    assert answer.error.isprintable()
