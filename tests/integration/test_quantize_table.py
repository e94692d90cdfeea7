"""ncnn's calibration tables, written by ``edgedeploy quantize --table`` and read by ``--from-table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from int8_toys import Noise
from random_nets import random_net

from edgedeploy.cli import main as entry
from edgedeploy.errors import CalibrationTableError, MissingFileError, UsageError
from edgedeploy.graph import read_graph
from edgedeploy.graph.files import write_graph
from edgedeploy.quantfile import read_quantization
from edgedeploy.quantize.table import format_table, read_table
from edgedeploy.quantize.table_scales import NOT_NAMED

SHAPE = "in0=1,3,8,8"
GRAPH = random_net(
    "Input in0 0 1 in0",
    "Convolution stem 1 1 in0 a 0=16 1=3 4=1 5=1 6=432",
    "ReLU relu 1 1 a b",
    "ConvolutionDepthWise dw 1 1 b c 0=16 1=3 4=1 5=1 6=144 7=16 9=1",
    "Convolution last 1 1 c d 0=8 1=1 5=1 6=128",
    "Pooling pool 1 1 d p 0=1 4=1",
    "InnerProduct classes 1 1 p out0 0=10 1=1 2=80",
)


@pytest.fixture
def words(tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A network as files, with arrays to calibrate on; the directory is the current one."""
    monkeypatch.chdir(tmp_path)
    write_graph(GRAPH, tmp_path / "net.param", tmp_path / "net.bin")
    data = Noise(24)
    np.save(tmp_path / "stack.npy", np.concatenate([data.item(index).tensors["in0"] for index in range(24)]))
    return ("--input", SHAPE, "--data", "stack.npy", "--images", "16")


def run(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    assert entry.main(["quantize", *words, "--json"]) == status
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_what_was_written_is_read_with_the_network_beside_it(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(capsys, "net.param", *words, "--table", "net.table")
    table = read_table(tmp_path / "net.table")
    assert list(table.input_scales) == ["stem", "dw", "last", "classes"]
    float_net = read_graph(tmp_path / "net.table.param", tmp_path / "net.table.bin")
    assert [layer.type for layer in float_net.layers].count("ReLU") == 0, "as the passes left it"
    assert first["equalization"]["pairs"]

    again = run(capsys, "net.table.param", *words, "--from-table", "net.table")
    assert again["equalization"] is None
    assert "calibrator" not in again["settings"]
    assert again["settings"]["from_table"] == str(tmp_path / "net.table")
    assert f"--from-table {tmp_path / 'net.table'}" in again["command"]
    written = read_graph(Path(again["paths"]["param"]), Path(again["paths"]["weights"]))
    for name, scale in table.input_scales.items():
        layer = written.layer(name)
        assert layer.weight("input_scales").array == pytest.approx([scale], rel=1e-6)
        assert layer.weight("weight_scales").array == pytest.approx(np.float32(table.weight_scales[name, 0]), rel=1e-6)
    record = read_quantization(Path(again["paths"]["record"]))
    assert all(output.error.sqnr_db is None or output.error.sqnr_db > 20 for output in record.outputs)


def test_files_go_where_they_can_be_written(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    (tmp_path / "taken.table.param").mkdir()
    for place in (("--table", "nowhere/net.table"), ("--table", "taken.table"), ("--output", "file/deep")):
        error = run(capsys, "net.param", *words, *place, status=UsageError.exit_code)["error"]
        assert place[1] in error["message"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")) == []


def test_another_table_makes_another_model(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "net.param", *words, "--calibrator", "absmax", "--table", "net.table")
    table = read_table(tmp_path / "net.table")
    whole = run(capsys, "net.table.param", *words, "--from-table", "net.table")
    fewer = {key: scales for key, scales in table.weight_scales.items() if key != ("dw", 0)}
    inputs = {name: scale for name, scale in table.input_scales.items() if name != "dw"}
    (tmp_path / "net.table").write_text(format_table(type(table)(weight_scales=fewer, input_scales=inputs)))
    document = run(capsys, "net.table.param", *words, "--from-table", "net.table")
    assert document["paths"]["param"] != whole["paths"]["param"]
    assert {layer["name"]: layer["reason"] for layer in document["layers"] if not layer["int8"]} == {"dw": NOT_NAMED}


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        (None, (), (MissingFileError, "net.table")),
        ("stem 1 2\n", (), (CalibrationTableError, "line 1")),
        ("other_param_0 1.0\nother 1.0\n", (), (CalibrationTableError, "there is no layer other")),
        ("classes 1.0\n", ("--calibrator", "kl"), (UsageError, "whatever the calibrator")),
        ("classes 1.0\n", ("--search",), (UsageError, "--search")),
    ],
    ids=["missing", "broken", "of another network", "calibrator", "search"],
)
def test_what_cannot_be(
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    more: tuple[str, ...],
    expected: tuple[Any, str],
) -> None:
    kind, said = expected
    if text is not None:
        Path("net.table").write_text(text, encoding="utf-8")
    error = run(capsys, "net.param", *words, "--from-table", "net.table", *more, status=kind.exit_code)["error"]
    assert said in error["message"] and error["hint"]
    assert not Path(".edgedeploy").exists()
