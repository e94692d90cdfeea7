"""run.json: what is accepted, and how what is not is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_board import RUNS

from edgedeploy.errors import RunFileError
from edgedeploy.runfile import RunStatistics, dump_record, parse_run, read_run, stamped_id


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads((RUNS / "synthetic-emulated-rk3399.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.json")), ids=lambda path: path.stem)
def test_captured_runs_round_trip_byte_for_byte(path: Path) -> None:
    record = read_run(path)
    assert dump_record(record) == path.read_bytes()
    assert record.statistics == RunStatistics.of(record.measurement.samples)


def test_newer_schema_names_both_versions(document: dict[str, Any]) -> None:
    with pytest.raises(RunFileError, match=r"x has schema 7; this edgedeploy reads schema 1") as caught:
        parse_run(json.dumps({**document, "schema": 7}), source="x")
    assert "newer edgedeploy" in caught.value.hint


@pytest.mark.parametrize("version", [None, "1", 1.0, True, [1]])
def test_schema_that_is_no_version(document: dict[str, Any], version: object) -> None:
    with pytest.raises(RunFileError, match="no schema version"):
        parse_run(json.dumps({**document, "schema": version}), source="x")


def test_newer_measurement_is_refused(document: dict[str, Any]) -> None:
    document["measurement"]["schema"] = 2
    with pytest.raises(RunFileError, match=r"measurement\.schema"):
        parse_run(json.dumps(document), source="x")


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_drop("release"), "release"),
        (_drop("command"), "command"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(release="abc"), "release"),
        (lambda d: d.update(created_at="yesterday"), "created_at"),
        (lambda d: d.update(id="../../etc"), "id"),
        (lambda d: d.update(provenance="board"), "provenance"),
        (lambda d: d["measurement"]["samples"].clear(), r"measurement\.samples"),
        (lambda d: d["measurement"]["samples"][0].update(inference_us="1"), r"samples\.0\.inference_us"),
        (lambda d: d["measurement"]["samples"][0].update(inference_us=-1), r"samples\.0\.inference_us"),
        (lambda d: d["board"]["facts"].update(memory_total_bytes=1.5), r"board\.facts\.memory_total_bytes"),
        (lambda d: d.update(clock=None), "clock is null on hardware"),
        (lambda d: d.update(provenance="hardware"), "clock is null on hardware"),
    ],
)
def test_damage_is_named(document: dict[str, Any], damage: Callable[[dict[str, Any]], object], named: str) -> None:
    damage(document)
    with pytest.raises(RunFileError, match=named):
        parse_run(json.dumps(document), source="x")


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_no_run_file_at_all(text: str) -> None:
    with pytest.raises(RunFileError):
        parse_run(text, source="x")


def test_not_finite_numbers_are_refused(document: dict[str, Any]) -> None:
    document["measurement"]["first_inference_us"] = float("nan")
    with pytest.raises(RunFileError):
        parse_run(json.dumps(document), source="x")


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match="does not exist"):
        read_run(tmp_path / "run.json")
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunFileError, match="cannot be read"):
        read_run(tmp_path / "run.json")
    with pytest.raises(RunFileError, match="cannot be read"):
        read_run(tmp_path)


def test_run_id_sorts_by_time_and_tells_contents_apart() -> None:
    first = stamped_id("2026-01-02T03:04:05Z", {"a": 1})
    assert first == stamped_id("2026-01-02T03:04:05Z", {"a": 1}) == "20260102T030405Z-e3464320"
    assert first != stamped_id("2026-01-02T03:04:05Z", {"a": 2})
    assert first < stamped_id("2026-01-02T03:04:06Z", {"a": 1})
