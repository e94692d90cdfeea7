"""``edgedeploy quantize`` as a user runs it: a small trained network, images on disk, and all that can be bad."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from bars_project import IMAGES, MODEL, bar_images, changed_weight, trained_model, write_project
from dask_cluster import dask_cluster

from edgedeploy.artifacts import Precision
from edgedeploy.boards.load import load_board
from edgedeploy.cli import main as entry
from edgedeploy.cli import quantizing
from edgedeploy.errors import (
    EXIT_INTERNAL,
    AccuracyError,
    AlreadyQuantizedError,
    CalibrationDataError,
    CalibrationTableError,
    MetricError,
    MissingFileError,
    NonFiniteModelError,
    ProjectFileError,
    SchedulerError,
    ShapeMismatchError,
    UnreadableInputError,
    UsageError,
)
from edgedeploy.graph import read_graph
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.project import PROJECT_FILE
from edgedeploy.quantfile import QuantizationRecord, read_quantization
from edgedeploy.quantize import dask_workers, store, workers
from edgedeploy.quantize.table import read_table

INTERRUPTED = 130
INT8_SCALES = 8


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return trained_model()


@pytest.fixture(scope="module")
def kept_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for all tests of this module: the model is converted once."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(directory))
        yield directory


@pytest.fixture
def project(tmp_path: Path, model: onnx.ModelProto, kept_cache: Path) -> Path:
    return write_project(tmp_path / "project", model)


def succeed(capsys: pytest.CaptureFixture[str], project: Path, *words: str) -> dict[str, Any]:
    status = entry.main(["quantize", "--project", str(project), *words, "--json"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    document: dict[str, Any] = json.loads(captured.out)
    return document


def fail(capsys: pytest.CaptureFixture[str], status: int, project: Path, *words: str) -> dict[str, Any]:
    assert entry.main(["quantize", "--project", str(project), *words, "--json"]) == status
    error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    assert error["exit_code"] == status
    assert error["hint"]
    assert not (project / ".edgedeploy").exists()
    return error


def edit(project: Path, old: str, new: str) -> None:
    path = project / PROJECT_FILE
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def read_document(document: dict[str, Any]) -> QuantizationRecord:
    return read_quantization(Path(document["paths"]["record"]))


def test_a_project_is_quantized_and_reported(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, table = tmp_path / "out", tmp_path / "bars.table"
    document = succeed(capsys, project, "--max-drop", "5", "--output", str(output), "--table", str(table))
    record = read_document(document)
    assert {layer.name for layer in record.layers if layer.int8} == {layer.name for layer in record.layers}
    assert any(layer.requantized for layer in record.layers)
    assert {layer.activation for layer in record.layers} >= {"relu", "clip 0 to 6", "none"}
    assert all(
        layer.weight_scales and 0 < layer.weight_scales.least <= layer.weight_scales.most for layer in record.layers
    )
    assert all(layer.own is not None and layer.own.sqnr_db and layer.own.sqnr_db > 15 for layer in record.layers)
    assert record.metric.name == "top1"
    assert record.metric.labelled == 15
    assert record.metric.held is True
    assert record.metric.float_score >= 90
    assert abs(record.metric.drop - (record.metric.float_score - record.metric.int8_score)) < 1e-9
    assert record.target.board == "rk3399" and record.target.dotprod is False
    assert (len(record.data.used), len(record.metric.data.used)) == (45, 15)
    assert not set(record.data.used) & set(record.metric.data.used)
    assert record.metric.shares_calibration == 0
    graph = read_graph(output / "model.param", output / "model.bin")
    assert sum(layer.integer(INT8_SCALES, 0) > 0 for layer in graph.layers) == len(record.layers)
    assert (output / "model.param").read_bytes() == Path(document["paths"]["param"]).read_bytes()
    page = (output / "quantization.html").read_text(encoding="utf-8")
    assert page == Path(document["paths"]["report"]).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(record.worst), "the items are images, and shown"
    assert read_table(table).input_scales.keys() == {layer.name for layer in record.int8_layers}


def test_the_second_time_nothing_is_computed(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = succeed(capsys, project, "--images", "21")

    def compute(*_: Any, **__: Any) -> Any:
        raise AssertionError("quantized again")

    monkeypatch.setattr(quantizing, "prepare", compute)
    assert succeed(capsys, project, "--images", "21") == first
    assert len(list((project / ".edgedeploy" / "quantized").iterdir())) == 1
    param = Path(first["paths"]["param"])
    param.write_bytes(param.read_bytes() + b"\n")
    assert entry.main(["quantize", "--project", str(project), "--images", "21"]) == EXIT_INTERNAL
    assert "quantized again" in capsys.readouterr().err, "a damaged file is not served from the cache"
    assert not param.parent.exists()


@pytest.mark.parametrize(
    "change",
    [("--calibrator", "absmax"), ("--board", "rpi5")],
    ids=lambda change: change[0],
)
def test_whatever_the_result_depends_on_makes_another_entry(
    project: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str]
) -> None:
    plain = succeed(capsys, project, "--images", "20")
    other = succeed(capsys, project, "--images", "20", *change)
    assert other["paths"]["param"] != plain["paths"]["param"]
    assert change[1] in other["command"]


def test_search_measures_layers_and_tries_settings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = read_document(succeed(capsys, project, "--search", "--images", "16"))
    assert len(record.trials) > 3
    assert sum(trial.chosen for trial in record.trials) == 1
    assert {entry.layer for entry in record.metric.layers} == {layer.name for layer in record.int8_layers}
    assert all(entry.wins_db is not None and entry.wins is not None for entry in record.metric.layers)
    assert record.int8_macs == 1.0
    assert "--search" in record.command and record.target.own_layers


def test_a_model_for_programs_without_our_layers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = succeed(capsys, project, "--images", "20", "--stock")
    record = read_document(document)
    assert not record.target.own_layers
    assert "--stock" in record.command.split()
    plain = succeed(capsys, project, "--images", "20")
    assert document["paths"]["record"] != plain["paths"]["record"]
    shutil.rmtree(project / ".edgedeploy")
    edit(project, 'metric = "top1"', 'metric = "top1"\nstock = true')
    assert not read_document(succeed(capsys, project, "--images", "20")).target.own_layers


@pytest.mark.parametrize(
    ("board", "precision", "halves"),
    [
        ("rk3399", Precision.FP32, False),
        ("rk3399", Precision.FP16_STORAGE, True),
        ("rk3399", Precision.FP16, True),
        ("rpi5", Precision.FP32, True),
    ],
)
def test_where_floats_may_be_halves(board: str, precision: Precision, halves: bool) -> None:
    target = quantizing.target_of(load_board(board, project_dir=None), stock=False, precision=precision)
    assert (target.own_layers, target.half_floats) == (True, halves)


def test_layers_go_back_to_float_for_a_ratio_of_signal_to_error(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_document(succeed(capsys, project, "--min-sqnr", "45", "--images", "16"))
    assert record.metric.min_sqnr_db == 45.0 and record.metric.max_drop is None and record.metric.held
    assert record.metric.put_back and record.float_layers
    assert all(layer.own is None and layer.accumulated is not None for layer in record.float_layers)
    assert all(entry.drop is not None for entry in record.metric.layers)
    assert all(output.error.sqnr_db is None or output.error.sqnr_db >= 45 for output in record.outputs)
    assert {step.holds for step in record.metric.steps} >= {True}
    assert all(step.holds == ((step.sqnr_after or 0.0) >= 45) for step in record.metric.steps)
    assert "--min-sqnr 45.0" in record.command


def test_layers_stay_in_float_as_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = read_document(succeed(capsys, project)).layers[0].name
    record = read_document(succeed(capsys, project, "--keep-float", first))
    (kept,) = record.float_layers
    assert (kept.name, kept.reason) == (first, quantizing.KEPT_BY_THE_USER)
    shutil.rmtree(project / ".edgedeploy")
    error = fail(capsys, UsageError.exit_code, project, "--keep-float", "convrelu_9")
    assert "did you mean" in error["hint"]


def test_samples_are_little_and_it_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(project, f'data = "{IMAGES}"\nmetric = "top1"\n', "")
    document = succeed(capsys, project)
    assert "a handful of samples is little" in document["warnings"][0]
    assert document["metric"]["shares_calibration"] == 2
    assert document["metric"]["name"] == "cosine"


def test_a_function_gives_data_and_another_the_score(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "mine.py").write_text(
        "import numpy as np\n"
        "def items():\n"
        "    random = np.random.default_rng(0)\n"
        "    return [random.normal(size=(1, 1, 16, 16)).astype(np.float32) for _ in range(24)]\n"
        "def score(item, expected, found):\n"
        "    return 0.5\n",
        encoding="utf-8",
    )
    edit(project, f'data = "{IMAGES}"\nmetric = "top1"', 'data = "mine.py:items"\nmetric = "mine.py:score"')
    document = succeed(capsys, project)
    assert document["data"]["items"] == 24
    assert document["metric"]["int8_score"] == 50.0


def test_a_model_file_with_arrays(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = bar_images(30)
    np.save(tmp_path / "stack.npy", ((images[:, None, None].astype(np.float32) - 100) * 0.02))
    words = (str(project / MODEL), "--input", "x=1,1,16,16", "--data", str(tmp_path / "stack.npy"))
    document = succeed(capsys, tmp_path, *words, "--output", str(tmp_path / "out"))
    assert document["model"]["name"] == "bars"
    assert document["metric"]["name"] == "cosine"
    assert all(word in document["command"] for word in words)
    monkeypatch.chdir(tmp_path / "out")
    shutil.rmtree(tmp_path / ".edgedeploy")
    again = ("model.param", "--input", "in0=1,1,16,16", "--data", str(tmp_path / "stack.npy"))
    error = fail(capsys, AlreadyQuantizedError.exit_code, tmp_path, *again)
    assert "convrelu_0 (Convolution)" in error["message"]


def test_a_converted_model_file(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["convert", "--project", str(project), "--output", str(tmp_path / "float"), "--json"]) == 0
    capsys.readouterr()
    images, _ = bar_images(30)
    np.save(tmp_path / "stack.npy", ((images[:, None, None].astype(np.float32) - 100) * 0.02))
    param = tmp_path / "float" / "model.param"
    words = (str(param), "--data", str(tmp_path / "stack.npy"), "--input")
    document = succeed(capsys, tmp_path, *words, "in0=1,1,16,16")
    assert document["model"]["source"] == "model.param"
    shutil.rmtree(tmp_path / ".edgedeploy")
    assert "in0" in fail(capsys, UsageError.exit_code, tmp_path, *words, "x=1,1,16,16")["hint"]
    fail(capsys, ShapeMismatchError.exit_code, tmp_path, *words, "in0=2,1,16,16")
    param.with_suffix(".bin").unlink()
    assert "model.bin" in fail(capsys, MissingFileError.exit_code, tmp_path, *words, "in0=1,1,16,16")["message"]


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("--data", "nowhere"), MissingFileError, "nowhere"),
        (("--data", "empty"), CalibrationDataError, "no images"),
        (("--data", "grey"), CalibrationDataError, "one color"),
        (("--evaluation", "nowhere"), MissingFileError, "nowhere"),
        (("--metric", "topp1"), MetricError, "topp1"),
        (("--metric", "none.py:score"), MetricError, "none.py"),
        (("--metric", "bad.py:high"), MetricError, "1.5"),
        (("--metric", "bad.py:random", "--max-drop", "0"), AccuracyError, "every layer in float"),
        (("--input", "x=1,1,8,8"), UsageError, "model file"),
        (("--percentile", "99.9"), UsageError, "one of the calibrators"),
        (("--emulated", "--host", "a@b"), UsageError, "exclude"),
        (("--emulated", "--clock", "real"), UsageError, "counts instructions"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], kind: Any, said: str
) -> None:
    (project / "empty").mkdir()
    shutil.copytree(project / IMAGES, project / "grey")
    for path in (project / "grey").rglob("*.png"):
        cv2.imwrite(str(path), np.full((16, 16), 100, np.uint8))
    (project / "bad.py").write_text(
        "def high(item, expected, found):\n"
        "    return 1.5\n"
        "def random(item, expected, found):\n"
        "    return float(expected is found)\n",
        encoding="utf-8",
    )
    error = fail(capsys, kind.exit_code, project, *words)
    assert said in error["message"]


def test_unreadable_files_are_all_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = [project / IMAGES / "horizontal" / "000.png", project / IMAGES / "vertical" / "003.png"]
    edit(project, '"images/horizontal/000.png", ', "")
    for path in broken:
        path.write_bytes(path.read_bytes()[:40])
    error = fail(capsys, UnreadableInputError.exit_code, project)
    assert all(str(path.relative_to(project / IMAGES)) in error["message"] for path in broken)


def test_weights_that_are_not_finite(project: Path, model: onnx.ModelProto, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(changed_weight(model, "point.weight", float("nan")), project / MODEL)
    error = fail(capsys, NonFiniteModelError.exit_code, project, "--accept-differences")
    assert "convrelu_1" in error["message"]


def test_a_scheduler_that_is_not_there(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = functools.partial(dask_workers.DaskWorkers, connect_timeout_s=0.3)
    monkeypatch.setattr(workers, "DaskWorkers", hasty)
    error = fail(capsys, SchedulerError.exit_code, project, "--seed", "77", "--scheduler", "tcp://127.0.0.1:9")
    assert "127.0.0.1:9" in error["message"]


def test_a_table_of_nothing(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [layer["name"] for layer in succeed(capsys, project)["layers"]]
    flags = [word for name in names for word in ("--keep-float", name)]
    status = entry.main(["quantize", "--project", str(project), *flags, "--table", str(tmp_path / "x.table"), "--json"])
    assert status == CalibrationTableError.exit_code
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == "calibration-table"
    assert not (tmp_path / "x.table").exists()


def test_a_wrong_section_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(project, 'metric = "top1"', 'metric = "top1"\ncalibrator = "guess"\nimages = 0')
    error = fail(capsys, ProjectFileError.exit_code, project)
    assert "quantization.calibrator" in error["message"] and "quantization.images" in error["message"]


@pytest.mark.parametrize("place", ["prepare", "write_graph"])
def test_an_interrupt_leaves_nothing_half_written(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*arguments: Any, **_: Any) -> Any:
        if place == "write_graph":
            arguments[2].write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(
        quantizing if place == "prepare" else store, f"{place}{'_graph' * (place == 'write')}", interrupt
    )
    before = sorted(store.quantized_dir().glob("*"))
    assert entry.main(["quantize", "--project", str(project), "--seed", "31", "--json"]) == INTERRUPTED
    assert capsys.readouterr().out == ""
    assert sorted(path for path in store.quantized_dir().glob("*")) == before
    assert sorted(store.quantized_dir().glob(".*")) == []
    assert not (project / ".edgedeploy").exists()


def test_a_cache_that_cannot_be_written(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "quantized_dir", lambda: tmp_path / "file" / "quantized")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert entry.main(["quantize", "--project", str(project), "--seed", "32", "--json"]) != 0
    error = json.loads(capsys.readouterr().out)["error"]
    assert "EDGEDEPLOY_CACHE" in error["hint"]


def test_people_get_the_summary(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["quantize", "--project", str(project), "--max-drop", "5"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("int8 keeps the accuracy of bars: top1")
    assert "What loses most by itself" in shown
    assert str(project / ".edgedeploy" / "quantized") in shown.replace("\n", "")


def test_a_dask_cluster_gives_the_same(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--search", "--images", "16", "--max-drop", "5")
    here = succeed(capsys, project, *words)
    files = [Path(here["paths"][name]).read_bytes() for name in ("param", "weights")]
    shutil.rmtree(store.quantized_dir())
    (tmp_path / "dask").mkdir()
    with dask_cluster(tmp_path / "dask", workers=1) as cluster:
        there = succeed(capsys, project, *words, "--scheduler", cluster.address)
    assert [Path(there["paths"][name]).read_bytes() for name in ("param", "weights")] == files
    assert there["metric"] == here["metric"] and there["trials"] == here["trials"]
