"""Comparing runs: what is refused, what is found, what it is called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgedeploy.artifacts import Provenance
from edgedeploy.errors import IncomparableRunsError
from edgedeploy.latency_stats import Interval, MedianRatio
from edgedeploy.report.compare import Outcome, compare_runs, headline, outcome_of
from edgedeploy.report.html import render_comparison_html
from edgedeploy.runfile import RunRecord


def ratio(value: float, significant: bool | None) -> MedianRatio:
    interval = None if significant is None else Interval(low=value - 0.01, high=value + 0.01)
    return MedianRatio(ratio=value, interval=interval, significant=significant, ranges_overlap=False)


def test_faster_and_slower(hardware: RunRecord, faster: RunRecord) -> None:
    result = compare_runs(hardware, faster)
    assert result.outcome is Outcome.FASTER
    expected = faster.statistics.inference.median_us / hardware.statistics.inference.median_us
    assert result.inference.ratio == pytest.approx(expected)
    assert result.inference.interval is not None
    assert result.inference.interval.low < expected < result.inference.interval.high < 1
    assert [part.name for part in result.parts] == ["inference", "preprocessing", "postprocessing", "end to end"]
    back = compare_runs(faster, hardware)
    assert back.outcome is Outcome.SLOWER
    assert back.inference.ratio == pytest.approx(1 / expected)


def test_same_run_shows_no_difference(hardware: RunRecord) -> None:
    result = compare_runs(hardware, hardware)
    assert result.outcome is Outcome.NO_DIFFERENCE
    assert result.differences == ()
    assert "Both runs measured the same release" in render_comparison_html(result)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (ratio(0.9, True), Outcome.FASTER),
        (ratio(1.1, True), Outcome.SLOWER),
        (ratio(0.995, True), Outcome.NO_DIFFERENCE),
        (ratio(0.9, False), Outcome.NO_DIFFERENCE),
        (ratio(0.5, None), Outcome.TOO_FEW),
    ],
)
def test_outcome(change: MedianRatio, expected: Outcome) -> None:
    assert outcome_of(change) is expected


@pytest.mark.parametrize(
    ("update", "named"),
    [
        ({"provenance": Provenance.QEMU_USER}, "provenance qemu-system against qemu-user"),
        ({"app": "other"}, "app ppocr-det against other"),
    ],
)
def test_refuses_what_is_not_the_same_thing(emulated: RunRecord, update: dict[str, Any], named: str) -> None:
    other = emulated.model_copy(update=update)
    with pytest.raises(IncomparableRunsError, match=named) as caught:
        compare_runs(emulated, other)
    assert "--anyway" in caught.value.hint
    assert compare_runs(emulated, other, anyway=True).outcome is Outcome.MEANINGLESS


def test_refuses_other_clock_board_and_hardware(
    hardware: RunRecord, emulated: RunRecord, instructions: RunRecord
) -> None:
    with pytest.raises(IncomparableRunsError, match="clock host's clock against clock counts instructions"):
        compare_runs(emulated, instructions)
    with pytest.raises(IncomparableRunsError, match="provenance hardware against qemu-system"):
        compare_runs(hardware, emulated)
    elsewhere = hardware.model_copy(update={"board": hardware.board.model_copy(update={"name": "rpi5"})})
    with pytest.raises(IncomparableRunsError, match="board rk3399 against rpi5"):
        compare_runs(hardware, elsewhere)


def test_conditions_that_differ_are_named(hardware: RunRecord, faster: RunRecord) -> None:
    config = faster.measurement.config.model_copy(update={"threads": 4, "cpus_requested": (), "cpus_applied": (0, 1)})
    measurement = faster.measurement.model_copy(update={"config": config})
    changed = faster.model_copy(update={"measurement": measurement, "versions": {**faster.versions, "engine": "2"}})
    found = {
        item.name: (item.before, item.after, item.blocking) for item in compare_runs(hardware, changed).differences
    }
    assert found["threads"] == ("2", "4", False)
    assert found["affinity"] == ("cores 4, 5", "none", False)
    assert found["engine"] == ("1.0.20261020", "2", False)
    assert found["temperature of thermal_zone0 at the start"] == ("45.2 °C", "50.4 °C", False)


def test_few_runs_are_not_judged(emulated: RunRecord) -> None:
    result = compare_runs(emulated, emulated)
    assert result.outcome is Outcome.TOO_FEW
    assert "too few runs can tell" in headline(result) and headline(result).startswith("In the emulator")


def test_layers_are_matched_by_name(hardware: RunRecord) -> None:
    layers = hardware.measurement.layers
    slower = layers[5].model_copy(update={"median_us": layers[5].median_us * 3})
    new = layers[0].model_copy(update={"name": "brand_new", "median_us": 1.0})
    measurement = hardware.measurement.model_copy(update={"layers": (*layers[1:5], slower, *layers[6:], new)})
    result = compare_runs(hardware, hardware.model_copy(update={"measurement": measurement}))
    assert result.layers[0].name == slower.name
    assert result.layers[0].ratio == pytest.approx(3)
    by_name = {layer.name: layer for layer in result.layers}
    assert by_name[layers[0].name].after_us is None and by_name[layers[0].name].ratio is None
    assert by_name["brand_new"].before_us is None
    assert "not there" in render_comparison_html(result)


def test_json_document(hardware: RunRecord, faster: RunRecord) -> None:
    document = json.loads(json.dumps(compare_runs(hardware, faster).to_json(), allow_nan=False))
    assert (document["schema"], document["outcome"], document["emulated"]) == (1, "faster", False)
    assert document["before"]["id"] == hardware.id and document["after"]["release"] == faster.release
    assert document["parts"][0]["name"] == "inference" and document["parts"][0]["significant"] is True
    assert document["layers"][0]["ratio"] < 1
    assert document["peak_rss_bytes"]["before"] == hardware.peak_rss_bytes
