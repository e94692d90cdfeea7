"""State files of living, dead and replaced processes."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.artifacts import Clock
from edgedeploy.emulate import twin
from edgedeploy.emulate.processes import ProcessIdentity, identify, is_alive, kill, wait_for_exit
from edgedeploy.emulate.state import STATE_FILE, TwinState, read_state, twin_dir, write_state
from edgedeploy.errors import EmulatorBootError, EmulatorNotRunningError, UsageError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEDEPLOY_STATE", str(tmp_path))
    return tmp_path


def own_identity() -> ProcessIdentity:
    identity = identify(os.getpid())
    assert identity is not None
    return identity


def record(name: str, process: ProcessIdentity) -> Path:
    directory = twin_dir(name)
    directory.mkdir(parents=True, exist_ok=True)
    entry = TwinState(
        name=name,
        board="rk3399",
        cpu="cortex-a72",
        vcpus=2,
        memory_mib=1024,
        clock=Clock.INSTRUCTIONS,
        port=40022,
        boot_s=5.5,
        process=process,
    )
    write_state(directory, entry)
    return directory


def test_a_living_twin_is_found_with_all_it_needs() -> None:
    directory = record("rk3399", own_identity())
    found = twin.endpoint("rk3399")
    assert (found.board, found.core, found.vcpus, found.clock) == ("rk3399", "cortex-a72", 2, Clock.INSTRUCTIONS)
    assert (found.ssh.host, found.ssh.port, found.ssh.user) == ("127.0.0.1", 40022, "edge")
    assert found.ssh.known_hosts == directory / "known_hosts"
    assert found.pid == os.getpid()
    assert twin.list_twins() == (found,)


@pytest.mark.parametrize("field", ["start_ticks", "boot_id"])
def test_a_reused_process_id_is_not_the_twin(field: str) -> None:
    changed = {"start_ticks": 1} if field == "start_ticks" else {"boot_id": "another boot"}
    record("rk3399", replace(own_identity(), **changed))  # type: ignore[arg-type]
    assert twin.list_twins() == ()


def test_a_crashed_qemu_is_cleaned_up_by_itself() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = identify(process.pid)
        assert identity is not None
        record("rk3399", identity)
        assert len(twin.list_twins()) == 1
        process.kill()
    with pytest.raises(EmulatorNotRunningError) as caught:
        twin.endpoint("rk3399")
    assert "edgedeploy emulator up rk3399" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "name": "x"}', "\xff"])
def test_a_damaged_state_file_means_that_nothing_runs(text: str) -> None:
    directory = twin_dir("rk3399")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / STATE_FILE).write_text(text, encoding="latin-1")
    assert read_state(directory) is None
    record("rk3399", own_identity())
    assert read_state(directory) is not None


def test_a_state_file_with_a_wrong_clock_means_that_nothing_runs() -> None:
    directory = record("rk3399", own_identity())
    path = directory / STATE_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "clock": "lunar"}))
    assert read_state(directory) is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "A", "x" * 65])
def test_names_that_are_no_directories_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        twin.endpoint(name)


@pytest.mark.parametrize("action", [twin.down, twin.kill, lambda name: twin.set_link(name, connected=False)])
def test_what_needs_a_running_twin_says_so(action: object) -> None:
    record("rk3399", own_identity())
    with pytest.raises(EmulatorNotRunningError, match="rk3398") as caught:
        action("rk3398")  # type: ignore[operator]
    assert "did you mean rk3399" in caught.value.hint


def test_zombies_are_dead() -> None:
    process = subprocess.Popen(["true"])
    identity = identify(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identify(process.pid) is None
    process.wait()
    assert identity is None or not is_alive(identity)


def test_only_the_very_process_is_killed() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        identity = identify(process.pid)
        assert identity is not None
        kill(replace(identity, start_ticks=identity.start_ticks - 1))
        assert not wait_for_exit(identity, 0.2)
        kill(identity)
        assert wait_for_exit(identity, 10)
    finally:
        process.kill()
        process.wait()


def test_a_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEDEPLOY_STATE", str(tmp_path / "file"))
    with pytest.raises(EmulatorBootError, match="cannot be written"):
        twin.down("rk3399")
