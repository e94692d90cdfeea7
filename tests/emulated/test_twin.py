"""A real twin: booted, logged into, cut off, broken on purpose."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import edgedeploy
from edgedeploy.artifacts import Clock, TwinEndpoint
from edgedeploy.emulate import twin
from edgedeploy.emulate.image import TwinImage, ensure_image
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.emulate.recipe import RECIPE
from edgedeploy.emulate.starter import speaks_ssh
from edgedeploy.errors import EmulatorBootError, EmulatorNotRunningError
from edgedeploy.paths import CACHE_VARIABLE, STATE_VARIABLE
from edgedeploy.progress import SILENT

pytestmark = pytest.mark.emulated

SPEC = TwinSpec(board="rk3399", cpu="cortex-a72", vcpus=1, memory_mib=512)
NAME = "rk3399"
COMMAND_DEADLINE_S = 180
INSTRUCTION_TOLERANCE = 1e-4
"""Two counts of one native loop's user instructions: 228 of 60,827,668 apart at most when measured five times."""
GUEST_TIME_TOLERANCE = 0.01
"""Two readings of the guest's clock around the loop: interrupts and kernel work are in them too."""

COUNT_INSTRUCTIONS = """
import ctypes, hashlib, os, struct, time
attributes = bytearray(128)
struct.pack_into("IIQ", attributes, 0, 0, 128, 1)       # PERF_TYPE_HARDWARE, size, PERF_COUNT_HW_INSTRUCTIONS
struct.pack_into("Q", attributes, 40, 1 << 5 | 1 << 6)  # exclude_kernel, exclude_hv
buffer = (ctypes.c_char * 128).from_buffer(attributes)
event = ctypes.CDLL(None).syscall(241, buffer, 0, -1, -1, 0)
assert event >= 0, "perf_event_open failed"
block = bytes(32 << 20)
def loop():
    hashlib.sha256(block).digest()  # native code without data-dependent branches; Python's own work varies by a percent
def count():
    return struct.unpack("q", os.read(event, 8))[0]
loop()
before, begin = count(), time.monotonic_ns()
loop()
after, end = count(), time.monotonic_ns()
print(after - before, end - begin)
"""


@pytest.fixture(scope="module")
def image() -> TwinImage:
    return ensure_image(progress=SILENT)


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory of this file's own, whose twins are all stopped at the end."""
    directory = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(directory))
        yield directory
        for item in twin.list_twins():
            twin.kill(item.name)


@pytest.fixture
def running(image: TwinImage) -> TwinEndpoint:
    """The shared twin, booted where it is not up."""
    return twin.up(SPEC, name=NAME)


def ssh(endpoint: TwinEndpoint, script: str, *, stdin: str = "") -> str:
    """Run a script on the twin with the system's own client; the host key must be the one known in advance."""
    target = endpoint.ssh
    command = ["ssh", "-F", "none", "-p", str(target.port), "-i", str(target.key_file), f"{target.user}@{target.host}"]
    for option in (
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={target.known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
    ):
        command += ["-o", option]
    done = subprocess.run(
        [*command, script], input=stdin, capture_output=True, text=True, timeout=COMMAND_DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def processes_in(directory: Path) -> list[int]:
    """Return the processes whose current directory this is: the QEMUs of the twin that lives there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def listening_addresses(pid: int) -> set[str]:
    """Return the local addresses, as /proc/net writes them, on which a process listens."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            sockets.add(target.removeprefix("socket:[").rstrip("]"))
    addresses = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            bound = fields[3] == "0A" if table.startswith("tcp") else True
            if bound and fields[9] in sockets:
                addresses.add(fields[1])
    return addresses


def starting(state: Path, name: str) -> subprocess.Popen[bytes]:
    """Start ``up`` in a process of its own and return it once its QEMU runs."""
    # A suite that runs in the background of a shell inherits that interrupts are ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from edgedeploy.emulate import twin; from edgedeploy.emulate.machine import TwinSpec;"
        f"twin.up(TwinSpec(board='rk3399', cpu='cortex-a72', vcpus=2, memory_mib=512), name={name!r}, lifetime_s=120)"
    )
    root = str(Path(edgedeploy.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, STATE_VARIABLE: str(state)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE)
    directory = state / "emulator" / name
    end = time.monotonic() + 60
    while not (directory / "console.log").exists():
        assert process.poll() is None and time.monotonic() < end, "QEMU was not started"
        time.sleep(0.02)
    assert len(processes_in(directory)) == 1
    return process


def test_two_at_once_start_one(image: TwinImage) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: twin.up(SPEC, name=NAME), range(2))
    assert first == second
    assert twin.list_twins() == (first,)
    assert twin.endpoint(NAME) == first


def test_the_board_is_the_definitions(running: TwinEndpoint) -> None:
    facts = ssh(running, "grep -c 'CPU part.*0xd08' /proc/cpuinfo; nproc; uname -m; hostname; whoami")
    assert facts.splitlines() == ["1", "1", "aarch64", "rk3399", "edge"]
    memory_kib = int(ssh(running, "awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert 400 * 1024 < memory_kib <= 512 * 1024


def test_programs_keep_their_place_and_the_user_has_what_is_theirs(running: TwinEndpoint) -> None:
    """QEMU translates by address: programs that lie elsewhere in each process are translated each time."""
    assert ssh(running, "cat /proc/sys/kernel/randomize_va_space") == "0"
    assert ssh(running, "stat -c %U $HOME $HOME/.profile /var/cache/python").split() == ["edge"] * 3


def test_the_clock_is_the_hosts(running: TwinEndpoint) -> None:
    assert abs(int(ssh(running, "date +%s")) - time.time()) < 600


def test_the_server_is_openssh_with_the_key_made_on_the_host(running: TwinEndpoint, state: Path) -> None:
    with socket.create_connection((running.ssh.host, running.ssh.port), timeout=10) as stream:
        assert stream.recv(64).startswith(b"SSH-2.0-OpenSSH_")
    known_hosts = (state / "emulator" / NAME / "known_hosts").read_text()
    assert known_hosts.startswith(f"[127.0.0.1]:{running.ssh.port} ssh-ed25519 ")
    key_file = running.ssh.key_file
    assert key_file is not None and key_file.stat().st_mode & 0o077 == 0


def test_nothing_listens_beyond_loopback(running: TwinEndpoint) -> None:
    assert listening_addresses(running.pid) == {f"0100007F:{running.ssh.port:04X}"}


def test_the_guest_reaches_nothing(running: TwinEndpoint) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        probe = f"timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.2.2/{port}' 2>/dev/null && echo reached || echo cut off"
        assert ssh(running, probe) == "cut off"


def test_a_pulled_cable_cuts_the_connection(running: TwinEndpoint) -> None:
    twin.set_link(NAME, connected=False)
    assert not speaks_ssh(running.ssh.port)
    twin.set_link(NAME, connected=True)
    end = time.monotonic() + 60
    while not speaks_ssh(running.ssh.port):
        assert time.monotonic() < end, "the link did not come back"


def test_changes_survive_shutdown_and_power_cut_but_not_fresh(running: TwinEndpoint) -> None:
    ssh(running, "echo one > first")
    assert twin.down(NAME)
    with pytest.raises(EmulatorNotRunningError):
        twin.endpoint(NAME)

    again = twin.up(SPEC, name=NAME)
    assert ssh(again, "cat first; echo two > second; sync") == "one"
    twin.kill(NAME)
    assert twin.list_twins() == ()

    recovered = twin.up(SPEC, name=NAME)
    assert ssh(recovered, "cat first second").split() == ["one", "two"]

    other_core = TwinSpec(board="rpi5", cpu="cortex-a76", vcpus=2, memory_mib=1024)
    fresh = twin.up(other_core, name=NAME, fresh=True)
    assert fresh.pid != recovered.pid
    facts = ssh(fresh, "ls; grep -c 'CPU part.*0xd0b' /proc/cpuinfo; awk '/MemTotal/ {print $2}' /proc/meminfo")
    cores, memory_kib = map(int, facts.split())
    assert cores == 2
    assert 900 * 1024 < memory_kib <= 1024 * 1024
    twin.kill(NAME)


def test_instructions_are_counted_not_timed(image: TwinImage) -> None:
    with twin.running(SPEC, name="counted", clock=Clock.INSTRUCTIONS) as endpoint:
        assert (endpoint.vcpus, endpoint.clock) == (1, Clock.INSTRUCTIONS)
        assert ssh(endpoint, "nproc") == "1"
        runs = [ssh(endpoint, "PYTHONHASHSEED=0 python3 -", stdin=COUNT_INSTRUCTIONS).split() for _ in range(2)]
    counts, times_ns = zip(*((int(count), int(time_ns)) for count, time_ns in runs), strict=True)
    assert counts[0] > 1_000_000
    assert counts[1] == pytest.approx(counts[0], rel=INSTRUCTION_TOLERANCE)
    assert times_ns[1] == pytest.approx(times_ns[0], rel=GUEST_TIME_TOLERANCE)
    # One instruction is one nanosecond; the clock also sees the kernel's instructions.
    assert times_ns[0] == pytest.approx(counts[0], rel=0.1)
    with pytest.raises(EmulatorNotRunningError):
        twin.endpoint("counted")


def test_a_broken_initramfs_gives_the_consoles_last_lines(
    image: TwinImage, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "images" / RECIPE.digest()
    broken.mkdir(parents=True)
    for name in ("kernel", "disk.raw"):
        (broken / name).symlink_to(image.kernel.parent / name)
    shutil.copy(image.kernel.parent / "image.json", broken)
    (broken / "initramfs").write_bytes(b"this is no archive..")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(EmulatorBootError, match="Kernel panic") as caught:
        twin.up(SPEC, name="broken")
    # The panic ended QEMU, and that was noticed: nobody waited for the deadline.
    assert "ended while it booted" in caught.value.message
    assert processes_in(state / "emulator" / "broken") == []


def test_an_unknown_core_is_refused_in_qemus_words(image: TwinImage) -> None:
    with pytest.raises(EmulatorBootError, match="cortex-z99"):
        twin.up(TwinSpec(board="b", cpu="cortex-z99", vcpus=1, memory_mib=512), name="unknown")


def test_a_missed_deadline_leaves_nothing_running(image: TwinImage, state: Path) -> None:
    with pytest.raises(EmulatorBootError, match="did not come up within"):
        twin.up(SPEC, name="late", deadline_s=0.3)
    assert processes_in(state / "emulator" / "late") == []
    assert twin.list_twins() == ()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_start_leaves_no_qemu(image: TwinImage, state: Path, signal_number: signal.Signals) -> None:
    name = f"interrupted-{int(signal_number)}"
    process = starting(state, name)
    process.send_signal(signal_number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    directory = state / "emulator" / name
    end = time.monotonic() + 30
    while processes_in(directory):
        assert time.monotonic() < end, "QEMU was left behind"
        time.sleep(0.05)
    assert twin.list_twins() == ()
