"""quantization.json: what is accepted, and how what is not is named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quantization_records import layer_entry, metric_record, quantization_record, speed_record

from edgedeploy.errors import RunFileError
from edgedeploy.quantfile import (
    AccumulatorEntry,
    Fidelity,
    SpeedSection,
    parse_quantization,
    read_quantization,
    write_quantization,
)
from edgedeploy.runfile import dump_record


@pytest.fixture
def document() -> dict[str, Any]:
    record = quantization_record(speed=SpeedSection(measured=speed_record(hardware=False)))
    content: dict[str, Any] = json.loads(dump_record(record))
    return content


def test_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = quantization_record(speed=SpeedSection(measured=speed_record()))
    path = tmp_path / "quantization.json"
    write_quantization(record, path)
    assert read_quantization(path) == record
    assert dump_record(read_quantization(path)) == path.read_bytes()


def test_numbers_that_are_not_finite_are_null() -> None:
    layer = layer_entry(
        0,
        own=Fidelity(sqnr_db=math.inf, cosine=math.nan),
        accumulator=AccumulatorEntry(
            bound=0, limit=1, headroom_bits=math.inf, choice="twice the calibrated sums stay within it"
        ),
    )
    record = quantization_record(layers=(layer,))
    text = dump_record(record).decode()
    assert "NaN" not in text and "Infinity" not in text
    again = parse_quantization(text, source="x")
    assert again.layers[0].own == Fidelity(sqnr_db=None, cosine=None)
    assert again.layers[0].accumulator is not None and again.layers[0].accumulator.headroom_bits is None
    assert again.passes[2].max_difference is None


def test_a_score_has_to_be_a_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        metric_record(int8_score=math.nan)


def test_layers_by_kind() -> None:
    record = quantization_record()
    assert len(record.int8_layers) + len(record.float_layers) == len(record.layers)
    assert [layer.name for layer in record.float_layers] == ["conv_5"]


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_drop("target"), "target"),
        (_drop("metric"), "metric"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(id="../../etc"), "id"),
        (lambda d: d.update(created_at="today"), "created_at"),
        (lambda d: d["model"].update(param_sha256="abc"), r"model\.param_sha256"),
        (lambda d: d["layers"][0].update(reason="why"), r"layers\.0.*a layer is int8, or has a reason"),
        (lambda d: d["layers"][5].update(reason=""), r"layers\.5.*a layer is int8, or has a reason"),
        (lambda d: d["layers"][0].update(clipping=1.5), r"layers\.0\.clipping"),
        (lambda d: d["layers"][0].update(winograd="maybe"), r"layers\.0\.winograd"),
        (lambda d: d["layers"][0]["input"].update(direction=0), r"layers\.0\.input\.direction"),
        (lambda d: d["layers"][0]["weight_bits"].update(least=9), r"layers\.0\.weight_bits\.least"),
        (lambda d: d["metric"].update(float_score=None), r"metric\.float_score"),
        (lambda d: d["speed"]["measured"].update(unit="ms"), r"speed\.measured.*count instructions"),
        (lambda d: d["speed"]["measured"].update(provenance="hardware"), r"speed\.measured.*count instructions"),
        (lambda d: d["speed"]["measured"].update(clock=None, unit="ms"), r"speed\.measured.*count instructions"),
        (lambda d: d["files"]["param"].update(size_bytes=-1), r"files\.param\.size_bytes"),
    ],
)
def test_damage_is_named(document: dict[str, Any], damage: Callable[[dict[str, Any]], object], named: str) -> None:
    damage(document)
    with pytest.raises(RunFileError, match=rf"x is damaged:\s+{named}"):
        parse_quantization(json.dumps(document), source="x")


def test_many_faults_are_cut_short(document: dict[str, Any]) -> None:
    document["layers"] = [{}]
    with pytest.raises(RunFileError, match="and 7 more"):
        parse_quantization(json.dumps(document), source="x")


def test_newer_schema_names_both_versions(document: dict[str, Any]) -> None:
    with pytest.raises(RunFileError, match=r"x has schema 7; this edgedeploy reads schema 1") as caught:
        parse_quantization(json.dumps({**document, "schema": 7}), source="x")
    assert "newer edgedeploy" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"schema": "1"}', '{"schema": 1}'])
def test_no_record_at_all(text: str) -> None:
    with pytest.raises(RunFileError):
        parse_quantization(text, source="x")


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match="does not exist") as caught:
        read_quantization(tmp_path / "quantization.json")
    assert "edgedeploy quantize" in caught.value.hint
    (tmp_path / "quantization.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunFileError, match="cannot be read"):
        read_quantization(tmp_path / "quantization.json")
    with pytest.raises(RunFileError, match="cannot be read"):
        read_quantization(tmp_path)
