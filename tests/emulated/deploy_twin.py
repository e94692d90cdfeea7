"""A twin for faults: a root process of this twin alone runs errands, for its user may neither mount nor set a clock."""

from __future__ import annotations

import json
import multiprocessing
import random
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploy_workbench import APP, Workbench, runner_script

from edgedeploy import emulate
from edgedeploy.artifacts import Bundle, Clock, FlashResult, Provenance, SshEndpoint, StepRecord, TwinEndpoint
from edgedeploy.boards.probe import probe
from edgedeploy.build.runtime import build_runtime
from edgedeploy.deploy.flash import flash
from edgedeploy.deploy.release import status
from edgedeploy.deploy.stream import NAME as NAME_OF_STREAM
from edgedeploy.emulate import twin
from edgedeploy.emulate.image import ensure_image
from edgedeploy.emulate.initramfs import Entry, archive, twin_archive
from edgedeploy.emulate.machine import TwinSpec, qemu_command
from edgedeploy.errors import EdgedeployError
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.progress import SILENT
from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import Transport
from edgedeploy.transport.ssh import SshTransport, connect

SPEC = TwinSpec(board="rk3399", cpu="cortex-a72", vcpus=1, memory_mib=512)
NAME = "deploy-test"
PATIENCE_S = 300
LARGE_BYTES = 8_000_000

HAND_OVER = "exec /bin/busybox switch_root"
# The disk outlives a reboot, and so does the line.
INSTALL = """
/bin/busybox cp /errands /sysroot/usr/lib/edgedeploy/errands
/bin/busybox grep -q errands /sysroot/etc/inittab ||
    /bin/busybox echo "::respawn:/usr/lib/edgedeploy/errands" >> /sysroot/etc/inittab
"""
ERRANDS = """#!/usr/bin/busybox sh
cd /dev/shm || exit 1
while busybox usleep 500000; do
    for errand in errand-*; do
        [ -e "$errand" ] || continue
        token=${errand#errand-}
        mv "$errand" "running-$token"
        sh "running-$token" > "said-$token" 2>&1
        echo $? > "status-$token"
        mv "status-$token" "done-$token"
    done
done
"""
# A control group with little memory, and in it the process that says that it is starving.
STARVE = """
mkdir -p cgroup
[ -e cgroup/cgroup.procs ] || mount -t cgroup2 none cgroup
echo +memory > cgroup/cgroup.subtree_control
mkdir -p cgroup/small
echo 24M > cgroup/small/memory.max
cat starving > cgroup/small/cgroup.procs
"""
STARVING = (
    "echo $$ > /dev/shm/starving; tries=0; "
    "until [ -e /dev/shm/go ]; do tries=$((tries + 1)); [ $tries -lt 600 ] || exit 9; sleep 0.2; done"
)


def _with_errands(original: Callable[[Mapping[str, bytes]], bytes]) -> Callable[[Mapping[str, bytes]], bytes]:
    """Return a twin_archive whose later archive replaces /init by one that starts the root process."""
    init = (Path(emulate.__file__).parent / "guest" / "initramfs-init").read_text(encoding="utf-8")
    assert HAND_OVER in init
    entries = [
        Entry(path="init", mode=0o755, content=init.replace(HAND_OVER, INSTALL + HAND_OVER).encode()),
        Entry(path="errands", mode=0o755, content=ERRANDS.encode()),
    ]
    return lambda files: original(files) + archive(entries)


@contextmanager
def fault_twin(state: Path) -> Iterator[TwinEndpoint]:
    """Run the twin, with its state in a directory; unlike others it comes up again after a reboot."""
    ensure_image(progress=SILENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(state))
        patch.setattr(twin, "twin_archive", _with_errands(twin_archive))
        patch.setattr(
            twin, "qemu_command", lambda *a, **b: [word for word in qemu_command(*a, **b) if word != "-no-reboot"]
        )
        with twin.running(SPEC, name=NAME) as endpoint:
            yield endpoint


def as_root(transport: Transport, script: str) -> str:
    """Have the twin's root process run a script and return what it says."""
    token = secrets.token_hex(4)
    told = transport.run(
        f"cd /dev/shm; printf '%s\\n' {shlex.quote(script)} > new-{token}; mv new-{token} errand-{token}; "
        f"until [ -e done-{token} ]; do sleep 0.1; done; cat said-{token}; read -r status < done-{token}; "
        f"[ $status -eq 0 ] || {{ cat said-{token} >&2; exit $status; }}",
        deadline_s=PATIENCE_S,
    )
    return told.stdout


def push(
    transport: Transport, bundle: Bundle, *, break_lock: bool = False, selftest_deadline_s: float | None = None
) -> FlashResult:
    return flash(
        transport,
        bundle,
        board_name="rk3399",
        facts=probe(transport),
        provenance=Provenance.QEMU_SYSTEM,
        clock=Clock.REAL,
        progress=SILENT,
        break_lock=break_lock,
        selftest_deadline_s=selftest_deadline_s,
    )


class Meanwhile(FaultyTransport):
    """Something happens before the first file, or once so many bytes of one went out."""

    def __init__(self, inner: Transport, act: Callable[[], object], *, after_bytes: int = 0) -> None:
        super().__init__(inner)
        self._act = act
        self._after_bytes = after_bytes
        self._acted = False

    def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
        self._went_out(0)
        super().put(source, destination, **{**options, "on_bytes": lambda done, _: self._went_out(done)})

    def _went_out(self, done: int) -> None:
        if done >= self._after_bytes and not self._acted:
            self._acted = True
            self._act()


@contextmanager
def another_host(endpoint: SshEndpoint, bundle: Bundle) -> Iterator[BaseProcess]:
    """A process that connects by itself and flashes; it is gone at the end."""
    process = multiprocessing.get_context("spawn").Process(target=_flash_as_another_host, args=(endpoint, bundle))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _flash_as_another_host(endpoint: SshEndpoint, bundle: Bundle) -> None:
    with connect(endpoint, deadline_s=60) as transport:
        push(transport, bundle)


def receiving_runner(transport: Transport) -> str:
    """Return a stand-in for the on-board program that has files unpacked by the real one, which is put on the board."""
    real = build_runtime("aarch64-linux-gnu", progress=SILENT).runner
    transport.put(real, PurePosixPath("receiver"), mode=0o755)
    first, rest = runner_script().split("\n", 1)
    handed = 'case $1 in receive | install | survey | version) exec "$HOME/receiver" "$@" ;; esac'
    return f"{first}\n# {NAME_OF_STREAM.decode()}\n{handed}\n{rest}"


def pushed(result: FlashResult) -> StepRecord:
    return next(step for step in result.steps if step.name == "push")


def stays(bundle: Bundle) -> str:
    """Return the pattern of an error that says that the release is still the active one."""
    return rf"step \w+.*release {bundle.digest[:12]} stays active"


def whole(transport: Transport) -> str:
    """Return the active release as ``status`` tells it; every file of it has its hash, and its self-test passes."""
    found = status(transport, APP)
    assert found.current is not None
    current = f"{found.directory}/current"
    manifest = json.loads(transport.run(["cat", f"{current}/manifest.json"]).stdout)
    sums = {"manifest.json": found.current} | {item["path"]: item["sha256"] for item in manifest["files"]}
    transport.run(
        f"cd '{current}' && sha256sum --quiet -c - && ./bin/edgedeploy-runner selftest --release .",
        stdin="".join(f"{sha256}  {path}\n" for path, sha256 in sums.items()).encode(),
    )
    return found.current


def listing(transport: Transport) -> str:
    return transport.run(f'cd "$HOME/.edgedeploy/{APP}" && find . -path ./history.jsonl -o -print | sort').stdout


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.5)


def starve(transport: Transport) -> None:
    """Wait for a process that says that it is starving, and take its memory away."""
    transport.run("until [ -s /dev/shm/starving ]; do sleep 0.2; done", deadline_s=PATIENCE_S)
    as_root(transport, STARVE)
    transport.run("touch /dev/shm/go")


def fill_disk(transport: Transport, filler: str, *, leave_kib: int) -> None:
    """Take all the space that the user may take but this much, by a file in the home directory."""
    transport.run(
        f"free=$(df -Pk \"$HOME\" | awk 'END {{ print $(NF - 2) }}'); "
        f'fallocate -l "$((free - {leave_kib}))K" "$HOME/{filler}" || '
        f'dd if=/dev/zero of="$HOME/{filler}" bs=1024 count="$((free - {leave_kib}))"',
        deadline_s=300,
    )


def large(files: Workbench, seed: int, *, runner: str | None = None) -> Bundle:
    """Return a release that takes seconds to send."""
    content = random.Random(seed).randbytes(LARGE_BYTES)
    return files.bundle(f"weights {seed}", extra={"large": content}, runner=runner)


def pull() -> None:
    """Pull the twin's cable."""
    twin.set_link(NAME, connected=False)


@contextmanager
def back_again(running: TwinEndpoint) -> Iterator[SshTransport]:
    """Give a connection to a board that is starting."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            transport = connect(running.ssh, deadline_s=10)
            break
        except EdgedeployError:
            assert time.monotonic() < end
            time.sleep(1)
    with transport:
        yield transport
