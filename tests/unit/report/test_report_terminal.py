"""The terminal summary: the page's content in 80 columns, with the same rule for emulated times."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from edgedeploy.report.compare import compare_runs
from edgedeploy.report.terminal import render_comparison, render_terminal
from edgedeploy.runfile import RunRecord


def shown(record: RunRecord, width: int = 80) -> str:
    stream = io.StringIO()
    render_terminal(record, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def shown_comparison(before: RunRecord, after: RunRecord) -> str:
    stream = io.StringIO()
    comparison = compare_runs(before, after, anyway=True)
    render_comparison(comparison, Console(file=stream, width=80, color_system=None))
    return stream.getvalue()


def test_says_what_the_page_says(hardware: RunRecord) -> None:
    text = shown(hardware)
    assert text.startswith("ppocr-det takes 213.9 ms per inference on rk3399, stable")
    for part in ("golden self-test passed", "pinned to cores 4, 5", "45.2 → 51.3 °C", "conv_head", "59.4 MiB peak"):
        assert part in text
    assert hardware.command in text, "not wrapped, so that it can be copied"


@pytest.mark.parametrize("name", ["emulated", "instructions"])
def test_emulated_times_carry_their_unit(name: str, request: pytest.FixtureRequest) -> None:
    text = shown(request.getfixturevalue(name))
    assert "Measured on an emulated board" in text.splitlines()[1]
    assert not re.search(r"\d\s*ms\b", text)
    assert "emulated ms" in text and "Emulator time (not the board's)" in text


@pytest.mark.parametrize("width", [80, 60, 200])
@pytest.mark.parametrize("name", ["hardware", "emulated"])
def test_fits(name: str, width: int, request: pytest.FixtureRequest) -> None:
    record: RunRecord = request.getfixturevalue(name)
    lines = [line for line in shown(record, width).splitlines() if line != record.command]
    if width > 60:
        assert max(map(len, lines)) <= 80
    else:
        assert max(map(len, lines[: lines.index("To measure again")])) <= 60


def test_names_are_not_markup(hardware: RunRecord) -> None:
    name = "[bold]x[/bold] [/nothing]"
    layers = tuple(item.model_copy(update={"name": name, "type": "[red]"}) for item in hardware.measurement.layers)
    measurement = hardware.measurement.model_copy(update={"layers": layers})
    text = shown(hardware.model_copy(update={"app": name, "command": name, "measurement": measurement}))
    assert text.startswith(f"{name} takes")
    assert "[red]" in text


def test_long_names_fold(hardware: RunRecord) -> None:
    layers = tuple(item.model_copy(update={"name": "n" * 300}) for item in hardware.measurement.layers)
    measurement = hardware.measurement.model_copy(update={"layers": layers})
    text = shown(hardware.model_copy(update={"measurement": measurement}))
    lines = [line for line in text.splitlines() if line != hardware.command]
    assert max(map(len, lines)) <= 80


def test_comparison(hardware: RunRecord, faster: RunRecord) -> None:
    text = shown_comparison(hardware, faster)
    assert text.startswith("Inference became faster: −11.3 % time")
    assert "45.2 °C before, 50.4 °C after" in text
    assert max(map(len, text.splitlines())) <= 80


def test_comparison_with_an_emulator(hardware: RunRecord, emulated: RunRecord) -> None:
    text = shown_comparison(hardware, emulated)
    assert "emulated board: after" in text
    assert "no ratio of theirs is a result" in text
    layers = text[text.index("Layers that changed most") :]
    assert "ms" not in layers and "+" not in layers
