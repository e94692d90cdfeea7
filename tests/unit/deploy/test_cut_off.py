"""Flashes that are cut off: at every command of the scripts, in the middle of a file, on either side of the switch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploy_workbench import APP, Workbench
from power_witness import Powered, Witness, every_command, places, restart

from edgedeploy.deploy.lock import new_owner
from edgedeploy.deploy.release import status
from edgedeploy.deploy.survey import take_survey
from edgedeploy.errors import BoardBusyError, ConnectionLostError
from edgedeploy.transport.fake import Fault, FaultKind, FaultyTransport


class HalfSent(FaultyTransport):
    """The connection is lost in the middle of a file."""

    def __init__(self, bench: Workbench, *, after_bytes: int) -> None:
        super().__init__(bench.transport(), Fault(kind=FaultKind.LOST_AFTER, operation=10**6))
        self._after_bytes = after_bytes

    def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
        super().put(source, destination, **options)
        if source.stat().st_size > self._after_bytes:
            os.truncate(destination, self._after_bytes)
            self._lost = True
            raise ConnectionLostError("gone", hint="")


@pytest.fixture
def witness(bench: Workbench, tmp_path: Path) -> Iterator[Witness]:
    (tmp_path / "witness").mkdir()
    yield Witness(bench, tmp_path / "witness")


@every_command
@pytest.mark.parametrize("bench", ["system"], indirect=True)
def test_power_cut_at_every_command(bench: Workbench, witness: Witness, step: int) -> None:
    """Old or new, whole, and the next flash works, whichever command is the first that does not happen."""
    bench.flash(bench.bundle("weights 0", extra={"a/b/c": b"deep"}))
    witness.allow(None)
    bench.flash(bench.bundle("weights 1"))
    total = len(witness.commands)
    assert total > 30
    seen = set()
    for done, count in enumerate(places(0, total, step)):
        new = bench.bundle(f"weights cut {count}")
        before = bench.current
        witness.allow(count)
        with pytest.raises(ConnectionLostError):
            bench.flash(new, Powered(bench, witness))
        witness.allow(None)
        restart(bench)
        assert bench.current in (before, new.digest), count
        seen.add(bench.current == new.digest)
        found = status(bench.transport(), APP)
        if found.unfinished is not None:
            assert found.unfinished.to == new.digest
            assert found.unfinished.holder is None, "the lock of an earlier start is nobody's"
            assert found.unfinished.remedy == ("finish" if bench.current == new.digest else "undo")
        assert bench.flash(new).verified, count
        assert bench.current == new.digest
        bench.check_whole()
        history = (bench.root / "history.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(history[-1])["to"] == new.digest
        assert len(history) == 3 + done, "one line an activation, none twice"
    assert seen == {True, False}


@pytest.mark.parametrize("bench", ["system"], indirect=True)
def test_everything_is_on_the_disk_before_it_gets_its_name(bench: Workbench, witness: Witness) -> None:
    bench.flash(bench.bundle("weights 0"))
    witness.allow(None)
    bundle = bench.bundle("weights 1", extra={"a/b/c": b"deep"})
    bench.flash(bundle)
    commands = witness.commands

    def place(text: str) -> int:
        found = [index for index, command in enumerate(commands) if text in command]
        assert found, f"{text} is not among {commands}"
        return found[-1]

    stored = [command.split()[-1] for command in commands if command.startswith("mv -f store/.incoming-")]
    assert len(stored) == 3
    for name in stored:
        sha256 = name.removeprefix("store/")
        synced = next(index for index, line in enumerate(commands) if line.startswith("sync") and sha256 in line)
        assert synced < place(f" {name}")
    release = f"releases/{bundle.digest}"
    named = next(i for i, line in enumerate(commands) if line.startswith("mv -T releases/.new-") and release in line)
    new = commands[named].split()[2]
    for directory in ("store", new, f"{new}/a/b", f"{new}/a", f"{new}/model", f"{new}/bin"):
        assert any(line.startswith("sync") and directory in line.split() for line in commands[:named]), directory
    switch = next(index for index, line in enumerate(commands) if line.startswith("mv -fT lock/current-"))
    assert named < commands.index("sync releases") < switch
    assert any(line.startswith("mv -fT lock/journal-") for line in commands[:switch])
    assert commands[switch + 1] == "sync ."
    assert "sync history.jsonl ." in commands[switch:]


@pytest.mark.parametrize("after_bytes", [1, 5000])
def test_what_arrived_is_not_sent_again(bench: Workbench, after_bytes: int) -> None:
    bench.flash(bench.bundle())
    new = bench.bundle("weights 2", extra={"zz": b"last" * 2000})
    with pytest.raises(ConnectionLostError, match="step push"):
        bench.flash(new, HalfSent(bench, after_bytes=after_bytes))
    restart(bench)
    transport = FaultyTransport(bench.transport())
    result = bench.flash(new, transport)
    pushed = next(step for step in result.steps if step.name == "push")
    whole = len("weights 2") * 1000 + len(b"last" * 2000) + new.manifest.stat().st_size
    there = whole - pushed.bytes
    assert there >= after_bytes
    assert f"{there:,} bytes were there already" in pushed.note
    bench.check_whole()


def test_start_of_a_file_that_is_damaged_is_sent_again(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    new = bench.bundle("weights 2")
    with pytest.raises(ConnectionLostError):
        bench.flash(new, HalfSent(bench, after_bytes=4000))
    restart(bench)
    parts = [path for path in (bench.root / "store").glob(".incoming-*") if path.stat().st_size == 4000]
    assert len(parts) == 1
    # As after a power cut: the size was written, the content was not.
    parts[0].write_bytes(bytes(4000))
    assert bench.flash(new).verified
    bench.check_whole()


def test_files_of_a_release_that_came_to_nothing_go(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    with pytest.raises(ConnectionLostError):
        bench.flash(bench.bundle("weights 2"), HalfSent(bench, after_bytes=4000))
    restart(bench)
    assert bench.flash(bench.bundle("weights 3")).verified
    bench.check_whole()


def lose(bench: Workbench, new_weights: str, kind: FaultKind, operations_before_the_end: int) -> str:
    """Cut a flash so many operations before its end; returns the digest of what was flashed."""
    bench.flash(bench.bundle("weights 1"))
    counting = FaultyTransport(bench.transport())
    bench.flash(bench.bundle("a trial"), counting)
    bundle = bench.bundle(new_weights)
    fault = Fault(kind=kind, operation=counting.operations - 1 - operations_before_the_end)
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, FaultyTransport(bench.transport(), fault))
    restart(bench)
    return bundle.digest


def test_release_that_was_not_proven_is_undone_by_another_flash(bench: Workbench) -> None:
    lost = lose(bench, "weights 2", FaultKind.LOST_AFTER, 2)
    assert (bench.root / "releases" / lost).is_dir()
    found = status(bench.transport(), APP).unfinished
    assert found is not None
    assert (found.action, found.to, found.remedy, found.holder) == ("flash", lost, "undo", None)
    bench.flash(bench.bundle("weights 3"))
    assert not (bench.root / "releases" / lost).exists()
    assert status(bench.transport(), APP).unfinished is None
    bench.check_whole()


def test_same_flash_takes_up_what_was_cut_off(bench: Workbench) -> None:
    lost = lose(bench, "weights 2", FaultKind.LOST_AFTER, 2)
    result = bench.flash(bench.bundle("weights 2"))
    assert result.release == lost and not result.unchanged
    assert sum(step.bytes for step in result.steps if step.name == "push") == 0
    assert result.steps[0].round_trips == 1
    bench.check_whole()


@pytest.mark.parametrize("bench", ["system"], indirect=True)
def test_switch_without_its_line_of_history_is_finished(bench: Workbench, witness: Witness) -> None:
    bench.flash(bench.bundle("weights 1"))
    new = bench.bundle("weights 2")
    witness.allow(None)
    bench.flash(bench.bundle("a trial"))
    switch = next(index for index, line in enumerate(witness.commands) if line.startswith("mv -fT lock/current-"))
    witness.allow(switch + 1)
    with pytest.raises(ConnectionLostError) as caught:
        bench.flash(new, Powered(bench, witness))
    assert "stays active" not in caught.value.message, "nobody knows which one is active"
    witness.allow(None)
    restart(bench)
    assert bench.current == new.digest
    found = status(bench.transport(), APP)
    assert found.unfinished is not None and found.unfinished.remedy == "finish"
    assert found.history[-1].to != new.digest
    back = bench.rollback()
    assert back.previous_release == new.digest
    history = (bench.root / "history.jsonl").read_text(encoding="utf-8").splitlines()
    document = json.loads(history[-2])
    assert (document["action"], document["to"]) == ("flash", new.digest)
    assert document["from"] == json.loads(history[-1])["to"]
    bench.check_whole()


def test_journal_that_cannot_be_read_is_no_obstacle(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    for content in ("", "to ../../x\n", f"action flash\nto {'g' * 64}\n", "\x00" * 100):
        (bench.root / "journal").write_text(content, encoding="utf-8")
        assert status(bench.transport(), APP).unfinished is None
        assert bench.flash(bench.bundle()).verified
        bench.check_whole()


def test_status_says_who_is_flashing(bench: Workbench) -> None:
    bench.flash(bench.bundle("weights 1"))
    new = bench.bundle("weights 2")
    found = []

    class Watched(FaultyTransport):
        def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
            found.append(status(bench.transport(), APP).unfinished)
            super().put(source, destination, **options)

    bench.flash(new, Watched(bench.transport()))
    assert found[0] is not None and found[0].to == new.digest
    assert found[0].holder is not None
    assert new_owner().who in found[0].holder and f"process {os.getpid()}" in found[0].holder


def test_lock_older_than_the_boards_start_is_replaced(bench: Workbench) -> None:
    """Whoever held it cannot do anything any more: the connection went down with the board."""
    bench.flash(bench.bundle())
    take_survey(bench.transport(), APP, directory="~/.edgedeploy", owner=new_owner(), break_lock=False)
    with pytest.raises(BoardBusyError, match=r"held by .*, for \d+ s, since"):
        bench.flash(bench.bundle())
    restart(bench)
    assert bench.flash(bench.bundle()).verified
    bench.check_whole()


def test_age_of_a_lock_needs_no_clock(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    take_survey(bench.transport(), APP, directory="~/.edgedeploy", owner=new_owner(), break_lock=False)
    boot = bench.root / "lock" / "boot"
    identity, uptime = boot.read_text(encoding="utf-8").split()
    boot.write_text(f"{identity} {int(uptime) - 7260}\n", encoding="utf-8")
    with pytest.raises(BoardBusyError, match="for 2 h, since"):
        bench.flash(bench.bundle())


def test_host_process_killed_in_the_middle_of_a_file(bench: Workbench, tmp_path: Path) -> None:
    """The lock of a dead process of this machine is replaced, and what it sent is not sent again."""
    new = bench.bundle("weights 2")
    bench.flash(bench.bundle("weights 1"))
    script = tmp_path / "doomed.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\n"
        "from deploy_workbench import Workbench\n"
        "from edgedeploy.transport.fake import FaultyTransport\n"
        "host, home, path = sys.argv[1:]\n"
        "bench = Workbench(host=Path(host), home=Path(home), environment=dict(HOME=home, PATH=path))\n"
        "class Slow(FaultyTransport):\n"
        "    def put(self, source, destination, **options):\n"
        "        content = Path(source).read_bytes()\n"
        "        Path(destination).write_bytes(content[:len(content) // 2])\n"
        "        print('half', flush=True)\n"
        "        time.sleep(600)\n"
        "bench.flash(bench.bundle('weights 2'), Slow(bench.transport()))\n",
        encoding="utf-8",
    )
    source = Path(__file__).parents[3]
    words = [sys.executable, str(script), str(bench.host), str(bench.home), bench.environment["PATH"]]
    search = os.pathsep.join([str(source), str(source / "tests")])
    with subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": search}) as doomed:
        assert doomed.stdout is not None and doomed.stdout.readline() == b"half\n"
        doomed.kill()
    result = bench.flash(new)
    pushed = next(step for step in result.steps if step.name == "push")
    assert "bytes were there already" in pushed.note
    assert pushed.bytes < len("weights 2") * 1000 + new.manifest.stat().st_size
    bench.check_whole()
