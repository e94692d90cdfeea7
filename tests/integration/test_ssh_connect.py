"""Connecting to a real OpenSSH server: host keys, logins, hosts that cannot be reached."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_server import PASSPHRASE, Server, free_port

from edgedeploy.artifacts import SshEndpoint
from edgedeploy.errors import AuthenticationError, ChangedHostKeyError, UnknownHostKeyError, UnreachableHostError
from edgedeploy.transport.host_keys import HostKey
from edgedeploy.transport.ssh import SshTransport, connect

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


def test_what_is_offered_is_strong_and_packed(board: SshTransport) -> None:
    options = board._session.get_security_options()
    assert "aes128-ctr" in options.ciphers and not any("cbc" in name for name in options.ciphers)
    assert "hmac-sha2-256" in options.digests and not any("md5" in name or "-96" in name for name in options.digests)
    assert board._session.local_compression == "zlib@openssh.com"


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


@pytest.mark.parametrize("certificate", ["", "ssh-ed25519-cert-v01@openssh.com AAAA", "ssh-ed25519 %%%"])
def test_a_damaged_certificate_beside_a_key_is_passed_over(server: Server, certificate: str) -> None:
    assert server.endpoint.key_file is not None
    server.endpoint.key_file.with_name("user_ed25519-cert.pub").write_text(certificate, encoding="utf-8")
    with connect(server.endpoint, ask=lambda key: True) as transport:
        assert transport.run(["true"]).exit_status == 0


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


@pytest.mark.parametrize("host", ["no-such-board.invalid", "two..dots", "x" * 70])
def test_name_that_does_not_exist(host: str) -> None:
    with pytest.raises(UnreachableHostError, match="cannot be resolved"):
        connect(SshEndpoint(host=host, user="nobody"))


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
