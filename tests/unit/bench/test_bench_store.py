"""Runs on disk: whole, found by what people type, damaged ones named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgedeploy.bench.store import find_run, latest_run, list_runs, runs_dir, save_run
from edgedeploy.errors import RunFileError
from edgedeploy.runfile import RunRecord


@pytest.fixture
def older(hardware_run: RunRecord) -> RunRecord:
    return hardware_run.model_copy(update={"id": "20260101T000000Z-00000001"})


@pytest.fixture
def newer(hardware_run: RunRecord) -> RunRecord:
    return hardware_run.model_copy(update={"id": "20260201T000000Z-00000002"})


def test_saved_run_reads_back(tmp_path: Path, newer: RunRecord, older: RunRecord) -> None:
    path = save_run(tmp_path, newer)
    save_run(tmp_path, older)
    assert path == tmp_path / ".edgedeploy" / "runs" / newer.id / "run.json"
    assert latest_run(tmp_path).record == newer
    assert [run.id for run in list_runs(tmp_path)] == [newer.id, older.id]
    assert json.loads(path.read_bytes())["schema"] == 1
    assert [item.name for item in path.parent.iterdir()] == ["run.json"], "no temporary file stays"


@pytest.mark.parametrize("reference", ["latest", "202602", "20260201T000000Z-00000002", "path", "directory"])
def test_found_by_reference(tmp_path: Path, newer: RunRecord, older: RunRecord, reference: str) -> None:
    save_run(tmp_path, older)
    path = save_run(tmp_path, newer)
    reference = {"path": str(path), "directory": str(path.parent)}.get(reference, reference)
    found = find_run(tmp_path, reference)
    assert (found.path, found.record) == (path, newer)


def test_ambiguous_reference_lists_the_runs(tmp_path: Path, newer: RunRecord, older: RunRecord) -> None:
    save_run(tmp_path, older)
    save_run(tmp_path, newer)
    with pytest.raises(RunFileError, match=r"2026 names 2 runs: .*00000001, .*00000002"):
        find_run(tmp_path, "2026")


@pytest.mark.parametrize("reference", ["20269", "", "no/such/run.json"])
def test_unknown_reference(tmp_path: Path, newer: RunRecord, reference: str) -> None:
    save_run(tmp_path, newer)
    with pytest.raises(RunFileError) as caught:
        find_run(tmp_path / "elsewhere", reference or "missing")
    assert caught.value.hint


def test_no_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == ()
    with pytest.raises(RunFileError, match="no benchmark runs"):
        latest_run(tmp_path)


def test_damaged_run_is_listed_with_its_fault_and_not_skipped_as_latest(
    tmp_path: Path, newer: RunRecord, older: RunRecord
) -> None:
    save_run(tmp_path, older)
    save_run(tmp_path, newer).write_text('{"schema": 1')
    listed = list_runs(tmp_path)
    assert listed[0].record is None and "not JSON" in listed[0].fault
    assert listed[1].record == older
    with pytest.raises(RunFileError, match="not JSON"):
        latest_run(tmp_path)


def test_directory_that_cannot_be_written(tmp_path: Path, newer: RunRecord) -> None:
    runs_dir(tmp_path).parent.mkdir()
    runs_dir(tmp_path).write_text("a file where the directory should be")
    with pytest.raises(RunFileError, match="cannot be written"):
        save_run(tmp_path, newer)


def test_interrupted_write_leaves_nothing(tmp_path: Path, newer: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunFileError, match="No space left"):
        save_run(tmp_path, newer)
    assert not list(runs_dir(tmp_path).rglob("*.json"))
    assert not [path for path in runs_dir(tmp_path).rglob("*") if path.is_file()]
