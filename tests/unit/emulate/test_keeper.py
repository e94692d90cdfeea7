"""The keeper's promises, with a plain program in QEMU's place: it needs a process, not a machine."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.artifacts import Clock
from edgedeploy.emulate.processes import ProcessIdentity, identify, is_alive, kill, wait_for_exit
from edgedeploy.emulate.starter import HeldQemu
from edgedeploy.emulate.state import STATE_FILE, TwinState, write_state
from edgedeploy.errors import EmulatorBootError
from edgedeploy.progress import SILENT

SLEEP = ["sleep", "120"]


@pytest.fixture
def started() -> Iterator[list[ProcessIdentity]]:
    processes: list[ProcessIdentity] = []
    yield processes
    for process in processes:
        kill(process)


def test_ending_the_holder_ends_the_process(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    held = HeldQemu(tmp_path, SLEEP, lifetime_s=60)
    process = held.wait_until_started()
    started.append(process)
    assert is_alive(process)
    held.end()
    assert not is_alive(process)
    held.end()


def test_the_process_dies_with_a_holder_that_was_killed(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        process = HeldQemu(tmp_path, SLEEP, lifetime_s=60).wait_until_started()
        os.write(write_end, str(process.pid).encode())
        time.sleep(60)
        os._exit(0)
    os.close(write_end)
    held = identify(int(os.read(read_end, 32)))
    os.close(read_end)
    assert held is not None
    started.append(held)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert wait_for_exit(held, 20)


def test_a_detached_process_stays(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    held = HeldQemu(tmp_path, SLEEP, lifetime_s=60)
    process = held.wait_until_started()
    started.append(process)
    held.detach()
    held.end()
    assert not wait_for_exit(process, 1)


def test_the_process_dies_with_its_keeper(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    held = HeldQemu(tmp_path, SLEEP, lifetime_s=60)
    process = held.wait_until_started()
    started.append(process)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    keeper = identify(int(fields[1]))
    assert keeper is not None
    kill(keeper)
    assert wait_for_exit(process, 10)
    held.end()


def test_a_lifetime_ends_and_takes_its_own_state_along(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    held = HeldQemu(tmp_path, SLEEP, lifetime_s=1)
    process = held.wait_until_started()
    started.append(process)
    state = TwinState(
        name="t", board="b", cpu="max", vcpus=1, memory_mib=256, clock=Clock.REAL, port=1, boot_s=1.0, process=process
    )
    write_state(tmp_path, state)
    held.detach()
    assert wait_for_exit(process, 30)
    end = time.monotonic() + 10
    while (tmp_path / STATE_FILE).exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not (tmp_path / STATE_FILE).exists()


def test_a_later_twins_state_is_left_alone(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    held = HeldQemu(tmp_path, SLEEP, lifetime_s=60)
    process = held.wait_until_started()
    started.append(process)
    state = TwinState(
        name="t", board="b", cpu="max", vcpus=1, memory_mib=256, clock=Clock.REAL, port=1, boot_s=1.0, process=process
    )
    write_state(tmp_path, replace(state, process=replace(process, pid=process.pid + 1)))
    held.end()
    assert (tmp_path / STATE_FILE).exists()


def test_a_process_that_ends_at_once_is_noticed_with_its_words(tmp_path: Path) -> None:
    held = HeldQemu(tmp_path, ["sh", "-c", "echo unable to find CPU model >&2; exit 1"], lifetime_s=60)
    with pytest.raises(EmulatorBootError, match="unable to find CPU model"), SILENT.task("") as task:
        held.wait_until_started()
        held.wait_for_login(deadline_s=60, task=task)
    held.end()


def test_detaching_from_what_has_ended_is_an_error_of_ours(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    held = HeldQemu(tmp_path, SLEEP, lifetime_s=60)
    process = held.wait_until_started()
    started.append(process)
    kill(process)
    assert select.select([held._from_keeper], [], [], 20)[0], "the keeper ends with its process"
    with pytest.raises(EmulatorBootError, match="ended as soon as it was up"):
        held.detach()
    held.end()
