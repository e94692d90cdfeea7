"""The SSH transport against a real OpenSSH server on the loopback interface, with host and user keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest

from edgedeploy.artifacts import SshEndpoint
from edgedeploy.errors import (
    AuthenticationError,
    ChangedHostKeyError,
    ConnectionLostError,
    DeadlineError,
    DiskFullError,
    RemoteCommandError,
    TransferError,
    UnknownHostKeyError,
    UnreachableHostError,
)
from edgedeploy.transport.host_keys import HostKey
from edgedeploy.transport.ssh import SshTransport, connect

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PASSPHRASE = "a passphrase of the tests"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running sshd and what a client needs for it."""

    process: subprocess.Popen[bytes]
    endpoint: SshEndpoint
    directory: Path

    def fingerprint(self, kind: str = "ed25519") -> str:
        listing = subprocess.run(
            ["ssh-keygen", "-lf", str(self.directory / f"host_{kind}.pub")], capture_output=True, text=True, check=True
        )
        return listing.stdout.split()[1]

    def descendants(self) -> list[int]:
        """Return the processes of all connections; how many serve one depends on the user."""
        found = [self.process.pid]
        for pid in found:
            listing = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            found += [int(child) for child in listing.split()]
        return found[1:]


def make_key(path: Path, kind: str, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ssh-keys")
    for kind in ("ed25519", "rsa", "ecdsa"):
        make_key(directory / f"user_{kind}", kind)
        make_key(directory / f"host_{kind}", kind)
    make_key(directory / "locked", "ed25519", PASSPHRASE)
    make_key(directory / "stranger", "ed25519")
    make_key(directory / "other_host", "ed25519")
    return directory


@pytest.fixture
def start_server(keys: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(*, host_keys: tuple[str, ...] = ("ed25519", "rsa", "ecdsa"), port: int | None = None) -> Server:
        assert SSHD, "these tests need an SSH server: apt-get install openssh-server"
        if os.geteuid() == 0:
            # sshd started by root separates its privileges in this directory, which only its service makes.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        port = port or free_port()
        directory = tmp_path / f"sshd-{len(running)}"
        directory.mkdir()
        for file in keys.iterdir():
            shutil.copy2(file, directory / file.name)
        users = [directory / f"user_{kind}.pub" for kind in ("ed25519", "rsa", "ecdsa")] + [directory / "locked.pub"]
        (directory / "authorized_keys").write_bytes(b"".join(file.read_bytes() for file in users))
        config = directory / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {directory}/authorized_keys\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin yes\nPrintMotd no\n"
            + "".join(f"HostKey {directory}/host_{kind}\n" for kind in host_keys),
            encoding="utf-8",
        )
        process = subprocess.Popen(
            [SSHD, "-f", str(config), "-D", "-e"], stdin=subprocess.DEVNULL, stderr=(directory / "log").open("wb")
        )
        running.append(process)
        wait_for_banner(port, process, directory / "log")
        endpoint = SshEndpoint(
            host="127.0.0.1",
            port=port,
            user=getpass.getuser(),
            key_file=directory / "user_ed25519",
            known_hosts=tmp_path / "known_hosts",
        )
        return Server(process=process, endpoint=endpoint, directory=directory)

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


def wait_for_banner(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
                if sock.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"sshd did not come up:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def board(server: Server) -> Iterator[SshTransport]:
    with connect(server.endpoint, ask=lambda key: True) as transport:
        yield transport


# --- host keys


def test_first_contact_asks_and_remembers(server: Server) -> None:
    asked: list[HostKey] = []

    def accept(key: HostKey) -> bool:
        asked.append(key)
        return True

    with connect(server.endpoint, ask=accept):
        pass
    assert [key.fingerprint for key in asked] == [server.fingerprint()]
    assert asked[0].name == f"[127.0.0.1]:{server.endpoint.port}"
    found = subprocess.run(
        ["ssh-keygen", "-F", asked[0].name, "-f", str(server.endpoint.known_hosts)], capture_output=True, check=False
    )
    assert found.returncode == 0, "OpenSSH itself must find the host in the file"
    with connect(server.endpoint, ask=accept):
        pass
    assert len(asked) == 1


def test_first_contact_declined_or_nobody_to_ask(server: Server) -> None:
    for ask in (None, lambda key: False):
        with pytest.raises(UnknownHostKeyError) as caught:
            connect(server.endpoint, ask=ask)
        assert server.fingerprint() in caught.value.message
        assert f"--host-key-fingerprint {server.fingerprint()}" in caught.value.hint
    assert server.endpoint.known_hosts is not None and not server.endpoint.known_hosts.exists()


def test_fingerprint_decides_without_asking(server: Server) -> None:
    right = replace(server.endpoint, host_key_fingerprint=server.fingerprint())
    wrong = replace(server.endpoint, host_key_fingerprint="SHA256:" + "A" * 43)
    with pytest.raises(UnknownHostKeyError, match="not the expected SHA256:AAAA"):
        connect(wrong, ask=lambda key: pytest.fail("nobody may be asked"))
    with connect(right) as transport:
        assert transport.run(["true"]).exit_status == 0


def test_changed_key_names_both_fingerprints_file_line_and_remedy(start_server: Callable[..., Server]) -> None:
    first = start_server()
    assert first.endpoint.known_hosts
    first.endpoint.known_hosts.write_text("# a comment\n", encoding="utf-8")
    connect(first.endpoint, ask=lambda key: True).close()
    first.process.terminate()
    first.process.wait(10)
    old = first.fingerprint()
    second = start_server(host_keys=("rsa",), port=first.endpoint.port)
    with pytest.raises(ChangedHostKeyError) as caught:
        connect(
            replace(second.endpoint, host_key_fingerprint=second.fingerprint("rsa")),
            ask=lambda key: pytest.fail("asked"),
        )
    message = caught.value.message
    assert old in message and second.fingerprint("rsa") in message
    assert f"{first.endpoint.known_hosts} line 2" in message
    assert f"-R '[127.0.0.1]:{first.endpoint.port}'" in caught.value.hint
    # The remedy must work as printed.
    subprocess.run(caught.value.hint.split("with: ")[1], shell=True, check=True, capture_output=True)
    connect(second.endpoint, ask=lambda key: True).close()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_known_key_type_is_preferred(server: Server, kind: str) -> None:
    public = (server.directory / f"host_{kind}.pub").read_text(encoding="utf-8").split()
    assert server.endpoint.known_hosts
    server.endpoint.known_hosts.write_text(
        f"[127.0.0.1]:{server.endpoint.port} {public[0]} {public[1]}\n", encoding="utf-8"
    )
    with connect(server.endpoint) as transport:
        assert transport.run(["true"]).exit_status == 0


# --- login


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_key_types(server: Server, kind: str) -> None:
    endpoint = replace(server.endpoint, key_file=server.directory / f"user_{kind}")
    with connect(endpoint, ask=lambda key: True) as transport:
        assert transport.run(["id", "-un"]).stdout.strip() == server.endpoint.user


def test_wrong_key_lists_what_was_tried(server: Server) -> None:
    endpoint = replace(server.endpoint, key_file=server.directory / "stranger")
    with pytest.raises(AuthenticationError) as caught:
        connect(endpoint, ask=lambda key: True, password_prompt=lambda text: pytest.fail("no password is taken"))
    assert f"key {endpoint.key_file}" in caught.value.message
    assert "the board takes: publickey" in caught.value.message


def test_locked_key_asks_for_its_passphrase_and_never_shows_it(server: Server) -> None:
    endpoint = replace(server.endpoint, key_file=server.directory / "locked")
    questions: list[str] = []

    def answer(text: str) -> str:
        questions.append(text)
        return PASSPHRASE if len(questions) == 2 else "wrong " + PASSPHRASE

    with connect(endpoint, ask=lambda key: True, password_prompt=answer) as transport:
        assert transport.run(["true"]).exit_status == 0
    assert questions == [f"Passphrase for {endpoint.key_file}: "] * 2
    with pytest.raises(AuthenticationError, match="locked by a passphrase") as caught:
        connect(endpoint, password_prompt=lambda text: "wrong " + PASSPHRASE)
    assert PASSPHRASE not in caught.value.message + caught.value.hint


def test_missing_and_damaged_key_files(server: Server, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match="does not exist"):
        connect(replace(server.endpoint, key_file=tmp_path / "none"), ask=lambda key: True)
    junk = tmp_path / "junk"
    junk.write_text("not a key", encoding="utf-8")
    with pytest.raises(AuthenticationError, match="not readable as"):
        connect(replace(server.endpoint, key_file=junk), ask=lambda key: True)


def test_agent_key_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        end = time.monotonic() + 10
        while not agent.exists() and time.monotonic() < end:
            time.sleep(0.02)
        with pytest.raises(AuthenticationError, match="tried: nothing"):
            connect(replace(server.endpoint, key_file=None), ask=lambda key: True)
        subprocess.run(["ssh-add", "-q", str(server.directory / "user_ed25519")], check=True, capture_output=True)
        with connect(replace(server.endpoint, key_file=None)) as transport:
            assert transport.run(["true"]).exit_status == 0
    finally:
        process.terminate()
        process.wait(10)


# --- reaching the host


def test_refused_port() -> None:
    endpoint = SshEndpoint(host="127.0.0.1", port=free_port(), user="nobody")
    with pytest.raises(UnreachableHostError, match="refuses connections"):
        connect(endpoint)


def test_name_that_does_not_exist() -> None:
    with pytest.raises(UnreachableHostError, match="cannot be resolved"):
        connect(SshEndpoint(host="no-such-board.invalid", user="nobody"))


def test_silent_server_and_other_protocol(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = SshEndpoint(
            host="127.0.0.1", port=listener.getsockname()[1], user="nobody", known_hosts=tmp_path / "known"
        )
        with pytest.raises(UnreachableHostError, match="did not come to terms as an SSH server"):
            connect(endpoint, deadline_s=1)

        def speak_http() -> None:
            for _ in range(2):  # the first connection is the one that was left waiting above
                peer = listener.accept()[0]
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.close()

        thread = threading.Thread(target=speak_http)
        thread.start()
        with pytest.raises(UnreachableHostError, match="did not come to terms as an SSH server"):
            connect(endpoint, deadline_s=10)
        thread.join(10)


# --- commands


def test_status_and_outputs(board: SshTransport) -> None:
    result = board.run("echo out; echo err >&2; exit 7", check=False)
    assert (result.exit_status, result.stdout, result.stderr) == (7, "out\n", "err\n")
    with pytest.raises(RemoteCommandError) as caught:
        board.run("echo why >&2; exit 3")
    assert (caught.value.exit_status, caught.value.stderr) == (3, "why\n")
    assert board.run("kill -SEGV $$", check=False).exit_status == 128 + signal.SIGSEGV


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


def test_stderr_lines_arrive_while_the_command_runs(board: SshTransport) -> None:
    seen: list[tuple[str, float]] = []
    result = board.run(
        "echo one >&2; sleep 1; echo two >&2", on_stderr_line=lambda line: seen.append((line, time.monotonic()))
    )
    assert [line for line, _ in seen] == ["one", "two"]
    assert seen[1][1] - seen[0][1] > 0.5
    assert result.stderr == "one\ntwo\n"


def test_deadline_kills_the_whole_group(board: SshTransport, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 300 & echo $! > {pids}; echo $$ >> {pids}; wait; sleep 300"
    with pytest.raises(DeadlineError, match="no end within 1 s"):
        board.run(script, deadline_s=1)
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
    killer = threading.Timer(0.5, lambda: [os.kill(pid, signal.SIGKILL) for pid in server.descendants()])
    killer.start()
    with pytest.raises(ConnectionLostError, match="was lost"):
        board.run("sleep 30", deadline_s=20)
    killer.join()
    with pytest.raises(ConnectionLostError):
        board.run(["true"])


@pytest.mark.parametrize("running", [True, False])
def test_board_that_freezes_counts_as_lost(
    server: Server, board: SshTransport, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    monkeypatch.setattr("edgedeploy.transport.ssh.KILL_DEADLINE_S", 1.0)
    frozen: list[int] = []

    def freeze(line: str) -> None:
        frozen.extend(server.descendants())
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    try:
        if not running:
            freeze("")
        with pytest.raises(ConnectionLostError, match="does not answer any more" if running else "opened no channel"):
            board.run("echo started >&2; sleep 60", deadline_s=2, on_stderr_line=freeze)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
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
