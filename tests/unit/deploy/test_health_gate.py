"""The health gate: what was just activated proves itself through ``current``, or the board goes back by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from deploy_workbench import APP, Workbench, runner_script

from edgedeploy.artifacts import Bundle
from edgedeploy.deploy.release import status
from edgedeploy.errors import (
    BoardBusyError,
    ConnectionLostError,
    HealthError,
    LatencyBudgetError,
    MemoryBudgetError,
    UnhealthyError,
)
from edgedeploy.healthfile import Budget
from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import CommandResult

system_only = pytest.mark.parametrize("bench", ["system"], indirect=True)
SLOW = runner_script(latency_ms=35)
TIGHT = Budget(latency_ms=20, memory_mb=100)


def history_of(bench: Workbench) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bench.root / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def releases(bench: Workbench) -> set[str]:
    return {path.name for path in (bench.root / "releases").iterdir()}


def test_a_healthy_release_is_proven_through_current(bench: Workbench) -> None:
    seen = bench.home / "seen"
    bundle = bench.bundle(runner=runner_script(health=f'printf "%s " "$@" >> "{seen}"; pwd >> "{seen}"'))
    result = bench.flash(bundle, hardware=True, budget=TIGHT, threads=2)
    words = "--warmup 3 --runs 20 --seconds 10 --threads 2 --latency-ms 20 --memory-mb 100"
    assert seen.read_text(encoding="utf-8") == f"health --release ./current {words} {bench.root}\n"
    assert result.health.state == "proven" and result.health.release == bundle.digest
    assert result.health.latency is not None and result.health.latency.median_ms == 12
    assert (result.health.memory_mb, result.health.budget) == (80, TIGHT)
    assert next(step.note for step in result.steps if step.name == "health") == "12 ms, 80.0 MB"
    found = status(bench.transport(), APP)
    assert found.health == result.health
    assert found.unfinished is None
    bench.check_whole()


@pytest.mark.parametrize(
    ("runner", "kind", "told"),
    [
        (SLOW, LatencyBudgetError, "latency 35 ms, over the budget of 20 ms"),
        (runner_script(memory_mb=120), MemoryBudgetError, "memory 120 MB, over the budget of 100 MB"),
        (runner_script(memory_mb=120, latency_ms=35), MemoryBudgetError, "35 ms, over .*; memory 120 MB"),
        (runner_script(health_cosine=0.5), UnhealthyError, "outputs are beyond the limits"),
        (runner_script(health="kill -SEGV $$"), UnhealthyError, "ended with status 139"),
        (runner_script(health="echo 'error: no \"room\" \\ left' >&2; exit 7"), UnhealthyError, "no room  left"),
        (runner_script(health="echo nonsense; exit 0"), UnhealthyError, "ended with status 1"),
        (runner_script(health='echo \'{"schema":1,"passed":false,"x":1}\'; exit 0'), UnhealthyError, "status 3"),
    ],
)
def test_a_release_that_fails_goes_back_by_itself(
    bench: Workbench, runner: str, kind: type[HealthError], told: str
) -> None:
    good, bad = bench.bundle(), bench.bundle("weights 2", runner=runner)
    bench.flash(good, hardware=True, budget=TIGHT)
    with pytest.raises(kind, match=told) as caught:
        bench.flash(bad, hardware=True, budget=TIGHT)
    assert "step health" in caught.value.message
    assert f"rolled back automatically: release {good.digest[:12]} is active again" in caught.value.message
    assert caught.value.hint
    assert bench.current == good.digest
    assert releases(bench) == {good.digest}, "what this flash brought is gone again"
    first, second, third = history_of(bench)
    assert (second["action"], second["from"], second["to"]) == ("flash", good.digest, bad.digest)
    assert (third["action"], third["from"], third["to"]) == ("automatic-rollback", bad.digest, good.digest)
    assert third["reason"] and first["to"] == good.digest
    found = status(bench.transport(), APP)
    assert found.health is not None and found.health.state == "proven", "the old one's own proof"
    assert found.history[-1].reason == third["reason"]
    assert found.unfinished is None
    bench.check_whole()
    assert bench.flash(bench.bundle("weights 3"), hardware=True, budget=TIGHT).verified


def test_a_release_that_hangs_is_stopped_on_the_board(bench: Workbench) -> None:
    good, bad = bench.bundle(), bench.bundle("weights 2", runner=runner_script(health="exec sleep 60"))
    bench.flash(good)
    with pytest.raises(UnhealthyError, match=r"more than \d+ s, or the memory ran out; rolled back automatically"):
        bench.flash(bad, selftest_deadline_s=2)
    assert bench.current == good.digest
    bench.check_whole()


def test_the_first_release_of_a_board_leaves_it_as_it_was(bench: Workbench) -> None:
    bad = bench.bundle(runner=SLOW)
    with pytest.raises(LatencyBudgetError, match="nothing was active before, so nothing is active now"):
        bench.flash(bad, hardware=True, budget=TIGHT)
    assert bench.current is None
    assert releases(bench) == set()
    found = status(bench.transport(), APP)
    assert found.history[-1].to is None and found.health is None
    assert "rolled back automatically from" in found.history[-1].describe()
    bench.check_whole()
    # The same budget on its own terms: then it is taken.
    assert bench.flash(bad, hardware=True, budget=Budget(latency_ms=40)).previous_release is None


@system_only
def test_twins_are_judged_by_everything_but_time(bench: Workbench) -> None:
    result = bench.flash(bench.bundle(runner=SLOW), budget=TIGHT)
    assert result.health.state == "proven" and result.health.emulated
    assert result.health.latency is None and result.health.budget == TIGHT
    assert next(step.note for step in result.steps if step.name == "health").startswith("latency not judged: emulated")
    with pytest.raises(MemoryBudgetError):
        bench.flash(bench.bundle("weights 2", runner=runner_script(memory_mb=120)), budget=TIGHT)
    bench.check_whole()


@system_only
def test_an_unchanged_flash_asks_again_only_on_other_terms(bench: Workbench) -> None:
    witness = bench.home / "gates"
    bundle = bench.bundle(runner=runner_script(health=f'echo run >> "{witness}"'))
    bench.flash(bundle, hardware=True, budget=TIGHT)
    transport = bench.transport()
    again = bench.flash(bundle, transport, hardware=True, budget=TIGHT)
    assert transport.traffic.round_trips == 2
    assert again.health.state == "proven"
    assert next(step.note for step in again.steps if step.name == "health").startswith("proven ")
    assert witness.read_text(encoding="utf-8") == "run\n"
    transport = bench.transport()
    bench.flash(bundle, transport, hardware=True, budget=Budget(latency_ms=15))
    assert transport.traffic.round_trips == 3
    assert witness.read_text(encoding="utf-8") == "run\nrun\n"


@system_only
def test_a_release_that_was_active_before_stays_active_on_tighter_terms(bench: Workbench) -> None:
    """A command that fails leaves the board as it was; status says what it found."""
    old, bundle = bench.bundle("weights 0"), bench.bundle()
    bench.flash(old)
    bench.flash(bundle, hardware=True, budget=TIGHT)
    with pytest.raises(LatencyBudgetError, match="was active before this command and stays active"):
        bench.flash(bundle, hardware=True, budget=Budget(latency_ms=1))
    assert bench.current == bundle.digest
    found = status(bench.transport(), APP)
    assert found.health is not None and found.health.state == "failed" and "12 ms" in found.health.reason
    assert len(found.history) == 2
    bench.check_whole()
    assert bench.flash(bundle, hardware=True, budget=TIGHT).health.state == "proven"


def test_a_rollback_passes_the_same_gate(bench: Workbench) -> None:
    slow = bench.home / "slow"
    first = bench.bundle("weights 1", runner=runner_script(health=f'[ ! -e "{slow}" ] || exit 8'))
    second = bench.bundle("weights 2")
    bench.flash(first)
    bench.flash(second)
    slow.touch()
    with pytest.raises(UnhealthyError, match=r"rollback of demo-app, step health: .* is active again") as caught:
        bench.rollback()
    assert second.digest[:12] in caught.value.message
    assert bench.current == second.digest
    assert releases(bench) == {first.digest, second.digest}, "it was there before"
    assert [line["action"] for line in history_of(bench)] == ["flash", "flash", "rollback", "automatic-rollback"]
    bench.check_whole()
    slow.unlink()
    result = bench.rollback()
    assert (result.release, result.health.state) == (first.digest, "proven")


@system_only
def test_a_rollback_judges_by_the_projects_budget(bench: Workbench) -> None:
    bench.flash(bench.bundle("weights 1", runner=SLOW), hardware=True)
    bench.flash(bench.bundle("weights 2"), hardware=True, budget=TIGHT)
    with pytest.raises(LatencyBudgetError):
        bench.rollback(hardware=True, budget=TIGHT)
    assert bench.current == bench.bundle("weights 2").digest


def test_a_release_from_before_the_gate_is_asked_for_its_selftest(bench: Workbench) -> None:
    older = runner_script().replace("#!/bin/sh\n", OLDER)
    first = bench.bundle("weights 1", runner=older)
    bench.flash(first, hardware=True, budget=TIGHT)
    found = status(bench.transport(), APP).health
    assert found is not None and found.state == "proven"
    assert found.golden is not None and found.golden.passed and found.latency is None
    fails = bench.home / "fails"
    failing = runner_script(before=f'[ ! -e "{fails}" ] || exit 3; : > "{fails}"').replace("#!/bin/sh\n", OLDER)
    with pytest.raises(UnhealthyError, match="ended with status 3"):
        bench.flash(bench.bundle("weights 2", runner=failing))
    assert bench.current == first.digest


OLDER = """#!/bin/sh
if [ "$1" = health ]; then echo "error: unknown command 'health'" >&2; exit 2; fi
"""


@system_only
def test_old_releases_go_only_once_the_new_one_has_passed(bench: Workbench) -> None:
    bundles = [bench.bundle(f"weights {number}") for number in range(3)]
    for bundle in bundles:
        bench.flash(bundle)
    with pytest.raises(HealthError):
        bench.flash(bench.bundle("weights 4", runner=runner_script(health="exit 8")))
    assert releases(bench) == {bundle.digest for bundle in bundles}
    assert bench.rollback().release == bundles[1].digest
    bench.check_whole()


@system_only
def test_a_failed_release_may_fail_again_and_leaves_nothing(bench: Workbench) -> None:
    good, bad = bench.bundle(), bench.bundle("weights 2", runner=runner_script(health="exit 8"))
    bench.flash(good)
    for _ in range(2):
        with pytest.raises(HealthError):
            bench.flash(bad)
        assert releases(bench) == {good.digest}
        bench.check_whole()


class Unplugged(FaultyTransport):
    """The host is gone as soon as the activation has begun: nobody reads what the board says, or tells it anything."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench.transport())
        self.answer: CommandResult | None = None

    def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
        if self.answer is not None:
            raise ConnectionLostError("gone", hint="")
        if not isinstance(command, str) or not command.startswith("# edgedeploy activate\n"):
            return super().run(command, **options)
        self.answer = super().run(f"exec 1>&-\n{command}", **options)
        raise ConnectionLostError("gone", hint="")


def lose_the_host(bench: Workbench, bundle: Bundle) -> None:
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, Unplugged(bench))


def test_a_host_that_goes_away_leaves_no_failed_release_active(bench: Workbench) -> None:
    good, bad = bench.bundle(), bench.bundle("weights 2", runner=runner_script(health="exit 8"))
    bench.flash(good)
    lose_the_host(bench, bad)
    assert bench.current == good.digest
    assert history_of(bench)[-1]["action"] == "automatic-rollback"
    assert status(bench.transport(), APP).unfinished is None
    bench.check_whole()
    lose_the_host(bench, bench.bundle("weights 3"))
    found = status(bench.transport(), APP)
    assert found.current == bench.bundle("weights 3").digest
    assert found.health is not None and found.health.state == "proven"
    bench.check_whole()


@system_only
def test_a_lock_taken_over_during_the_gate_stops_the_way_back(bench: Workbench) -> None:
    """Whoever took it over works with the release as it is: this script must not move it any more."""
    good, stolen = bench.bundle(), bench.home / "stolen"
    bench.flash(good)
    steals = f'[ -e "{stolen}" ] || {{ : > "{stolen}"; echo another > "{bench.root}/lock/token"; }}; exit 8'
    bad = bench.bundle("weights 2", runner=runner_script(health=steals))
    with pytest.raises(BoardBusyError, match="taken over"):
        bench.flash(bad)
    assert bench.current == bad.digest
    found = status(bench.transport(), APP)
    assert found.health is not None and (found.health.state, found.health.back) == ("pending", good.digest)
    with pytest.raises(HealthError, match=f"release {good.digest[:12]} is active again"):
        bench.flash(bad, break_lock=True)
    bench.check_whole()


@system_only
def test_a_trial_is_not_asked(bench: Workbench) -> None:
    result = bench.flash(bench.bundle(runner=runner_script(health="exit 8")), trial=True)
    assert result.verified and result.health is None
    found = status(bench.transport(), APP)
    assert found.health is not None and found.health.state == "pending"
