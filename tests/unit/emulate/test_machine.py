"""The QEMU command line for both clocks and several core types."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.artifacts import Clock
from edgedeploy.emulate.machine import TwinSpec, qemu_command
from edgedeploy.errors import UsageError


def command(cpu: str = "cortex-a72", clock: Clock = Clock.REAL) -> list[str]:
    spec = TwinSpec(board="rk3399", cpu=cpu, vcpus=4, memory_mib=1024)
    return qemu_command(spec, clock=clock, kernel=Path("/k"), program="qemu-system-aarch64")


def values(line: list[str], option: str) -> list[str]:
    return [line[index + 1] for index, word in enumerate(line) if word == option]


def test_the_real_clock_runs_every_cpu_in_its_own_thread() -> None:
    line = command()
    assert values(line, "-smp") == ["4"]
    assert values(line, "-accel") == ["tcg,thread=multi"]
    assert "-icount" not in line


def test_the_instruction_clock_is_deterministic() -> None:
    line = command(clock=Clock.INSTRUCTIONS)
    assert values(line, "-smp") == ["1"]
    assert values(line, "-accel") == ["tcg,thread=single"]
    assert values(line, "-icount") == ["shift=0,sleep=on"]
    assert values(line, "-rtc") == ["base=utc,clock=vm"]


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [("cortex-a53", "cortex-a53"), ("cortex-a76", "cortex-a76"), ("max", "max,pauth-impdef=on")],
)
def test_the_core_type_is_the_boards(cpu: str, expected: str) -> None:
    assert values(command(cpu), "-cpu") == [expected]


@pytest.mark.parametrize("clock", list(Clock))
def test_nothing_leads_out_and_only_loopback_leads_in(clock: Clock) -> None:
    line = command(clock=clock)
    assert values(line, "-netdev") == ["user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    assert not {"-vnc", "-gdb", "-monitor", "-s", "-spice"} & set(line)
    assert values(line, "-display") == ["none"]
    assert all(value.startswith("unix:") for value in values(line, "-qmp"))


def test_a_panic_ends_qemu() -> None:
    assert "-no-reboot" in command()
    assert "panic=-1" in values(command(), "-append")[0]


@pytest.mark.parametrize(("vcpus", "memory_mib"), [(0, 1024), (65, 1024), (1, 64)])
def test_impossible_machines_are_refused(vcpus: int, memory_mib: int) -> None:
    with pytest.raises(UsageError):
        TwinSpec(board="b", cpu="max", vcpus=vcpus, memory_mib=memory_mib)


def test_a_32_bit_twin_has_its_own_emulator_and_devices_in_reach() -> None:
    spec = TwinSpec(board="rpi2", cpu="cortex-a7", vcpus=2, memory_mib=1024, architecture="armv7l")
    command = qemu_command(spec, clock=Clock.REAL, kernel=Path("/k"))
    assert Path(command[0]).name == "qemu-system-arm"
    assert command[command.index("-machine") + 1] == "virt,highmem=off"
