"""A board that cannot go back from a release that failed, and one that cannot remove an old release."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from deploy_workbench import APP, Workbench, runner_script

from edgedeploy.artifacts import Bundle
from edgedeploy.deploy.release import status
from edgedeploy.errors import NoReleaseError, UnhealthyError
from edgedeploy.progress import SILENT, Task

pytestmark = pytest.mark.parametrize("bench", ["system"], indirect=True)

FAILING = runner_script(health="exit 8")


class Told:
    """Keeps what people are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, title: str) -> AbstractContextManager[Task]:
        return SILENT.task(title)

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """While this file is there, the replaced program fails."""
    path = tmp_path / "broken"
    path.touch()
    return path


def break_program(bench: Workbench, broken: Path, name: str, fails: str) -> None:
    """Have a program fail for words like ``fails``, as on a disk that refuses."""
    failing = 'echo "$1: Input/output error" >&2; exit 1'
    body = f'if [ -e "{broken}" ]; then case "$*" in {fails}) {failing} ;; esac; fi\nexec "$real" "$@"'
    bench.replace_program(name, body)


def history_of(bench: Workbench) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bench.root / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def switches(bench: Workbench) -> list[tuple[str, str | None]]:
    return [(line["action"], line["to"]) for line in history_of(bench)]


def flash_without_a_way_back(bench: Workbench, broken: Path, before: tuple[Bundle, ...]) -> Bundle:
    """Flash what is good, then a release that fails its gate on a board whose way back fails as well."""
    for bundle in before:
        bench.flash(bundle)
    bad = bench.bundle("bad weights", runner=FAILING)
    # The switch to it goes through: only from it nothing leads away.
    words = '"-fT lock/current-"* | "-fT current lock/gone-"*'
    at_bad = f'[ "$(readlink current)" = "releases/{bad.digest}" ]'
    failing = f'if [ -e "{broken}" ] && {at_bad}; then echo "mv: cannot move: Input/output error" >&2; exit 1; fi'
    bench.replace_program("mv", f'case "$*" in {words}) {failing} ;; esac\nexec "$real" "$@"')
    with pytest.raises(UnhealthyError, match=r"still active, because the board could not go back \(mv: cannot move"):
        bench.flash(bad)
    return bad


def check_that_the_verdict_waits(bench: Workbench, bad: Bundle, back: str | None) -> None:
    assert bench.current == bad.digest
    assert not (bench.root / "lock").exists()
    journal = (bench.root / "journal").read_text(encoding="utf-8").splitlines()
    assert {"action automatic-rollback", f"to {back or '-'}", f"from {bad.digest}"} <= set(journal)
    found = status(bench.transport(), APP).unfinished
    assert found is not None
    assert (found.action, found.to, found.remedy) == ("automatic-rollback", back, "finish")


@pytest.mark.parametrize("again", [False, True], ids=["another release", "the same release"])
def test_the_next_flash_goes_back_where_the_board_could_not(bench: Workbench, broken: Path, again: bool) -> None:
    good = bench.bundle("weights 1")
    bad = flash_without_a_way_back(bench, broken, (good,))
    check_that_the_verdict_waits(bench, bad, good.digest)
    broken.unlink()
    went = [("flash", good.digest), ("flash", bad.digest), ("automatic-rollback", good.digest)]
    if again:
        with pytest.raises(UnhealthyError, match=f"release {good.digest[:12]} is active again"):
            bench.flash(bad)
        assert bench.current == good.digest
        assert switches(bench) == went + went[1:]
    else:
        new = bench.bundle("weights 2")
        assert bench.flash(new).previous_release == good.digest
        assert switches(bench) == [*went, ("flash", new.digest)]
        assert not (bench.root / "releases" / bad.digest).exists()
    assert "status 8" in history_of(bench)[2]["reason"]
    assert status(bench.transport(), APP).unfinished is None
    bench.check_whole()


def test_a_rollback_goes_back_so_far_and_no_further(bench: Workbench, broken: Path) -> None:
    old, good = bench.bundle("weights 0"), bench.bundle("weights 1")
    bad = flash_without_a_way_back(bench, broken, (old, good))
    broken.unlink()
    result = bench.rollback()
    assert (result.release, result.previous_release) == (good.digest, bad.digest)
    assert bench.current == good.digest
    assert switches(bench)[2:] == [("flash", bad.digest), ("automatic-rollback", good.digest)]
    bench.check_whole()
    assert bench.rollback().release == old.digest, "the next one goes further"
    bench.check_whole()


def test_a_first_release_that_the_board_could_not_leave(bench: Workbench, broken: Path) -> None:
    bad = flash_without_a_way_back(bench, broken, ())
    check_that_the_verdict_waits(bench, bad, None)
    broken.unlink()
    with pytest.raises(NoReleaseError):
        bench.rollback()
    assert bench.current is None
    assert switches(bench) == [("flash", bad.digest), ("automatic-rollback", None)]
    bench.check_whole()
    assert bench.flash(bench.bundle()).verified
    bench.check_whole()


def test_a_disk_that_does_not_settle_the_way_back(bench: Workbench, broken: Path) -> None:
    """The board has gone back by then: the error must not call the failed release active."""
    good, bad = bench.bundle(), bench.bundle("bad weights", runner=FAILING)
    bench.flash(good)
    # Of the syncs of the directory, the one behind the way back.
    went_back = f'[ "$(readlink current)" = "releases/{good.digest}" ] && grep -q automatic-rollback journal'
    failing = f'if [ -e "{broken}" ] && {went_back}; then echo "sync: Input/output error" >&2; exit 1; fi'
    bench.replace_program("sync", f'if [ "$*" = . ]; then {failing}; fi\nexec "$real" "$@"')
    told = f"release {good.digest[:12]} is active again, though the disk has not settled it \\(sync: Input"
    with pytest.raises(UnhealthyError, match=told):
        bench.flash(bad)
    assert bench.current == good.digest
    broken.unlink()
    assert bench.flash(bench.bundle("weights 2")).verified
    assert ("automatic-rollback", good.digest) in switches(bench)
    assert not (bench.root / "releases" / bad.digest).exists()
    bench.check_whole()


@pytest.mark.parametrize(("program", "words"), [("mv", '"-T releases/{0} "*'), ("rm", '"-rf releases/.old-"*')])
def test_an_old_release_that_cannot_be_removed(bench: Workbench, broken: Path, program: str, words: str) -> None:
    bundles = [bench.bundle(f"weights {number}") for number in range(5)]
    for bundle in bundles[:3]:
        bench.flash(bundle)
    break_program(bench, broken, program, words.format(bundles[0].digest))
    told = Told()
    result = bench.flash(bundles[3], progress=told)
    assert result.verified and result.health is not None and result.health.state == "proven"
    assert bench.current == bundles[3].digest
    assert [line for line in told.lines if "warning: not everything old could be removed: " in line]
    assert next(step.note for step in result.steps if step.name == "clean") == "not everything old could be removed"
    # What stays in the way of its removal is in no flash's way.
    assert bench.flash(bundles[4], progress=told).verified
    broken.unlink()
    bench.flash(bundles[4])
    assert {path.name for path in (bench.root / "releases").iterdir()} == {item.digest for item in bundles[2:]}
    assert status(bench.transport(), APP).unfinished is None
    bench.check_whole()


def test_outputs_of_a_killed_benchmark_go_where_a_flash_mends(bench: Workbench) -> None:
    """Those of a benchmark that may be running stay: it holds no lock."""
    bench.flash(bench.bundle())
    killed, running = bench.root / "outputs-aB3xYz", bench.root / "outputs-cD4xYz"
    for path in (killed, running):
        path.mkdir()
        (path / "out0.npy").touch()
    os.utime(killed, (0, 0))
    bench.flash(bench.bundle("weights 2"))
    assert not killed.exists()
    assert (running / "out0.npy").exists()
