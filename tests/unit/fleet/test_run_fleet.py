"""Waves of boards in threads: which are begun, which not, and what is told of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from edgedeploy.artifacts import FlashResult, Provenance, StepRecord
from edgedeploy.errors import InternalError, NoReleaseError, SelfTestError, StoppedError
from edgedeploy.fleet import run as fleet_run
from edgedeploy.fleet.run import Outcome, Rules, Work, run_fleet
from edgedeploy.fleet.states import BoardProgress, BoardState, Status, Stop

DEADLINE_S = 30.0


def fleet(*waves: int) -> list[BoardState]:
    names = iter("abcdefghijklmnop")
    return [
        BoardState(name=next(names), board="rk3399", where="twin", wave=wave)
        for wave, count in enumerate(waves, 1)
        for _ in range(count)
    ]


def result(*, unchanged: bool = False, previous: str | None = "old") -> FlashResult:
    return FlashResult(
        app="toy",
        board="rk3399",
        provenance=Provenance.HARDWARE,
        clock=None,
        release="new",
        previous_release=previous,
        verified=True,
        unchanged=unchanged,
        golden=(),
        health=None,
        steps=(),
    )


def no_rollback(state: BoardState) -> None:
    raise AssertionError(f"{state.name} is not to be rolled back")


def flash_but(*failing: str, together: dict[int, int] | None = None) -> Callable[[BoardState], FlashResult]:
    """Return a flash that fails on some boards; in the waves of ``together`` once so many boards have begun."""
    barriers = {wave: threading.Barrier(count, timeout=DEADLINE_S) for wave, count in (together or {}).items()}

    def flash(state: BoardState) -> FlashResult:
        if state.wave in barriers:
            barriers[state.wave].wait()
        if state.name in failing:
            raise SelfTestError("outputs differ", hint="look at them")
        return result()

    return flash


def run(states: list[BoardState], flash: Callable[[BoardState], FlashResult], **rules: int) -> Outcome:
    work = Work(flash=flash, roll_back=no_rollback)
    return run_fleet(states, work, Rules(**{"parallel": 8, **rules}), stop=Stop())


def statuses(outcome: Outcome) -> dict[str, str]:
    return {state.name: state.status.value for state in outcome.boards}


def test_boards_of_a_wave_run_side_by_side_and_waves_one_after_the_other() -> None:
    together = threading.Barrier(3, timeout=DEADLINE_S)
    order: list[int] = []

    def flash(state: BoardState) -> FlashResult:
        if state.wave == 2:
            together.wait()
        order.append(state.wave)
        return result(unchanged=state.name == "b")

    outcome = run(fleet(1, 3, 1), flash)
    assert order == [1, 2, 2, 2, 3]
    assert statuses(outcome) == {"a": "flashed", "b": "unchanged", "c": "flashed", "d": "flashed", "e": "flashed"}
    assert outcome.failed_wave is None


def test_no_more_boards_at_a_time_than_allowed() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def flash(state: BoardState) -> FlashResult:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return result()

    run(fleet(9), flash, parallel=3)
    assert most[0] <= 3


def test_a_failure_keeps_later_waves_from_beginning() -> None:
    outcome = run(fleet(1, 2, 2), flash_but("b", together={2: 2}))
    assert statuses(outcome) == {"a": "flashed", "b": "failed", "c": "flashed", "d": "not-begun", "e": "not-begun"}
    assert outcome.failed_wave == 2
    document = outcome.to_json()
    assert document["waves"] == [
        {"boards": ["a"], "begun": True, "failures": 0},
        {"boards": ["b", "c"], "begun": True, "failures": 1},
        {"boards": ["d", "e"], "begun": False, "failures": 0},
    ]
    assert document["boards"][1]["error"] == {
        "slug": "self-test",
        "message": "outputs differ",
        "hint": "look at them",
        "exit_code": 76,
    }
    assert document["boards"][4]["seconds"] == 0


def test_boards_of_the_wave_that_wait_for_their_turn_are_not_begun_either() -> None:
    outcome = run(fleet(4), flash_but("b"), parallel=1)
    assert statuses(outcome) == {"a": "flashed", "b": "failed", "c": "not-begun", "d": "not-begun"}


def test_failures_are_counted_by_the_wave() -> None:
    outcome = run(fleet(2, 2, 1), flash_but("a", "c"), max_failures=1)
    assert statuses(outcome) == {"a": "failed", "b": "flashed", "c": "failed", "d": "flashed", "e": "flashed"}
    assert outcome.failed_wave is None
    assert run(fleet(2, 2, 1), flash_but("c", "d", together={2: 2}), max_failures=1).failed_wave == 2


def test_the_failed_wave_gets_its_former_release_back() -> None:
    back: list[str] = []
    together = threading.Barrier(4, timeout=DEADLINE_S)

    def flash(state: BoardState) -> FlashResult:
        if state.wave == 2:
            together.wait()
        if state.name == "b":
            raise SelfTestError("no")
        return result(unchanged=state.name == "c")

    def roll_back(state: BoardState) -> None:
        if state.name == "e":
            raise NoReleaseError("none before")
        back.append(state.name)

    states = fleet(1, 4, 1)
    rules = Rules(parallel=4, roll_back=True)
    outcome = run_fleet(states, Work(flash=flash, roll_back=roll_back), rules, stop=Stop())
    assert back == ["d"], "neither the waves before, nor what had the release already"
    assert statuses(outcome) == {
        "a": "flashed",
        "b": "failed",
        "c": "unchanged",
        "d": "rolled-back",
        "e": "flashed",
        "f": "not-begun",
    }
    assert outcome.to_json()["boards"][4]["rollback_error"]["slug"] == "no-release"


def test_a_fault_of_the_program_is_a_failure_of_its_board() -> None:
    def flash(state: BoardState) -> FlashResult:
        raise ZeroDivisionError("by zero")

    outcome = run(fleet(1), flash)
    (state,) = outcome.boards
    assert state.status is Status.FAILED
    assert isinstance(state.error, InternalError)
    assert "ZeroDivisionError" in state.error.message


def test_a_stop_begins_nothing_more_and_lets_what_runs_end() -> None:
    stop, begun = Stop(), threading.Event()

    def flash(state: BoardState) -> FlashResult:
        begun.set()
        end_s = time.monotonic() + DEADLINE_S
        while not stop.requested and time.monotonic() < end_s:
            time.sleep(0.01)
        raise StoppedError("stopped")

    def watch() -> None:
        if begun.is_set():
            stop.request()

    rules = Rules(parallel=1, roll_back=True)
    outcome = run_fleet(fleet(2, 1), Work(flash=flash, roll_back=no_rollback), rules, stop=stop, watch=watch)
    assert statuses(outcome) == {"a": "interrupted", "b": "not-begun", "c": "not-begun"}
    assert outcome.interrupted
    assert outcome.failed_wave is None


def test_an_urgent_stop_hangs_up_and_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_run, "HANG_UP_S", 0.3)
    stop, closed, released = Stop(), [], threading.Event()

    def flash(state: BoardState) -> FlashResult:
        released.wait(DEADLINE_S)
        return result()

    def watch() -> None:
        stop.request()

    work = Work(flash=flash, roll_back=no_rollback, hang_up=lambda: closed.append(True))
    outcome = run_fleet(fleet(1), work, Rules(parallel=1), stop=stop, watch=watch)
    released.set()
    assert closed == [True]
    assert statuses(outcome) == {"a": "interrupted"}


def test_a_board_tells_what_it_does() -> None:
    state = BoardState(name="a", board="rk3399", where="twin", wave=1)
    progress = BoardProgress(state)
    with progress.task("Pushing 3 files") as task:
        task.update(1_500_000, 3_000_000, "model.bin", unit="bytes")
        assert (state.doing, state.amount) == ("Pushing 3 files", "1.5/3 MB")
    progress.say("warning: slow")
    assert state.notes == ("warning: slow",)
    state.steps.append(StepRecord(name="push", seconds=1.0, bytes=7, round_trips=2))
    state.begin()
    state.finish(result())
    document = state.to_json()
    assert (document["bytes"], document["round_trips"], document["release"]) == (7, 2, "new")
    assert document["steps"] == [{"name": "push", "seconds": 1.0, "bytes": 7, "round_trips": 2, "note": ""}]
