"""What people see of a fleet: a table that lives on a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgedeploy.artifacts import FlashResult, Provenance
from edgedeploy.cli import fleet_view
from edgedeploy.cli.fleet_view import FleetView, show_outcome
from edgedeploy.errors import SelfTestError
from edgedeploy.fleet.run import Outcome
from edgedeploy.fleet.states import BoardProgress, BoardState


def fleet() -> list[BoardState]:
    return [BoardState(name=f"door-{number}", board="rk3399", where="twin", wave=number) for number in (1, 2)]


def passed() -> FlashResult:
    return FlashResult(
        app="toy",
        board="rk3399",
        provenance=Provenance.HARDWARE,
        clock=None,
        release="0123456789abcdef",
        previous_release=None,
        verified=True,
        unchanged=False,
        golden=(),
        health=None,
        steps=(),
    )


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=100, color_system=None), stream


def test_lines_where_there_is_no_terminal() -> None:
    states = fleet()
    shown, stream = console(terminal=False)
    with FleetView(states, shown) as view:
        view.tick()
        states[0].begin()
        with BoardProgress(states[0]).task("Pushing 3 files") as task:
            view.tick()
            task.update(1, 2)
            view.tick()
        states[0].fail(SelfTestError("outputs differ\nby much", hint="look"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "door-1: Pushing 3 files"
    assert lines[1].startswith("door-1: failed, 0.")
    assert lines[1].endswith("s: [self-test] outputs differ")
    assert len(lines) == 2, "a line for each step, none for what did not change"


def test_a_table_lives_on_a_terminal_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_view, "REFRESH_S", 0.0)
    states = fleet()
    shown, stream = console(terminal=True)
    with FleetView(states, shown) as view:
        states[0].begin()
        with BoardProgress(states[0]).task("Pushing 3 files") as task:
            task.update(1_500_000, 3_000_000, unit="bytes")
            view.tick()
        assert "Pushing 3 files 1.5/3 MB" in stream.getvalue()
        assert "not-begun" in stream.getvalue()
        states[0].finish(passed())
        view.tick()
        assert "flashed" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K"), "the table is taken away at the end"


def test_what_runs_or_failed_is_seen_where_the_terminal_is_too_low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_view, "REFRESH_S", 0.0)
    states = [BoardState(name=f"door-{number}", board="rk3399", where="twin", wave=1) for number in range(30)]
    for state in states[:20]:
        state.begin()
        state.finish(passed())
    for state in states[20:22]:
        state.begin()
    states[2].fail(SelfTestError("outputs differ " * 10, hint="look"))
    stream = io.StringIO()
    shown = Console(file=stream, force_terminal=True, width=80, height=12, color_system=None)
    with FleetView(states, shown) as view:
        view.tick()
        lines = [line for line in stream.getvalue().split("\n") if line.strip()]
    table = [line.rstrip() for line in lines]
    assert len(table) == 11
    assert all(len(line) <= 80 for line in table[1:])
    assert [line.split()[:3] for line in table[1:4]] == [
        ["door-2", "1", "failed"],
        ["door-20", "1", "running"],
        ["door-21", "1", "running"],
    ]
    assert table[-1] == "and 21 more: 19 flashed, 2 not-begun"


def test_the_table_at_the_end_has_every_board_and_every_error() -> None:
    states = fleet()
    states[0].begin()
    states[0].notes = ("Using the running twin", "warning: not everything old could be removed")
    states[0].finish(passed())
    states[1].begin()
    states[1].fail(SelfTestError("outputs differ", hint="look at them"))
    shown, stream = console(terminal=False)
    show_outcome(Outcome(boards=tuple(states)), shown)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines[1].split()[:3] == ["door-1", "1", "flashed"]
    assert lines[1].endswith("0123456789ab")
    assert lines[2].split()[:3] == ["door-2", "2", "failed"]
    assert lines[3:] == [
        "door-1: warning: not everything old could be removed",
        "door-2: [self-test] outputs differ",
        "  hint: look at them",
    ]
