"""A script that outlives its lock, a switch that cannot say so, cuts during what mends a cut, and altered releases."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deploy_workbench import APP, Workbench, runner_script
from power_witness import Powered, Witness, every_command, places, restart

from edgedeploy.deploy.release import status
from edgedeploy.errors import BoardBusyError, ConnectionLostError, EdgedeployError, SelfTestError

pytestmark = pytest.mark.parametrize("bench", ["system"], indirect=True)

PATIENCE_S = 30


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def lines_of_history(bench: Workbench) -> list[str]:
    text = (bench.root / "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line)["to"] for line in text.splitlines()]


def test_a_script_that_outlives_its_lock_switches_nothing(bench: Workbench, tmp_path: Path) -> None:
    """It hangs after the sync before its switch; meanwhile another flash takes the lock over and undoes its release."""
    first, slow, other = bench.bundle("weights 1"), bench.bundle("weights 2"), bench.bundle("weights 3")
    bench.flash(first)
    reached, go = tmp_path / "reached", tmp_path / "go"
    waits = f'"$real" "$@"; : > "{reached}"; while [ ! -e "{go}" ]; do sleep 0.05; done; exit 0'
    body = f'case "$*" in "store releases/{slow.digest} "*) {waits} ;; esac\nexec "$real" "$@"'
    bench.replace_program("sync", body)
    caught: list[EdgedeployError] = []

    def flash_slowly() -> None:
        with pytest.raises(EdgedeployError) as error:
            bench.flash(slow)
        caught.append(error.value)

    thread = threading.Thread(target=flash_slowly)
    thread.start()
    try:
        wait_for(reached.exists)
        assert bench.flash(other, break_lock=True).verified
        assert not (bench.root / "releases" / slow.digest).exists()
    finally:
        go.touch()
        thread.join(PATIENCE_S)
    assert "lock" in caught[0].message
    assert bench.current == other.digest
    assert lines_of_history(bench) == [first.digest, other.digest]
    bench.check_whole()
    assert bench.flash(slow).verified


def test_a_script_that_outlives_its_lock_leaves_the_next_ones_alone(bench: Workbench, tmp_path: Path) -> None:
    """It hangs after its switch, in the line of history: what it would clean up is another's by then."""
    first, slow = bench.bundle("weights 1"), bench.bundle("weights 2")
    bench.flash(first)
    token = tmp_path / "token"
    # As a flash that has taken the lock over: its token is in it.
    takes = f'if [ "$(readlink current)" = "releases/{slow.digest}" ] && [ ! -e "{token}" ]; then'
    taking = f': > "{token}"; rm -rf lock; mkdir lock; echo other > lock/token; : > lock/owner'
    bench.replace_program("sync", f'{takes} {taking}; fi\nexec "$real" "$@"')
    with pytest.raises(BoardBusyError, match="taken over"):
        bench.flash(slow)
    assert (bench.root / "lock" / "token").read_text(encoding="utf-8") == "other\n"
    assert (bench.root / "journal").exists(), "the next one finishes what it says"
    assert bench.flash(bench.bundle("weights 3"), break_lock=True).verified
    assert lines_of_history(bench)[:2] == [first.digest, slow.digest]
    bench.check_whole()


def test_a_switch_that_could_not_say_so_gets_its_line_of_history(bench: Workbench, tmp_path: Path) -> None:
    first, second, third = (bench.bundle(f"weights {number}") for number in (1, 2, 3))
    bench.flash(first)
    failed = tmp_path / "failed"
    fails = f'if [ "$*" = . ] && [ "$(readlink current)" = "releases/{second.digest}" ] && [ ! -e "{failed}" ]; then'
    failing = f': > "{failed}"; echo "input/output error" >&2; exit 1'
    bench.replace_program("sync", f'{fails} {failing}; fi\nexec "$real" "$@"')
    with pytest.raises(EdgedeployError, match="input/output error"):
        bench.flash(second)
    assert failed.exists() and bench.current == second.digest
    found = status(bench.transport(), APP).unfinished
    assert found is not None and (found.to, found.remedy) == (second.digest, "finish")
    bench.flash(third)
    assert lines_of_history(bench) == [first.digest, second.digest, third.digest]
    assert bench.rollback().release == second.digest
    bench.check_whole()


def test_a_failed_flash_of_the_active_release_leaves_nothing_unfinished(bench: Workbench, tmp_path: Path) -> None:
    fails = tmp_path / "fails"
    bundle = bench.bundle(runner=runner_script(before=f'[ ! -e "{fails}" ] || exit 3'))
    bench.flash(bundle)
    fails.touch()
    with pytest.raises(EdgedeployError, match="step self-test"):
        bench.flash(bundle)
    assert status(bench.transport(), APP).unfinished is None
    bench.check_whole()


@pytest.mark.parametrize("content", ["action foo bar\n", f"action rm -rf\nto {'a' * 64}\nfrom \n", "to\naction\n"])
def test_a_journal_with_other_words_stops_no_flash(bench: Workbench, content: str) -> None:
    bench.flash(bench.bundle())
    (bench.root / "journal").write_text(content, encoding="utf-8")
    assert bench.flash(bench.bundle()).verified
    bench.check_whole()


@every_command
def test_power_cut_again_while_a_cut_is_mended(bench: Workbench, tmp_path: Path, step: int) -> None:
    """First before and after the switch, then at commands all over the flash that finds what that left."""
    (tmp_path / "witness").mkdir()
    bench.flash(bench.bundle("weights 0"))
    witness = Witness(bench, tmp_path / "witness")
    bench.flash(bench.bundle("weights 1"))
    commands = witness.commands
    switch = next(index for index, line in enumerate(commands) if line.startswith("mv -fT lock/current-"))
    for first in (switch - 2, switch + 1):
        for second in range(0, len(commands), 4 * step):
            lost, new = bench.bundle(f"lost {first} {second}"), bench.bundle(f"new {first} {second}")
            cut_off(bench, witness, lost.digest, first, lambda lost=lost: bench.flash(lost, Powered(bench, witness)))
            assert status(bench.transport(), APP).unfinished is not None
            cut_off(bench, witness, new.digest, second, lambda new=new: bench.flash(new, Powered(bench, witness)))
            assert bench.flash(new).verified
            bench.check_whole()
            seen = lines_of_history(bench)
            assert len(seen) == len(set(seen)) and seen[-1] == new.digest
            assert (lost.digest in seen) == (first > switch)


@every_command
@pytest.mark.parametrize("way", ["rollback", "failing self-test"])
def test_power_cut_at_every_command_of_what_is_no_whole_flash(
    bench: Workbench, tmp_path: Path, way: str, step: int
) -> None:
    (tmp_path / "witness").mkdir()
    bundles = [bench.bundle(f"weights {number}") for number in range(2)]
    for bundle in bundles:
        bench.flash(bundle)
    witness = Witness(bench, tmp_path / "witness")
    bad = bench.bundle("bad weights", runner="#!/bin/sh\nexit 3\n")

    def act() -> None:
        if way == "rollback":
            bench.rollback(transport=Powered(bench, witness))
        else:
            bench.flash(bad, Powered(bench, witness))

    with contextlib.suppress(SelfTestError):
        act()
    total = len(witness.commands)
    assert total > 8
    for count in places(0, total, step):
        witness.allow(None)
        bench.flash(bundles[1])
        before = bench.current
        witness.allow(count)
        # What is lost in cleaning up after a failed self-test does not hide that it failed.
        with pytest.raises((ConnectionLostError, SelfTestError)):
            act()
        witness.allow(None)
        restart(bench)
        assert bench.current in ((before, bundles[0].digest) if way == "rollback" else (before,))
        assert bench.flash(bundles[0]).verified
        bench.check_whole()


def cut_off(bench: Workbench, witness: Witness, digest: str, count: int, act: Callable[[], object]) -> None:
    """Cut the power before the command of this number; old or new is active, whole."""
    before = bench.current
    witness.allow(count)
    with pytest.raises(ConnectionLostError):
        act()
    witness.allow(None)
    restart(bench)
    assert bench.current in (before, digest)


def test_a_file_that_others_may_write_is_mended_by_the_next_flash(bench: Workbench) -> None:
    bundle = bench.bundle()
    bench.flash(bundle)
    weights = bench.root / "releases" / bundle.digest / "model" / "model.bin"
    weights.chmod(0o666)
    assert bench.flash(bundle).verified
    assert weights.stat().st_mode & 0o777 == 0o644
    bench.check_whole()
