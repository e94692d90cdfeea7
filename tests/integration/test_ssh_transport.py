"""Commands and files over a real OpenSSH server on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest
from ssh_server import Server

from edgedeploy.errors import ConnectionLostError, DeadlineError, DiskFullError, RemoteCommandError, TransferError
from edgedeploy.transport.ssh import SshTransport

# --- commands


def test_status_and_outputs(board: SshTransport) -> None:
    result = board.run("echo out; echo err >&2; exit 7", check=False)
    assert (result.exit_status, result.stdout, result.stderr) == (7, "out\n", "err\n")
    with pytest.raises(RemoteCommandError) as caught:
        board.run("echo why >&2; exit 3")
    assert (caught.value.exit_status, caught.value.stderr) == (3, "why\n")
    assert board.run("sh -c 'kill -SEGV $$'", check=False).exit_status == 128 + signal.SIGSEGV


def test_commands_share_a_shell_and_nothing_else(board: SshTransport) -> None:
    first = board.run(
        'echo $PPID; cd /; umask 077; word=left; trap "echo late" EXIT; set -eu; export word; exit 4', check=False
    )
    second = board.run('echo $PPID; pwd; umask; echo ${word-gone}; false; echo "$?"', stdin=b"")
    assert (first.exit_status, first.stdout.splitlines()[1:]) == (4, ["late"])
    assert second.stdout.splitlines()[0] == first.stdout.splitlines()[0], "one login, one shell"
    assert second.stdout.splitlines()[1] != "/"
    assert second.stdout.splitlines()[2:] == ["0022", "gone", "1"]


def test_command_that_ends_its_shell_is_followed_by_another(board: SshTransport) -> None:
    """A syntax error ends a subshell alone; a signal to the group ends all of it."""
    assert board.run("if then", check=False).exit_status == 2
    with pytest.raises(ConnectionLostError, match="was lost while it ran"):
        board.run("kill -KILL $$")
    assert board.run("echo back").stdout == "back\n"


@pytest.mark.parametrize(
    "stdin", [b"", b"a line\n", b"$HOME `date` \\ '\"\n" * 3, b"no end of line", b"\0\n", b"x\n" * 40_000]
)
def test_stdin_arrives_as_it_is(board: SshTransport, stdin: bytes) -> None:
    before = board.traffic.sent_bytes
    assert board.run("cat; echo end >&2", stdin=stdin).stdout.encode() == stdin
    assert board.traffic.sent_bytes - before == len(stdin)
    assert board.run("cat", stdin=None).stdout == ""


def test_output_that_looks_like_the_end_of_one(board: SshTransport) -> None:
    text = "edgedeploy-0123456789abcdef 0\nedgedeploy-"
    assert board.run(["printf", "%s", text]).stdout == text


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "hi"', "$HOME", "-rf", "semi;colon", "new\nline", "üñí", "*", "\\"]
)
def test_odd_names_survive(board: SshTransport, tmp_path: Path, name: str) -> None:
    assert board.run(["printf", "%s", name]).stdout == name
    source = tmp_path / "source"
    source.write_bytes(b"content")
    target = tmp_path / "target" / name
    target.parent.mkdir()
    board.put(source, PurePosixPath(target), mode=0o640)
    assert target.read_bytes() == b"content"
    assert target.stat().st_mode & 0o777 == 0o640
    board.get(PurePosixPath(target), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"


def test_large_streams_both_ways_do_not_block(board: SshTransport) -> None:
    before = board.traffic
    data = os.urandom(3_000_000).hex().encode()
    result = board.run("tee /dev/stderr", stdin=data, deadline_s=120)
    assert result.stdout.encode() == data
    assert result.stderr.encode() == data
    after = board.traffic
    assert after.round_trips - before.round_trips == 1
    assert after.sent_bytes - before.sent_bytes == len(data)
    assert after.received_bytes - before.received_bytes == 2 * len(data)


def test_command_that_ignores_its_stdin(board: SshTransport) -> None:
    result = board.run("exec <&-; echo done", stdin=b"x" * 5_000_000, deadline_s=60)
    assert result.stdout == "done\n"


def test_stderr_lines_arrive_while_the_command_runs(board: SshTransport, tmp_path: Path) -> None:
    """The command goes on only once its first line was seen here."""
    seen: list[str] = []

    def take(line: str) -> None:
        seen.append(line)
        (tmp_path / "seen").touch()

    script = f"echo one >&2; while [ ! -e {tmp_path}/seen ]; do sleep 0.1; done; echo two >&2"
    result = board.run(script, on_stderr_line=take)
    assert seen == ["one", "two"]
    assert result.stderr == "one\ntwo\n"


def test_deadline_kills_the_whole_group(board: SshTransport, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 300 & echo $! > {pids}; echo $$ >> {pids}; wait; sleep 300"
    with pytest.raises(DeadlineError, match="no end within 4 s"):
        board.run(script, deadline_s=4)
    end = time.monotonic() + 10
    remaining = [int(text) for text in pids.read_text(encoding="ascii").split()]
    while any(is_running(pid) for pid in remaining) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in remaining)
    assert board.run(["echo", "still here"]).stdout == "still here\n"


def test_deadline_holds_against_endless_output(board: SshTransport) -> None:
    with pytest.raises(DeadlineError):
        board.run("yes", deadline_s=1)
    assert board.run(["true"]).exit_status == 0


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_connection_lost_while_a_command_runs(server: Server, board: SshTransport) -> None:
    killer = threading.Timer(0.5, lambda: signal_all(server.descendants(), signal.SIGKILL))
    killer.start()
    with pytest.raises(ConnectionLostError, match="was lost"):
        board.run("sleep 30", deadline_s=20)
    killer.join()
    with pytest.raises(ConnectionLostError):
        board.run(["true"])


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes of the server's; one that was ending as it was listed is gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize("running", [True, False])
def test_board_that_freezes_counts_as_lost(
    server: Server, board: SshTransport, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    monkeypatch.setattr("edgedeploy.transport.ssh.KILL_DEADLINE_S", 1.0)
    frozen: list[int] = []

    def freeze(line: str) -> None:
        frozen.extend(server.descendants())
        signal_all(frozen, signal.SIGSTOP)

    try:
        if not running:
            freeze("")
        with pytest.raises(ConnectionLostError, match="does not answer any more" if running else "opened no channel"):
            board.run("echo started >&2; sleep 60", deadline_s=2, on_stderr_line=freeze)
    finally:
        signal_all(frozen, signal.SIGCONT)
    with pytest.raises(ConnectionLostError):
        board.run(["true"])


# --- files


def test_put_and_get_large_file_with_progress_and_counts(board: SshTransport, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(5_000_001))
    before = board.traffic
    steps: list[tuple[int, int]] = []
    board.put(
        source, PurePosixPath(tmp_path / "there"), mode=0o755, on_bytes=lambda done, total: steps.append((done, total))
    )
    assert (tmp_path / "there").read_bytes() == source.read_bytes()
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o755
    assert steps[-1] == (5_000_001, 5_000_001) and steps == sorted(steps)
    middle = board.traffic
    assert (middle.round_trips - before.round_trips, middle.sent_bytes - before.sent_bytes) == (1, 5_000_001)
    board.get(PurePosixPath(tmp_path / "there"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert board.traffic.received_bytes - middle.received_bytes == 5_000_001


def test_put_empty_file(board: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    board.put(tmp_path / "empty", PurePosixPath(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == b""


def test_put_goes_on_where_it_was_cut_off(board: SshTransport, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "it's here"
    content = os.urandom(300_000)
    source.write_bytes(content)
    target.write_bytes(content[:100_001])
    reports: list[tuple[int, int]] = []
    before = board.traffic.sent_bytes
    board.put(
        source,
        PurePosixPath(target),
        mode=0o755,
        offset=100_001,
        on_bytes=lambda done, total: reports.append((done, total)),
    )
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o755
    assert board.traffic.sent_bytes - before == 199_999
    assert reports[-1] == (300_000, 300_000)
    board.put(source, PurePosixPath(target), offset=300_000)
    assert target.read_bytes() == content
    with pytest.raises(TransferError, match="changed meanwhile"):
        board.put(source, PurePosixPath(target), offset=7)
    assert target.read_bytes() == content


def test_put_failures(board: SshTransport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 1_000_000)
    with pytest.raises(DiskFullError, match="/dev/full"):
        board.put(source, PurePosixPath("/dev/full"))
    with pytest.raises(TransferError, match="no/such"):
        board.put(source, PurePosixPath(tmp_path / "no/such/file"))
    with pytest.raises(TransferError, match="cannot read"):
        board.put(tmp_path / "gone", PurePosixPath(tmp_path / "there"))


def test_get_failure_leaves_the_destination_alone(board: SshTransport, tmp_path: Path) -> None:
    destination = tmp_path / "kept"
    destination.write_bytes(b"old")
    with pytest.raises(TransferError, match="missing-file"):
        board.get(PurePosixPath(tmp_path / "missing-file"), destination)
    assert destination.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []
