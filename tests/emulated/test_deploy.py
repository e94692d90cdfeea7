"""Flash, status and rollback over real SSH on a twin, with real faults: link, disk, memory, clock, reboot, hosts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from deploy_twin import (
    LARGE_BYTES,
    NAME,
    PATIENCE_S,
    STARVING,
    Meanwhile,
    another_host,
    as_root,
    back_again,
    fault_twin,
    fill_disk,
    large,
    listing,
    pull,
    push,
    pushed,
    receiving_runner,
    starve,
    stays,
    wait_for,
    whole,
)
from deploy_workbench import APP, Workbench, runner_script
from relay import relayed

from edgedeploy.artifacts import TwinEndpoint
from edgedeploy.deploy.release import rollback, status
from edgedeploy.emulate import twin
from edgedeploy.errors import (
    BoardBusyError,
    ConnectionFailedError,
    ConnectionLostError,
    DeadlineError,
    DiskFullError,
    EdgedeployError,
    MissingIsaFeatureError,
    RemoteCommandError,
    SelfTestError,
    TransferError,
    UnhealthyError,
    WrongArchitectureError,
)
from edgedeploy.transport import ssh
from edgedeploy.transport.exchange import READ_ONLY_HINT
from edgedeploy.transport.ssh import SshTransport, connect

pytestmark = pytest.mark.emulated

FILLER = ".filler"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinEndpoint]:
    with fault_twin(tmp_path_factory.mktemp("state")) as endpoint:
        yield endpoint


def test_flash_again_change_and_roll_back(board: SshTransport, files: Workbench) -> None:
    first, second = files.bundle("weights 1"), files.bundle("weights 2")
    result = push(board, first)
    assert result.verified and not result.unchanged
    assert next(step for step in result.steps if step.name == "push").bytes == first.size_bytes
    assert result.health is not None and result.health.state == "proven"
    again = push(board, first)
    assert again.unchanged and again.verified
    assert sum(step.round_trips for step in again.steps) == 2
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
    assert found.current == whole(board) == good.digest
    assert (found.history[-1].action, found.history[-1].to) == ("automatic-rollback", good.digest)
    assert [release.digest for release in found.releases] == [good.digest]
    assert push(board, good).unchanged


def test_preflight_against_the_probed_board(board: SshTransport, files: Workbench) -> None:
    bundle = files.bundle()
    wrong = replace(bundle, requirements=replace(bundle.requirements, architecture="x86_64"))
    with pytest.raises(WrongArchitectureError, match="for x86_64, the board is aarch64"):
        push(board, wrong)
    with pytest.raises(MissingIsaFeatureError, match=r"asimddp \(cores 0\)"):
        push(board, replace(bundle, requirements=replace(bundle.requirements, isa=("asimd", "asimddp"))))
    assert board.run('[ -e "$HOME/.edgedeploy" ]', check=False).exit_status != 0


def test_full_disk_is_told_before_anything_is_sent(board: SshTransport, files: Workbench) -> None:
    push(board, files.bundle())
    before = listing(board)
    fill_disk(board, FILLER, leave_kib=600)
    try:
        with pytest.raises(
            DiskFullError, match=r"step preflight.*has 0\.\d MB free, but the release needs 5\.\d MB.*stays active"
        ):
            push(board, files.bundle("weights 2", extra={"large": bytes(5_000_000)}))
        # What the board has already needs no room.
        assert push(board, files.bundle()).unchanged
    finally:
        board.run(f'rm -f "$HOME/{FILLER}"')
    assert listing(board) == before


def test_disk_that_fills_up_during_the_push(board: SshTransport, files: Workbench) -> None:
    """Somebody else takes the space after the preflight."""
    good = files.bundle()
    push(board, good)
    before = listing(board)
    crowded = Meanwhile(board, lambda: fill_disk(board, FILLER, leave_kib=1000))
    try:
        with pytest.raises(DiskFullError, match=stays(good)):
            push(crowded, files.bundle("weights 2", extra={"large": bytes(5_000_000)}))
        assert listing(board) == before.replace(f"./{FILLER}\n", "")
        assert whole(board) == good.digest
    finally:
        board.run(f'rm -f "$HOME/{FILLER}"')


CUT_AFTER_BYTES = 5_000_000
SHORT_PATIENCE_S = 3.0
"""In place of a minute for what does not move, and of 20 s for the board to end it: a test that waits less."""


def test_cable_pulled_for_good(
    running: TwinEndpoint, board: SshTransport, files: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is given up, and the board is as it was."""
    good = files.bundle()
    push(board, good)
    bundle = large(files, 1)

    def lose_patience_and_pull() -> None:
        for patience in ("TRANSFER_STALL_S", "KILL_DEADLINE_S"):
            monkeypatch.setattr(ssh, patience, SHORT_PATIENCE_S)
        pull()

    try:
        with connect(running.ssh, deadline_s=60) as doomed, pytest.raises(ConnectionLostError, match=stays(good)):
            push(Meanwhile(doomed, lose_patience_and_pull), bundle)
    finally:
        twin.set_link(NAME, connected=True)
        monkeypatch.undo()
    with connect(running.ssh, deadline_s=60) as fresh:
        assert whole(fresh) == good.digest


def test_cable_pulled_for_some_seconds(board: SshTransport, files: Workbench) -> None:
    """Shorter than the connection's patience: the flash waits and goes on, and nothing travels twice."""
    bundle = large(files, 2)

    def pull_and_plug_in_again() -> None:
        pull()
        threading.Timer(5, lambda: twin.set_link(NAME, connected=True)).start()

    result = push(Meanwhile(board, pull_and_plug_in_again, after_bytes=CUT_AFTER_BYTES), bundle)
    assert whole(board) == bundle.digest
    assert pushed(result).bytes == bundle.size_bytes


@pytest.mark.parametrize("streamed", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_link_lost_in_the_middle_of_a_file(
    running: TwinEndpoint, board: SshTransport, files: Workbench, tmp_path: Path, streamed: bool
) -> None:
    """Of one that travels by itself, and of one within the stream.

    The board does not notice, so its end of the connection still waits when the next flash comes and resumes.

    Not by the twin's cable: the user network of QEMU 7.2 ends QEMU (soread: buf_len != 0) when the host hangs up while
    more waits for the cable than it buffers.
    """
    runner = receiving_runner(board) if streamed else None
    good, bundle = files.bundle(runner=runner), large(files, 3, runner=runner)
    push(board, good)
    known = tmp_path / "known_hosts"
    assert running.ssh.known_hosts is not None
    host_key = running.ssh.known_hosts.read_text(encoding="ascii").split(" ", 1)[1]
    with relayed(running.ssh.port, cut_after_bytes=CUT_AFTER_BYTES) as port:
        known.write_text(f"[127.0.0.1]:{port} {host_key}", encoding="ascii")
        through = replace(running.ssh, port=port, known_hosts=known)
        with connect(through, deadline_s=60) as doomed, pytest.raises(ConnectionLostError, match=stays(good)):
            push(doomed, bundle)
        found = status(board, APP)
        assert found.current == whole(board) == good.digest
        assert found.unfinished is not None
        assert (found.unfinished.to, found.unfinished.remedy) == (bundle.digest, "undo")
        # The owner of the lock is this very process, and it lives.
        with pytest.raises(BoardBusyError, match=r"for .*, since"):
            push(board, bundle)
        result = push(board, bundle, break_lock=True)
    assert "bytes were there already" in pushed(result).note
    assert (pushed(result).round_trips == 1) == streamed
    assert pushed(result).bytes < bundle.size_bytes - CUT_AFTER_BYTES // 2
    assert whole(board) == bundle.digest


@pytest.mark.parametrize("during_the_push", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_file_system_that_turned_read_only(board: SshTransport, files: Workbench, during_the_push: bool) -> None:
    good, bundle = files.bundle(), files.bundle("weights 2")
    push(board, good)

    def turn_read_only() -> None:
        as_root(board, "mount -o remount,ro /")

    try:
        if not during_the_push:
            turn_read_only()
        with pytest.raises((RemoteCommandError, TransferError), match="Read-only file system") as caught:
            push(Meanwhile(board, turn_read_only), bundle)
        assert caught.value.hint == READ_ONLY_HINT
        assert (f"release {good.digest[:12]} stays active" in caught.value.message) == during_the_push
        found = status(board, APP)
        assert found.current == whole(board) == good.digest
        assert (found.unfinished is not None) == during_the_push
    finally:
        as_root(board, "mount -o remount,rw /")
    push(board, bundle, break_lock=during_the_push)
    assert whole(board) == bundle.digest


def test_memory_that_runs_out_in_the_selftest(board: SshTransport, files: Workbench) -> None:
    """The kernel's own out-of-memory killer, in a group of 24 MB: a whole twin takes minutes to kill anybody."""
    good = files.bundle()
    push(board, good)
    before = listing(board)
    hungry = runner_script(before=f"{STARVING}; exec tail /dev/zero")
    starver = threading.Thread(target=starve, args=(board,))
    starver.start()
    try:
        with pytest.raises(SelfTestError, match=r"status 137, killed, probably for lack of memory.*stays active"):
            push(board, files.bundle("weights 2", runner=hungry))
    finally:
        starver.join(PATIENCE_S)
        board.run("rm -f /dev/shm/go /dev/shm/starving")
    assert "oom_kill 1" in as_root(board, "cat cgroup/small/memory.events").splitlines()
    assert listing(board) == before and whole(board) == good.digest
    assert push(board, good).unchanged


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        pytest.param({"before": "exec sleep 600"}, DeadlineError, "10 s.*stays active", id="hang"),
        pytest.param(
            {"health": "kill -SEGV $$"},
            UnhealthyError,
            "ended with status 139.*is active again",
            id="crash-once-active",
        ),
        pytest.param(
            {"before": "kill -SEGV $$"},
            SelfTestError,
            "status 139, segmentation fault.*stays active",
            id="crash",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            {"health": "exec sleep 600"},
            UnhealthyError,
            r"more than \d+ s, or the memory ran out.*is active again",
            id="hang-once-active",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_runner_that_crashes_or_hangs(
    board: SshTransport, files: Workbench, fault: dict[str, str], error: type[EdgedeployError], told: str
) -> None:
    """In the self-test nothing has been switched; in the health gate the board goes back. Nothing runs on."""
    good = files.bundle()
    push(board, good)
    before = listing(board)
    with pytest.raises(error, match=told):
        push(board, files.bundle("weights 2", runner=runner_script(**fault)), selftest_deadline_s=10)
    assert listing(board) == before
    assert whole(board) == good.digest
    programs = board.run("ps -eo args").stdout
    assert "sshd" in programs and "sleep 600" not in programs
    assert push(board, good).unchanged


def test_board_that_is_rebooted_meanwhile(running: TwinEndpoint, board: SshTransport, files: Workbench) -> None:
    """In the middle of a file; the next flash takes the lock of the former boot and goes on where it was cut off."""
    good, bundle = files.bundle(), large(files, 4)
    push(board, good)
    boot = board.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout

    def reboot() -> None:
        as_root(board, "busybox reboot")
        with suppress(ConnectionFailedError):
            board.run("sleep 60")

    with connect(running.ssh, deadline_s=60) as doomed, pytest.raises(ConnectionFailedError, match=stays(good)):
        push(Meanwhile(doomed, reboot, after_bytes=CUT_AFTER_BYTES), bundle)
    with back_again(running) as fresh:
        assert fresh.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout != boot
        found = status(fresh, APP)
        assert found.current == whole(fresh) == good.digest
        assert found.unfinished is not None
        assert (found.unfinished.to, found.unfinished.remedy, found.unfinished.holder) == (bundle.digest, "undo", None)
        result = push(fresh, bundle)
        assert "bytes were there already" in pushed(result).note
        assert whole(fresh) == bundle.digest


def test_two_hosts_at_once_and_a_clock_that_jumps(running: TwinEndpoint, board: SshTransport, files: Workbench) -> None:
    """The second is told who is there and how long; where it takes the lock over, the first changes nothing more."""
    waiting = runner_script(before='until [ -e "$HOME/go" ]; do sleep 0.2; done')
    first, second = files.bundle("weights 1", runner=waiting), files.bundle("weights 2")
    as_root(board, "date -s '2031-01-01 00:00:00'")
    try:
        with another_host(running.ssh, first) as host:
            wait_for(lambda: status(board, APP).unfinished is not None)
            as_root(board, "date -s '1970-01-02 00:00:00'")
            with pytest.raises(BoardBusyError, match=rf"\(process {host.pid}\), for \d+ (s|min), since 20") as caught:
                push(board, second)
            assert "--break-lock" in caught.value.hint
            assert push(board, second, break_lock=True).verified
            board.run('touch "$HOME/go"')
            host.join(PATIENCE_S)
            assert host.exitcode == 1
        found = status(board, APP)
        assert (found.current, found.unfinished) == (whole(board), None) == (second.digest, None)
        third = files.bundle("weights 3")
        push(board, third)
        as_root(board, "date -s '2026-01-01 00:00:00'")
        assert [item.time[:4] for item in status(board, APP).history] == ["1970", "1970"]
        assert rollback(board, APP).release == second.digest
        assert [item.time[:4] for item in status(board, APP).history] == ["1970", "1970", "2026"]
    finally:
        as_root(board, f"date -s @{int(time.time())}")
        board.run('rm -f "$HOME/go"')


def test_host_process_that_is_killed(running: TwinEndpoint, board: SshTransport, files: Workbench) -> None:
    """Its lock is nobody's, which needs no question, and what it sent is not sent again."""
    good, bundle = files.bundle(), large(files, 5)
    push(board, good)
    with another_host(running.ssh, bundle) as host:
        board.run(
            f'cd "$HOME/.edgedeploy/{APP}/store"; '
            f'until [ "$(cat .incoming-* 2>/dev/null | wc -c)" -gt {LARGE_BYTES // 8} ]; do sleep 0.2; done',
            deadline_s=PATIENCE_S,
        )
        host.kill()
        host.join()
        assert whole(board) == good.digest
    result = push(board, bundle)
    assert "bytes were there already" in pushed(result).note
    assert pushed(result).bytes < bundle.size_bytes - LARGE_BYTES // 8
    assert whole(board) == bundle.digest
