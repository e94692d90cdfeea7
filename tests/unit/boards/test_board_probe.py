"""The probe: its parsers on captured text, and its script in a real shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from captures import CAPTURED, MIB, capture, facts_of
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.artifacts import CpuCore, ThermalZone
from edgedeploy.boards import captured
from edgedeploy.boards.probe import parse_probe, probe, python_version
from edgedeploy.errors import ProbeError
from edgedeploy.transport.protocol import CommandResult

SHELLS = [
    ["sh"],
    *([["busybox", "sh"]] if shutil.which("busybox") else []),
    *([["bash"]] if shutil.which("bash") else []),
]


# --- captured text ---------------------------------------------------------------------------------------------------


def test_rk3399_capture() -> None:
    facts = facts_of("rk3399")
    assert facts.architecture == "aarch64"
    assert facts.kernel == "6.1.0-28-arm64"
    assert facts.os_name == "Debian GNU/Linux 12 (bookworm)"
    assert facts.libc == "glibc 2.36"
    assert [core.part for core in facts.cores] == ["0xd03"] * 4 + ["0xd08"] * 2
    assert [core.index for core in facts.cores] == list(range(6))
    assert facts.features == {"fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "cpuid"}
    assert facts.memory_total_bytes == 3909568 * 1024
    assert facts.memory_available_bytes == 3561340 * 1024
    assert facts.governors == {f"cpu{i}": "schedutil" for i in range(6)}
    assert facts.max_frequencies_khz["cpu0"] == 1416000
    assert facts.max_frequencies_khz["cpu5"] == 1800000
    assert facts.thermal_zones == (
        ThermalZone(name="thermal_zone0", kind="cpu-thermal", millicelsius=45555),
        ThermalZone(name="thermal_zone1", kind="gpu-thermal", millicelsius=44444),
    )
    assert facts.model == "Radxa ROCK Pi 4B"


def test_rpi4_capture_with_the_trailer_of_its_kernel() -> None:
    facts = facts_of("rpi4")
    assert [core.part for core in facts.cores] == ["0xd08"] * 4
    assert "aes" not in facts.features
    assert facts.model == "Raspberry Pi 4 Model B Rev 1.4"


def test_jetson_capture_of_an_old_kernel() -> None:
    facts = facts_of("jetson-nano")
    assert facts.libc == "glibc 2.27"
    assert facts.kernel == "4.9.337-tegra"
    assert [zone.kind for zone in facts.thermal_zones][:3] == ["AO-therm", "CPU-therm", "GPU-therm"]


def test_alpine_capture_with_musl_banner_and_missing_things() -> None:
    facts = facts_of("alpine")
    assert facts.libc == "musl 1.2.4"
    assert facts.governors == {}
    assert facts.max_frequencies_khz["cpu3"] == 1200000
    assert facts.thermal_zones[0].millicelsius is None
    assert facts.memory_available_bytes == (702464 + 88340) * 1024


def test_twin_capture_has_neither_clocks_nor_sensors() -> None:
    facts = facts_of("twin-rk3399")
    assert [core.part for core in facts.cores] == ["0xd08", "0xd08"]
    assert facts.governors == {}
    assert facts.max_frequencies_khz == {}
    assert facts.thermal_zones == ()
    assert facts.libc is not None
    assert facts.libc.startswith("glibc 2.")
    assert 800 * MIB < facts.memory_total_bytes < 1024 * MIB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("glibc 2.36", "glibc 2.36"),
        ("ldd (Debian GLIBC 2.36-9+deb12u4) 2.36\nCopyright (C) 2022", "glibc 2.36"),
        ("ldd (Ubuntu GLIBC 2.27-3ubuntu1.6) 2.27", "glibc 2.27"),
        ("ldd (GNU libc) 2.31", "glibc 2.31"),
        ("ldd (Buildroot) 2.38", "glibc 2.38"),
        ("musl libc (aarch64)\nVersion 1.2.3\nDynamic Program Loader", "musl 1.2.3"),
        ("musl libc (aarch64)", "musl"),
        ("sh: ldd: not found", None),
        ("", None),
    ],
)
def test_libc(text: str, expected: str | None) -> None:
    assert captured.parse_libc(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('NAME="A B"\nVERSION=1', "A B"),
        ("PRETTY_NAME='It is'", "It is"),
        ("PRETTY_NAME=Plain\n# comment", "Plain"),
        ('PRETTY_NAME="unfinished', '"unfinished'),
        ("", "unknown"),
    ],
)
def test_os_release(text: str, expected: str) -> None:
    assert captured.parse_os_release(text) == expected


def test_meminfo_in_another_unit_is_refused() -> None:
    with pytest.raises(ProbeError, match="no MemTotal"):
        captured.parse_meminfo("MemTotal: 12 MB")


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("edgedeploy-probe 1", "edgedeploy-probe 2", "does not start with the probe's header"),
        ("\n@@ end\n", "\n", "cut short"),
        ("@@ kernel", "@@ machine", "the section 'machine' twice"),
        ("@@ meminfo", "@@ other", "lacks: meminfo"),
        ("aarch64\n", "\n", "lacks: machine"),
        ("aarch64\n", "sh: uname: not found\n", "machine is not one word"),
        ("MemTotal:", "MemTotals:", "has no MemTotal"),
        ("processor\t: 1", "processor\t: one", "whose number is none"),
        ("processor\t: 1", "processor\t: 0", "lists a core twice"),
        ("CPU part\t: 0xd03", "CPU part\t: ?", "no implementer and part number for core 0"),
        ("cpu0 schedutil 1416000", "cpu0 schedutil fast", "about cpufreq cannot be read"),
        ("thermal_zone0 45555", "thermal_zone0 hot", "about thermal zones cannot be read"),
    ],
)
def test_garbage_is_a_probe_error(old: str, new: str, expected: str) -> None:
    text = capture("rk3399")
    assert old in text
    with pytest.raises(ProbeError) as caught:
        parse_probe(text.replace(old, new, 1))
    assert expected in caught.value.message
    assert caught.value.hint


def test_every_cut_of_a_capture_is_refused() -> None:
    text = capture("rpi4").rstrip("\n")
    for length in range(0, len(text) - 1, 7):
        with pytest.raises(ProbeError):
            parse_probe(text[:length])


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    header, end = captured.HEADER, captured.END_SECTION
    for candidate in (text, f"{header}\n{text}\n@@ {end}", capture("rpi4").replace("108.00", text)):
        try:
            facts = parse_probe(candidate)
        except ProbeError:
            continue
        assert facts.cores


# --- the script in a real shell --------------------------------------------------------------------------------------


class ShellTransport:
    """Runs the script in a shell of this machine with its /proc, /sys and /etc moved to a made-up board."""

    description = "shell"

    def __init__(self, shell: Sequence[str], root: Path) -> None:
        self.shell = shell
        self.root = root
        self.round_trips = 0

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes | None = None,
        deadline_s: float = 60.0,
        check: bool = True,
        on_stderr_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        self.round_trips += 1
        assert isinstance(command, str)
        moved = command
        for top in ("/proc/", "/sys/", "/etc/", "/usr/lib/os-release"):
            moved = moved.replace(top, f"{self.root}{top}")
        # Functions and not PATH: busybox runs its own uname whatever PATH says.
        programs = "".join(f'{path.name}() {{ "{path}" "$@"; }}\n' for path in (self.root / "bin").iterdir())
        done = subprocess.run(
            [*self.shell, "-c", programs + moved], capture_output=True, check=False, timeout=deadline_s
        )
        return CommandResult(
            command=command,
            exit_status=done.returncode,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            seconds=0.0,
        )


def made_up_board(root: Path, name: str) -> None:
    """Lay a capture out as the files and programs that the script reads."""
    sections = captured.split_sections(capture(name))
    programs = {
        "uname": f'[ "$*" = "-r -m" ] && echo {sections["kernel"]} {sections["machine"]}',
        "getconf": f'echo "{sections["libc"]}"' if sections["libc"].startswith("glibc") else "exit 1",
        "ldd": f'cat >&2 <<"EOF"\n{sections["libc"]}\nEOF\nexit 1',
    }
    files = {
        "proc/cpuinfo": sections["cpuinfo"] + "\n",
        "proc/meminfo": sections["meminfo"] + "\n",
        "proc/device-tree/model": sections["model"] + "\0",
        "etc/os-release": sections["os-release"] + "\n",
    }
    for line in sections["cpufreq"].splitlines():
        cpu, governor, frequency = line.split()
        for file, value in (("scaling_governor", governor), ("cpuinfo_max_freq", frequency)):
            if value != "-":
                files[f"sys/devices/system/cpu/{cpu}/cpufreq/{file}"] = value + "\n"
    for line in sections["thermal"].splitlines():
        zone, temperature, kind = line.split()
        files[f"sys/class/thermal/{zone}/type"] = kind + "\n"
        if temperature != "-":
            files[f"sys/class/thermal/{zone}/temp"] = temperature + "\n"
    (root / "sys/devices/system/cpu/cpuidle").mkdir(parents=True)
    (root / "sys/class/thermal/cooling_device0").mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    (root / "bin").mkdir()
    for program, body in programs.items():
        (root / "bin" / program).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (root / "bin" / program).chmod(0o755)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("name", CAPTURED)
def test_the_script_reads_a_board_in_one_round_trip(tmp_path: Path, shell: list[str], name: str) -> None:
    made_up_board(tmp_path, name)
    transport: Any = ShellTransport(shell, tmp_path)
    # The loaders are looked for in the root directory, this host's here.
    assert replace(probe(transport), loaders=()) == replace(facts_of(name), loaders=())
    assert transport.round_trips == 1


@pytest.mark.parametrize(
    ("program", "version"),
    [("echo Python 3.11.2", "3.11.2"), ("echo 'sh: python3: not found' >&2; exit 127", None)],
)
def test_the_version_of_python_is_asked_for_apart(tmp_path: Path, program: str, version: str | None) -> None:
    made_up_board(tmp_path, "rk3399")
    (tmp_path / "bin" / "python3").write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
    (tmp_path / "bin" / "python3").chmod(0o755)
    transport: Any = ShellTransport(["sh"], tmp_path)
    assert python_version(transport) == version


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("content", [None, "", "\0"], ids=["missing", "empty", "a zero"])
def test_a_board_that_does_not_name_its_model(tmp_path: Path, shell: list[str], content: str | None) -> None:
    made_up_board(tmp_path, "rk3399")
    model = tmp_path / "proc/device-tree/model"
    model.unlink()
    if content is not None:
        model.write_text(content, encoding="ascii")
    transport: Any = ShellTransport(shell, tmp_path)
    assert probe(transport).model is None


def test_a_machine_without_arm_cores_is_refused(tmp_path: Path) -> None:
    made_up_board(tmp_path, "rk3399")
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t: 2\n", encoding="utf-8")
    transport: Any = ShellTransport(["sh"], tmp_path)
    with pytest.raises(ProbeError, match="no implementer and part number for core 0"):
        probe(transport)


def test_a_board_without_proc_is_refused(tmp_path: Path) -> None:
    made_up_board(tmp_path, "rk3399")
    (tmp_path / "proc/meminfo").unlink()
    transport: Any = ShellTransport(["sh"], tmp_path)
    with pytest.raises(ProbeError, match="lacks: meminfo"):
        probe(transport)


def test_cores_without_features_have_none_in_common() -> None:
    assert parse_probe(capture("rpi4")).cores[0] == CpuCore(
        index=0, implementer="0x41", part="0xd08", features=("fp", "asimd", "evtstrm", "crc32", "cpuid")
    )
