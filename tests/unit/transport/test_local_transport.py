"""The local transport, which keeps the same promises as SSH; and the faults injected into it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path, PurePosixPath

import pytest

from edgedeploy.errors import ConnectionLostError, DeadlineError, DiskFullError, RemoteCommandError, TransferError
from edgedeploy.transport.exchange import Deadline, LineRelay, shorten
from edgedeploy.transport.fake import Fault, FaultKind, FaultyTransport
from edgedeploy.transport.local import LocalTransport


@pytest.fixture
def board() -> LocalTransport:
    return LocalTransport()


def test_status_and_outputs(board: LocalTransport) -> None:
    result = board.run("echo out; echo err >&2; exit 7", check=False)
    assert (result.exit_status, result.stdout, result.stderr) == (7, "out\n", "err\n")
    with pytest.raises(RemoteCommandError) as caught:
        board.run("echo why >&2; exit 3")
    assert (caught.value.exit_status, caught.value.stderr) == (3, "why\n")
    assert "why" in caught.value.message
    assert board.run("kill -SEGV $$", check=False).exit_status == 128 + signal.SIGSEGV
    assert board.run("printf '\\377'").stdout == "\ufffd"


@pytest.mark.parametrize("name", ["a b", "it's", "$HOME", "-rf", "semi;colon", "new\nline", "üñí", "*"])
def test_odd_names_survive(board: LocalTransport, tmp_path: Path, name: str) -> None:
    assert board.run(["printf", "%s", name]).stdout == name
    source = tmp_path / "source"
    source.write_bytes(b"content")
    board.put(source, PurePosixPath(tmp_path / name), mode=0o640)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
    board.get(PurePosixPath(tmp_path / name), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"


def test_put_goes_on_where_it_was_cut_off(board: LocalTransport, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"0123456789")
    target.write_bytes(b"0123")
    reports: list[tuple[int, int]] = []
    board.put(
        source,
        PurePosixPath(target),
        mode=0o755,
        offset=4,
        on_bytes=lambda done, total: reports.append((done, total)),
    )
    assert target.read_bytes() == b"0123456789"
    assert target.stat().st_mode & 0o777 == 0o755
    assert (board.traffic.sent_bytes, reports) == (6, [(10, 10)])
    with pytest.raises(TransferError, match="changed meanwhile"):
        board.put(source, PurePosixPath(target), offset=4)


def test_large_streams_both_ways_do_not_block(board: LocalTransport) -> None:
    data = os.urandom(2_000_000).hex().encode()
    result = board.run("tee /dev/stderr", stdin=data)
    assert result.stdout.encode() == data
    assert result.stderr.encode() == data
    traffic = board.traffic
    assert (traffic.round_trips, traffic.sent_bytes, traffic.received_bytes) == (1, len(data), 2 * len(data))


def test_command_that_ignores_its_stdin(board: LocalTransport) -> None:
    assert board.run("exec <&-; echo done", stdin=b"x" * 5_000_000).stdout == "done\n"


def test_deadline_kills_the_whole_group(board: LocalTransport, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(DeadlineError, match=r"no end within 0\.5 s"):
        board.run(f"sleep 300 & echo $! > {pid_file}; wait", deadline_s=0.5)
    pid = int(pid_file.read_text(encoding="ascii"))
    end = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(pid)


def test_deadline_holds_against_endless_output_and_closed_outputs(board: LocalTransport) -> None:
    with pytest.raises(DeadlineError):
        board.run("yes", deadline_s=0.5)
    with pytest.raises(DeadlineError):
        board.run("exec >&- 2>&-; sleep 100", deadline_s=0.5)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_stderr_lines_arrive_whole(board: LocalTransport) -> None:
    lines: list[str] = []
    board.run("printf 'one\\ntw' >&2; printf 'o\\nrest' >&2", on_stderr_line=lines.append)
    assert lines == ["one", "two", "rest"]


def test_line_relay_joins_characters_cut_in_two() -> None:
    lines: list[str] = []
    relay = LineRelay(lines.append)
    for byte in "grün\nblau".encode():
        relay.feed(bytes([byte]))
    relay.finish()
    assert lines == ["grün", "blau"]


def test_put_and_get_failures(board: LocalTransport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    with pytest.raises(DiskFullError):
        board.put(source, PurePosixPath("/dev/full"))
    with pytest.raises(TransferError):
        board.put(source, PurePosixPath(tmp_path / "no/such"))
    with pytest.raises(TransferError, match="cannot read"):
        board.put(tmp_path / "gone", PurePosixPath(tmp_path / "there"))
    kept = tmp_path / "kept"
    kept.write_bytes(b"old")
    with pytest.raises(TransferError):
        board.get(PurePosixPath(tmp_path / "gone"), kept)
    assert kept.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"source", "kept"}


def test_lost_connection_stays_lost(board: LocalTransport, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    before = FaultyTransport(board, Fault(kind=FaultKind.LOST_BEFORE, operation=1))
    before.run(["true"])
    with pytest.raises(ConnectionLostError):
        before.run(["touch", str(witness)])
    assert not witness.exists()
    with pytest.raises(ConnectionLostError):
        before.run(["true"])
    after = FaultyTransport(board, Fault(kind=FaultKind.LOST_AFTER, operation=0))
    with pytest.raises(ConnectionLostError):
        after.run(["touch", str(witness)])
    assert witness.exists()
    with pytest.raises(ConnectionLostError):
        after.get(PurePosixPath(witness), tmp_path / "copy")


def test_deadline_counts_down_and_starts_anew() -> None:
    deadline = Deadline(1000)
    assert 0 < deadline.remaining_s <= 1000
    assert not deadline.passed
    assert Deadline(0).passed


def test_shorten() -> None:
    assert shorten("ls -l") == "ls -l"
    assert shorten("# edgedeploy survey\nset -eu\n") == "# edgedeploy survey ..."
    assert len(shorten("x" * 300)) == 200
