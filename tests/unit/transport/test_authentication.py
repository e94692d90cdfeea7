"""The password, asked for last: against a server in this process, for a real one takes only the system's users."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from edgedeploy.artifacts import SshEndpoint
from edgedeploy.errors import AuthenticationError
from edgedeploy.transport.ssh import connect

PASSWORD = "the right one"


class PasswordServer(paramiko.ServerInterface):
    """Takes one password, by the method given."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.guesses: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return self.method

    def check_auth_password(self, username: str, password: str) -> int:
        return self._judge(password) if self.method == "password" else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> paramiko.InteractiveQuery:
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return self._judge(responses[0])

    def _judge(self, password: str) -> int:
        self.guesses.append(password)
        return paramiko.AUTH_SUCCESSFUL if password == PASSWORD else paramiko.AUTH_FAILED


@pytest.fixture
def serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[PasswordServer, SshEndpoint]]]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    listeners: list[socket.socket] = []
    sessions: list[paramiko.Transport] = []
    host_key = paramiko.ECDSAKey.generate()

    def start(method: str) -> tuple[PasswordServer, SshEndpoint]:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        server = PasswordServer(method)

        def accept() -> None:
            session = paramiko.Transport(listener.accept()[0])
            sessions.append(session)
            session.add_server_key(host_key)
            session.start_server(event=threading.Event(), server=server)

        threading.Thread(target=accept, daemon=True).start()
        port = listener.getsockname()[1]
        return server, SshEndpoint(host="127.0.0.1", port=port, user="edge", known_hosts=tmp_path / "known_hosts")

    yield start
    for session in sessions:
        session.close()
    for listener in listeners:
        listener.close()


Serve = Callable[[str], tuple[PasswordServer, SshEndpoint]]


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_password_is_asked_for_again_after_a_mistake(serve: Serve, method: str) -> None:
    server, endpoint = serve(method)
    answers = iter(["wrong", PASSWORD])
    questions: list[str] = []

    def answer(text: str) -> str:
        questions.append(text)
        return next(answers)

    connect(endpoint, ask=lambda key: True, password_prompt=answer).close()
    assert server.guesses == ["wrong", PASSWORD]
    assert questions == [f"Password for {endpoint}: "] * 2


def test_wrong_passwords_appear_nowhere(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server, endpoint = serve("password")
    caplog.set_level("DEBUG")
    with pytest.raises(AuthenticationError, match="tried: password, password, password") as caught:
        connect(endpoint, ask=lambda key: True, password_prompt=lambda text: "secret guess")
    assert server.guesses == ["secret guess"] * 3
    told = "\n".join([str(caught.value), caught.value.hint, caplog.text, repr(caught.value.__dict__)])
    assert "secret guess" not in told


def test_giving_up_at_the_prompt(serve: Serve) -> None:
    server, endpoint = serve("password")
    with pytest.raises(AuthenticationError, match="the board takes: password"):
        connect(endpoint, ask=lambda key: True, password_prompt=lambda text: "")
    assert server.guesses == []


def test_nobody_to_ask_is_told_how(serve: Serve) -> None:
    _, endpoint = serve("password")
    with pytest.raises(AuthenticationError) as caught:
        connect(endpoint, ask=lambda key: True)
    assert "ssh-copy-id" in caught.value.hint and "in a terminal" in caught.value.hint


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_password_that_is_known_is_tried_before_anybody_is_asked(serve: Serve, method: str) -> None:
    server, endpoint = serve(method)
    with connect(endpoint, ask=lambda key: True, password=PASSWORD):
        assert server.guesses == [PASSWORD]
    server, endpoint = serve(method)
    with connect(endpoint, ask=lambda key: True, password="the lab's", password_prompt=lambda question: PASSWORD):
        assert server.guesses == ["the lab's", PASSWORD]
    server, endpoint = serve(method)
    with pytest.raises(AuthenticationError) as caught:
        connect(endpoint, ask=lambda key: True, password="the lab's")
    assert "the lab's" not in f"{caught.value.message}{caught.value.hint}"
