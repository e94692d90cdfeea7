"""Bad input at the command line: a typed error with a hint, its own exit code, nothing half-written."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from edgedeploy.cli import main as entry
from edgedeploy.errors import (
    AssetError,
    CorruptModelError,
    MissingFileError,
    ShapeMismatchError,
    UnreachableHostError,
    UnreadableInputError,
    UnsupportedOperatorError,
)
from edgedeploy.paths import cache_dir
from edgedeploy.project import PROJECT_FILE

PROJECT = """
samples = ["sample.png"]
[app]
name = "toy"
[model]
source = "toy.onnx"
[[model.inputs]]
name = "x"
shape = [1, 3, 8, 8]
[model.inputs.preprocessing]
mean = [0, 0, 0]
scale = [1, 1, 1]
"""


def toy_model(operator: str = "Relu") -> onnx.ModelProto:
    """x (1, 3, H, W) -> convolution -> the operator -> y."""
    weights = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        onnx.helper.make_node(operator, ["c"], ["y"], "last"),
    ]
    shape = [1, 3, "h", "w"]
    graph = onnx.helper.make_graph(
        nodes,
        "toy",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [weights],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def project(own_directories: Path) -> Path:
    """A project whose every part is right, with caches of its own."""
    directory = own_directories / "project"
    directory.mkdir()
    (directory / PROJECT_FILE).write_text(PROJECT, encoding="utf-8")
    onnx.save(toy_model(), directory / "toy.onnx")
    image = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    cv2.imwrite(str(directory / "sample.png"), image)
    return directory


def edit(project: Path, old: str, new: str) -> None:
    path = project / PROJECT_FILE
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def fail(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> dict[str, Any]:
    assert entry.main([*words, "--json"]) == status
    error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    assert error["exit_code"] == status
    assert error["hint"]
    return error


def converted_models() -> list[Path]:
    """Everything in the cache that a later command could take for a converted model, and unfinished leftovers."""
    return [path for path in cache_dir().rglob("*") if path.suffix in {".param", ".bin", ".tmp"}]


def test_the_project_is_right(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["convert", "--project", str(project), "--output", str(tmp_path / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["comparison"]["passed"] is True
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.bin", "model.param"]


def test_a_model_and_shapes_on_the_command_line(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 3, 10, 12), np.float32))
    words = ["convert", str(project / "toy.onnx"), "--input", "x=1,3,10,12", "--sample", str(tmp_path / "x.npy")]
    assert entry.main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["outputs"][0]["shape"] == [4, 8, 10]
    assert entry.main(["convert", "--project", str(project), "--input", "x=1,3,16,16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["shape"] == [4, 14, 14]


@pytest.mark.parametrize(
    "words",
    [
        ("--input", "z=1,3,8,8"),
        ("--input", "x=1,1,8,8"),
        ("--input", "x=2,3,8,8"),
        ("--input", "x"),
        ("--sample", "a.npy"),
    ],
)
def test_shapes_that_cannot_be(project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    fail(capsys, 2, "convert", "--project", str(project), *words)


@pytest.mark.parametrize("name", ["toy.onnx", "sample.png"])
def test_missing_file(project: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (project / name).unlink()
    error = fail(capsys, MissingFileError.exit_code, "convert", "--project", str(project))
    assert name in error["message"]
    assert converted_models() == []


def test_sample_that_is_no_image(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "sample.png").write_bytes(b"not a PNG")
    fail(capsys, UnreadableInputError.exit_code, "convert", "--project", str(project))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_corrupt_model(project: Path, capsys: pytest.CaptureFixture[str], kept: float) -> None:
    model = project / "toy.onnx"
    content = model.read_bytes()
    model.write_bytes(content[: int(kept * len(content))])
    fail(capsys, CorruptModelError.exit_code, "convert", "--project", str(project))
    assert converted_models() == []


def test_unsupported_operator_is_named_with_its_node(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(toy_model("Det"), project / "toy.onnx")
    error = fail(capsys, UnsupportedOperatorError.exit_code, "convert", "--project", str(project))
    assert "Det" in error["message"]
    assert "last" in error["message"]
    assert converted_models() == []


@pytest.mark.parametrize(
    ("old", "new"), [('name = "x"', 'name = "images"'), ("[1, 3, 8, 8]\n[model", "[1, 1, 8, 8]\n[model")]
)
def test_wrong_input(project: Path, capsys: pytest.CaptureFixture[str], old: str, new: str) -> None:
    edit(project, old, new)
    if "1, 1" in new:
        edit(project, "mean = [0, 0, 0]\nscale = [1, 1, 1]", 'color = "gray"\nmean = [0]\nscale = [1]')
    fail(capsys, ShapeMismatchError.exit_code, "convert", "--project", str(project))
    assert converted_models() == []


def test_file_of_a_package_with_another_hash(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = f'{{ package = "six", version = "1.17.0", path = "six.py", sha256 = "{"0" * 64}" }}'
    edit(project, 'source = "toy.onnx"', f"source = {wanted}")
    error = fail(capsys, AssetError.exit_code, "convert", "--project", str(project))
    assert "0" * 64 in error["message"]
    assert [path for path in (cache_dir() / "files").rglob("*") if path.is_file()] == []


def test_unreachable_host_is_said_before_anything_is_made(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    host = f"edge@127.0.0.1:{port}"
    error = fail(
        capsys, UnreachableHostError.exit_code, "flash", "--board", "rk3399", "--host", host, "--project", str(project)
    )
    assert str(port) in error["message"]
    assert converted_models() == []
