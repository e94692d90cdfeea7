"""Flash, status and rollback over real SSH on a twin, its disk really filled and its link really cut."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploy_workbench import APP, Workbench, runner_script
from relay import relayed

from edgedeploy import emulate
from edgedeploy.artifacts import Bundle, Clock, FlashResult, Provenance, StepRecord, TwinEndpoint
from edgedeploy.boards.probe import probe
from edgedeploy.deploy.flash import flash
from edgedeploy.deploy.release import rollback, status
from edgedeploy.emulate import twin
from edgedeploy.emulate.image import ensure_image
from edgedeploy.emulate.initramfs import Entry, archive, twin_archive
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.errors import (
    BoardBusyError,
    ConnectionFailedError,
    ConnectionLostError,
    DiskFullError,
    EdgedeployError,
    MissingIsaFeatureError,
    RemoteCommandError,
    SelfTestError,
    TransferError,
    WrongArchitectureError,
)
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.progress import SILENT
from edgedeploy.transport import ssh
from edgedeploy.transport.exchange import READ_ONLY_HINT
from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import Transport
from edgedeploy.transport.ssh import SshTransport, connect

pytestmark = pytest.mark.emulated

SPEC = TwinSpec(board="rk3399", cpu="cortex-a72", vcpus=1, memory_mib=512)
NAME = "deploy-test"
FILLER = ".filler"
PATIENCE_S = 120


READ_ONLY_SWITCH = "/dev/shm/read-only"
HAND_OVER = "exec /bin/busybox switch_root"
# The user may not mount: a root process of this twin alone makes its disk read-only while the switch is there.
WATCHER = (
    f"cd /dev/shm; while sleep 1; do if [ -e {READ_ONLY_SWITCH} ]; then mount -o remount,ro / && touch done; "
    "elif [ -e done ]; then mount -o remount,rw / && rm done; fi; done"
)


def switchable_init(original: Callable[[Mapping[str, bytes]], bytes]) -> Callable[[Mapping[str, bytes]], bytes]:
    """Return a twin_archive whose later archive replaces /init by one that starts the watcher."""
    init = (Path(emulate.__file__).parent / "guest" / "initramfs-init").read_text(encoding="utf-8")
    assert HAND_OVER in init
    line = f"/bin/busybox echo \"::respawn:/usr/bin/busybox sh -c '{WATCHER}'\" >> /sysroot/etc/inittab"
    entry = Entry(path="init", mode=0o755, content=init.replace(HAND_OVER, f"{line}\n{HAND_OVER}").encode())
    return lambda files: original(files) + archive([entry])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinEndpoint]:
    ensure_image(progress=SILENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(tmp_path_factory.mktemp("state")))
        patch.setattr(twin, "twin_archive", switchable_init(twin_archive))
        with twin.running(SPEC, name=NAME) as endpoint:
            yield endpoint


@pytest.fixture
def board(running: TwinEndpoint) -> Iterator[SshTransport]:
    """A connection to the twin with nothing of the app on it. Its host key is known, so nobody has to be asked."""
    with connect(running.ssh, deadline_s=60) as transport:
        transport.run('rm -rf "$HOME/.edgedeploy"')
        yield transport


@pytest.fixture
def files(tmp_path: Path) -> Workbench:
    """For its bundles only: the board is the twin."""
    return Workbench(host=tmp_path, home=tmp_path, environment={})


def push(transport: Transport, bundle: Bundle, *, break_lock: bool = False) -> FlashResult:
    return flash(
        transport,
        bundle,
        board_name="rk3399",
        facts=probe(transport),
        provenance=Provenance.QEMU_SYSTEM,
        clock=Clock.REAL,
        progress=SILENT,
        break_lock=break_lock,
    )


def listing(transport: Transport) -> str:
    return transport.run(f'cd "$HOME/.edgedeploy/{APP}" && find . -path ./history.jsonl -o -print | sort').stdout


def test_flash_again_change_and_roll_back(board: SshTransport, files: Workbench) -> None:
    first, second = files.bundle("weights 1"), files.bundle("weights 2")
    result = push(board, first)
    assert result.verified and not result.unchanged
    assert next(step for step in result.steps if step.name == "push").bytes == first.size_bytes
    assert result.health is not None and result.health.state == "proven"
    again = push(board, first)
    assert again.unchanged and again.verified
    assert sum(step.round_trips for step in again.steps) <= 3
    changed = push(board, second)
    assert next(step for step in changed.steps if step.name == "push").round_trips == 2
    found = status(board, APP)
    assert (found.current, len(found.releases)) == (second.digest, 2)
    assert found.directory.endswith(f"/.edgedeploy/{APP}") and found.directory.startswith("/")
    assert rollback(board, APP).release == first.digest
    assert status(board, APP).current == first.digest


def test_failing_selftest_leaves_the_old_release(board: SshTransport, files: Workbench) -> None:
    push(board, files.bundle())
    before = listing(board)
    with pytest.raises(SelfTestError, match="stays active"):
        push(board, files.bundle("weights 2", runner=runner_script(passed=False, cosine=0.1)))
    assert listing(board) == before


def test_a_host_that_is_gone_before_the_verdict(running: TwinEndpoint, board: SshTransport, files: Workbench) -> None:
    """The board goes back by itself, with its end of the connection closed."""
    good = files.bundle()
    bad = files.bundle("weights 2", runner=runner_script(health='until [ -e "$HOME/go" ]; do sleep 0.2; done; exit 8'))
    push(board, good)
    caught: list[EdgedeployError] = []
    doomed = connect(running.ssh, deadline_s=60)

    def flash_until_the_connection_ends() -> None:
        with pytest.raises(EdgedeployError) as error:
            push(doomed, bad)
        caught.append(error.value)

    thread = threading.Thread(target=flash_until_the_connection_ends)
    thread.start()
    try:
        wait_for(lambda: status(board, APP).current == bad.digest)
        doomed.close()
        thread.join(PATIENCE_S)
        assert isinstance(caught[0], ConnectionFailedError)
        assert status(board, APP).current == bad.digest, "nobody has judged it yet"
    finally:
        board.run('touch "$HOME/go"')
    wait_for(lambda: status(board, APP).unfinished is None)
    board.run('rm "$HOME/go"')
    found = status(board, APP)
    assert found.current == good.digest
    assert (found.history[-1].action, found.history[-1].to) == ("automatic-rollback", good.digest)
    assert [release.digest for release in found.releases] == [good.digest]
    assert push(board, good).unchanged


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_preflight_against_the_probed_board(board: SshTransport, files: Workbench) -> None:
    bundle = files.bundle()
    wrong = replace(bundle, requirements=replace(bundle.requirements, architecture="x86_64"))
    with pytest.raises(WrongArchitectureError, match="for x86_64, the board is aarch64"):
        push(board, wrong)
    with pytest.raises(MissingIsaFeatureError, match=r"asimddp \(cores 0\)"):
        push(board, replace(bundle, requirements=replace(bundle.requirements, isa=("asimd", "asimddp"))))
    assert board.run('[ -e "$HOME/.edgedeploy" ]', check=False).exit_status != 0


def fill_disk(transport: Transport, leave_kib: int) -> None:
    """Take all the space that the user may take but this much."""
    transport.run(
        f"free=$(df -Pk \"$HOME\" | awk 'END {{ print $(NF - 2) }}'); "
        f'fallocate -l "$((free - {leave_kib}))K" "$HOME/{FILLER}" || '
        f'dd if=/dev/zero of="$HOME/{FILLER}" bs=1024 count="$((free - {leave_kib}))"',
        deadline_s=300,
    )


def test_full_disk_is_told_before_anything_is_sent(board: SshTransport, files: Workbench) -> None:
    push(board, files.bundle())
    before = listing(board)
    fill_disk(board, leave_kib=600)
    try:
        with pytest.raises(DiskFullError, match=r"step preflight.*has 0\.\d MB free, but the release needs 5\.\d MB"):
            push(board, files.bundle("weights 2", extra={"large": bytes(5_000_000)}))
        # What the board has already needs no room.
        assert push(board, files.bundle()).unchanged
    finally:
        board.run(f'rm -f "$HOME/{FILLER}"')
    assert listing(board) == before


def test_disk_that_fills_up_during_the_push(board: SshTransport, files: Workbench) -> None:
    class OtherWriter(FaultyTransport):
        """Somebody else takes the space after the preflight."""

        def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
            if not self.puts:
                fill_disk(board, leave_kib=1000)
            super().put(source, destination, **options)

    good = files.bundle()
    push(board, good)
    before = listing(board)
    try:
        with pytest.raises(DiskFullError, match="step push"):
            push(OtherWriter(board), files.bundle("weights 2", extra={"large": bytes(5_000_000)}))
        assert listing(board) == before.replace(f"./{FILLER}\n", "")
        assert status(board, APP).current == good.digest
    finally:
        board.run(f'rm -f "$HOME/{FILLER}"')


LARGE_BYTES = 8_000_000
CUT_AFTER_BYTES = 5_000_000
SHORT_PATIENCE_MS = 6_000
"""In place of half a minute: the same option of the socket, and a test that waits less."""


class Pulled(FaultyTransport):
    """The cable is pulled before the first file, or once so many bytes of one went out."""

    def __init__(self, inner: Transport, *, after_bytes: int = 0, then: Callable[[], None] = lambda: None) -> None:
        super().__init__(inner)
        self._after_bytes = after_bytes
        self._then = then
        self._pulled = False

    def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
        self._pull(0)
        super().put(source, destination, **{**options, "on_bytes": lambda done, _: self._pull(done)})

    def _pull(self, done: int) -> None:
        if done >= self._after_bytes and not self._pulled:
            self._pulled = True
            twin.set_link(NAME, connected=False)
            self._then()


def pushed(result: FlashResult) -> StepRecord:
    return next(step for step in result.steps if step.name == "push")


def large(files: Workbench, seed: int) -> Bundle:
    return files.bundle(f"weights {seed}", extra={"large": random.Random(seed).randbytes(LARGE_BYTES)})


def test_cable_pulled_for_good(
    running: TwinEndpoint, board: SshTransport, files: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is given up, and the board is as it was."""
    good = files.bundle()
    push(board, good)
    monkeypatch.setattr(ssh, "UNANSWERED_MS", SHORT_PATIENCE_MS)
    try:
        with connect(running.ssh, deadline_s=60) as doomed, pytest.raises(ConnectionLostError, match="step push"):
            push(Pulled(doomed), large(files, 1))
    finally:
        twin.set_link(NAME, connected=True)
        monkeypatch.undo()
    with connect(running.ssh, deadline_s=60) as fresh:
        assert status(fresh, APP).current == good.digest


def test_cable_pulled_for_some_seconds(board: SshTransport, files: Workbench) -> None:
    """Shorter than the connection's patience: the flash waits and goes on, and nothing travels twice."""
    bundle = large(files, 2)

    def plug_in_again() -> None:
        threading.Timer(5, lambda: twin.set_link(NAME, connected=True)).start()

    result = push(Pulled(board, after_bytes=CUT_AFTER_BYTES, then=plug_in_again), bundle)
    assert result.verified
    assert pushed(result).bytes == bundle.size_bytes


def test_link_lost_in_the_middle_of_a_file(
    running: TwinEndpoint, board: SshTransport, files: Workbench, tmp_path: Path
) -> None:
    """The board does not notice, so its end of the connection still waits when the next flash comes and resumes.

    Not by the twin's cable: the user network of QEMU 7.2 ends QEMU (soread: buf_len != 0) when the host hangs up while
    more waits for the cable than it buffers.
    """
    good, bundle = files.bundle(), large(files, 3)
    push(board, good)
    known = tmp_path / "known_hosts"
    assert running.ssh.known_hosts is not None
    host_key = running.ssh.known_hosts.read_text(encoding="ascii").split(" ", 1)[1]
    with relayed(running.ssh.port, cut_after_bytes=CUT_AFTER_BYTES) as port:
        known.write_text(f"[127.0.0.1]:{port} {host_key}", encoding="ascii")
        through = replace(running.ssh, port=port, known_hosts=known)
        with connect(through, deadline_s=60) as doomed, pytest.raises(ConnectionLostError, match="step push"):
            push(doomed, bundle)
        found = status(board, APP)
        assert found.current == good.digest
        assert found.unfinished is not None
        assert (found.unfinished.to, found.unfinished.remedy) == (bundle.digest, "undo")
        # The owner of the lock is this very process, and it lives.
        with pytest.raises(BoardBusyError, match=r"for .*, since"):
            push(board, bundle)
        result = push(board, bundle, break_lock=True)
    assert "bytes were there already" in pushed(result).note
    assert pushed(result).bytes < bundle.size_bytes - CUT_AFTER_BYTES // 2
    assert status(board, APP).current == bundle.digest


def test_memory_that_runs_out_in_the_selftest(board: SshTransport, files: Workbench) -> None:
    """An allocation that fails for want of address space; a whole twin out of memory takes minutes to kill anybody."""
    good = files.bundle()
    push(board, good)
    before = listing(board)
    starved = "ulimit -v 30000; tail /dev/zero || { echo 'error: allocation failed' >&2; exit 7; }"
    with pytest.raises(SelfTestError, match="status 7, out of memory: error: allocation failed"):
        push(board, files.bundle("weights 2", runner=runner_script(before=starved)))
    assert listing(board) == before
    assert push(board, good).unchanged


@pytest.mark.parametrize("during_the_push", [False, True])
def test_file_system_that_turned_read_only(board: SshTransport, files: Workbench, during_the_push: bool) -> None:
    good, bundle = files.bundle(), files.bundle("weights 2")
    push(board, good)

    def turn_read_only() -> None:
        board.run(f'touch {READ_ONLY_SWITCH}; while [ -w "$HOME" ]; do sleep 0.2; done')

    class Turning(FaultyTransport):
        def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
            turn_read_only()
            super().put(source, destination, **options)

    try:
        if not during_the_push:
            turn_read_only()
        with pytest.raises((RemoteCommandError, TransferError), match="Read-only file system") as caught:
            push(Turning(board), bundle)
        assert caught.value.hint == READ_ONLY_HINT
        found = status(board, APP)
        assert found.current == good.digest
        assert (found.unfinished is not None) == during_the_push
    finally:
        board.run(f'rm -f {READ_ONLY_SWITCH}; until [ -w "$HOME" ]; do sleep 0.2; done')
    assert push(board, bundle, break_lock=during_the_push).verified
