"""Progress on a stderr that is no terminal: how far it is, and how long the rest takes."""

from __future__ import annotations

import itertools

import pytest

from edgedeploy.cli import console
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.progress import time_left


def test_time_left_is_known_between_start_and_end() -> None:
    assert time_left(100, 300, 60.0) == "2 min left"
    assert time_left(10, 20, 10.0) == "10 s left"
    assert time_left(0, 20, 10.0) == time_left(20, 20, 10.0) == ""


def test_a_task_says_the_time_left_where_its_stage_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = itertools.count(0.0, 15.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with ConsoleProgress().task("Scoring") as task:
        task.update(1, 4)
        task.update(2, 4, "7 min left")
        task.update(10e6, 20e6, unit="bytes")
        task.update(1, None, "copying")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:5] == [
        "  Scoring: 1/4 45 s left",
        "  Scoring: 2/4 7 min left",
        "  Scoring: 10.0 of 20.0 MB 45 s left",
        "  Scoring: copying",
    ]
