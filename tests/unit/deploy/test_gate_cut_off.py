"""The power goes between a switch and the verdict on it, or while the board goes back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy_workbench import APP, Workbench, runner_script
from power_witness import Powered, Witness, every_command, places, restart

from edgedeploy.artifacts import Bundle
from edgedeploy.deploy.release import status
from edgedeploy.deploy.status import BoardStatus
from edgedeploy.errors import ConnectionLostError, HealthError, UnhealthyError

pytestmark = pytest.mark.parametrize("bench", ["system"], indirect=True)


def failing(number: int) -> str:
    """Return a program that fails the gate; each is a file of its own, so that every flash has as much to do."""
    return runner_script(health=f"exit 8 # {number}")


@pytest.fixture
def witness(bench: Workbench, tmp_path: Path) -> Iterator[Witness]:
    (tmp_path / "witness").mkdir()
    yield Witness(bench, tmp_path / "witness")


def history_of(bench: Workbench) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bench.root / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def place(commands: list[str], start: str) -> int:
    """Return the place of the last command that begins so."""
    return max(index for index, line in enumerate(commands) if line.startswith(start))


def cut(bench: Workbench, witness: Witness, bundle: Bundle, count: int) -> BoardStatus:
    """Flash until the power goes before the command of this number; returns what the board says afterwards."""
    witness.allow(count)
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, Powered(bench, witness))
    witness.allow(None)
    restart(bench)
    return status(bench.transport(), APP)


def commands_of(bench: Workbench, witness: Witness, bundle: Bundle) -> list[str]:
    """Return the commands of a whole flash, healthy or not."""
    witness.allow(None)
    with contextlib.suppress(HealthError):
        bench.flash(bundle)
    return witness.commands


def commands_of_a_failing_flash(bench: Workbench, witness: Witness) -> list[str]:
    """Return those of the second: the first one makes the directories."""
    for number in (-2, -1):
        commands = commands_of(bench, witness, bench.bundle(f"trial {number}", runner=failing(number)))
    return commands


def cut_before_the_verdict(bench: Workbench, witness: Witness, bundle: Bundle) -> BoardStatus:
    """Cut the power when the gate is through and its verdict is not written down yet."""
    commands_of(bench, witness, bench.bundle("an older trial", runner=runner_script(cosine=0.9998)))
    trial = commands_of(bench, witness, bench.bundle("a trial", runner=runner_script(cosine=0.9997)))
    found = cut(bench, witness, bundle, place(trial, "sync lock/health-"))
    assert found.current == bundle.digest
    assert found.unfinished is not None and found.unfinished.remedy == "finish"
    assert found.health is not None and found.health.state == "pending"
    return found


def test_the_same_flash_proves_what_was_cut_off(bench: Workbench, witness: Witness) -> None:
    new = bench.bundle("weights 2", runner=runner_script(cosine=0.9996))
    bench.flash(bench.bundle("weights 1"))
    cut_before_the_verdict(bench, witness, new)
    again = bench.flash(new)
    assert again.unchanged and again.health.state == "proven"
    assert sum(step.round_trips for step in again.steps) == 3
    assert [line["to"] for line in history_of(bench)].count(new.digest) == 1
    bench.check_whole()


def test_the_same_flash_goes_back_where_it_fails(bench: Workbench, witness: Witness) -> None:
    bad = bench.bundle("weights 2", runner=failing(0))
    bench.flash(bench.bundle("weights 1"))
    found = cut_before_the_verdict(bench, witness, bad)
    assert found.health is not None and found.health.back is not None
    trial = found.health.back
    with pytest.raises(UnhealthyError, match=f"rolled back automatically: release {trial[:12]} is active again"):
        bench.flash(bad)
    assert bench.current == trial
    last = history_of(bench)[-1]
    assert (last["action"], last["from"], last["to"]) == ("automatic-rollback", bad.digest, trial)
    bench.check_whole()


def test_a_first_release_that_was_cut_off_and_fails_leaves_nothing_active(bench: Workbench, witness: Witness) -> None:
    bad = bench.bundle("weights 2", runner=failing(0))
    commands = commands_of_a_failing_flash(bench, witness)
    journals = [index for index, line in enumerate(commands) if line.startswith("sync lock/journal-")]
    found = cut(bench, witness, bad, journals[-1])
    assert found.current == bad.digest
    assert found.health is not None and (found.health.state, found.health.back) == ("pending", None)
    with pytest.raises(UnhealthyError, match="nothing is active now"):
        bench.flash(bad)
    assert bench.current is None
    bench.check_whole()


def test_another_flash_leaves_what_was_not_proven(bench: Workbench, witness: Witness) -> None:
    unproven, other = bench.bundle("weights 2", runner=runner_script(cosine=0.9996)), bench.bundle("weights 3")
    bench.flash(bench.bundle("weights 1"))
    cut_before_the_verdict(bench, witness, unproven)
    result = bench.flash(other)
    assert (result.previous_release, result.health.state) == (unproven.digest, "proven")
    bench.check_whole()


def test_a_rollback_leaves_what_was_not_proven(bench: Workbench, witness: Witness) -> None:
    unproven = bench.bundle("weights 2", runner=runner_script(cosine=0.9996))
    bench.flash(bench.bundle("weights 1"))
    found = cut_before_the_verdict(bench, witness, unproven)
    result = bench.rollback()
    assert found.health is not None
    assert (result.release, result.previous_release) == (found.health.back, unproven.digest)
    bench.check_whole()


@every_command
def test_power_cut_at_every_command_of_a_flash_that_goes_back(bench: Workbench, witness: Witness, step: int) -> None:
    """A verdict that was written down is carried out by the next command, whichever it is."""
    good = bench.bundle("weights 0")
    bench.flash(good)
    commands = commands_of_a_failing_flash(bench, witness)
    first = next(index for index, line in enumerate(commands) if line.startswith("mv -fT lock/current-"))
    decided = place(commands, "mv -fT lock/journal-")
    back = place(commands, "mv -fT lock/current-")
    assert first < decided < back
    seen = set()
    for count in sorted({first + 1, back, *places(decided, len(commands), step)}):
        bad = bench.bundle(f"bad weights {count}", runner=failing(count))
        found = cut(bench, witness, bad, count)
        assert found.current == (bad.digest if count <= back else good.digest), count
        if found.current == bad.digest:
            assert found.health is not None and found.health.state == "pending"
        if decided < count and found.unfinished is not None:
            assert (found.unfinished.action, found.unfinished.to) == ("automatic-rollback", good.digest)
            assert found.unfinished.remedy == "finish"
            seen.add(found.current)
        assert bench.flash(good).unchanged == (count > decided), count
        assert not (bench.root / "releases" / bad.digest).exists() or count <= decided
        bench.check_whole()
        lines = [line for line in history_of(bench) if bad.digest in (line["from"], line["to"])]
        actions = [line["action"] for line in lines]
        if count > decided:
            assert actions == ["flash", "automatic-rollback"]
            assert lines[-1]["reason"] == "the on-board program ended with status 8"
    assert len(seen) > 1, "cuts before and after the way back"


def test_power_cut_while_the_first_release_goes(bench: Workbench, witness: Witness) -> None:
    commands = commands_of_a_failing_flash(bench, witness)
    gone = place(commands, "mv -fT current lock/gone-")
    for count in (gone, gone + 1, gone + 2):
        bad = bench.bundle(f"bad weights {count}", runner=failing(count))
        found = cut(bench, witness, bad, count)
        assert found.current == (bad.digest if count == gone else None)
        assert found.unfinished is not None and found.unfinished.to is None
        assert found.unfinished.describe().startswith("an automatic rollback to none, begun ")
        with pytest.raises(HealthError):
            bench.flash(bad)
        assert bench.current is None
        actions = [line["action"] for line in history_of(bench) if bad.digest in (line["from"], line["to"])]
        assert actions == ["flash", "automatic-rollback"] * 2
        bench.check_whole()
