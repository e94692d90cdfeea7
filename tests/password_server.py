"""An SSH server of this process that takes a password and runs commands: sshd takes only those of system users."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import paramiko

BLOCK_BYTES = 1 << 15


@dataclass
class PasswordDoor(paramiko.ServerInterface):
    """Lets in who knows the password, and runs their commands in ``environment``."""

    password: str
    environment: Mapping[str, str]
    fingerprint: str = ""
    port: int = 0
    logins: int = 0
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        if password != self.password:
            return paramiko.AUTH_FAILED
        self.logins += 1
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            ["sh", "-c", command.decode()],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=dict(self.environment),
            start_new_session=True,
        )
        self._processes.append(process)
        threading.Thread(target=_serve, args=(channel, process), daemon=True).start()
        return True

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def _serve(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin and process.stdout and process.stderr
    threading.Thread(target=_feed, args=(channel, process.stdin), daemon=True).start()
    outputs = [
        threading.Thread(target=_copy, args=(process.stdout, channel.sendall), daemon=True),
        threading.Thread(target=_copy, args=(process.stderr, channel.sendall_stderr), daemon=True),
    ]
    for thread in outputs:
        thread.start()
    for thread in outputs:
        thread.join()
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        channel.send_exit_status(process.wait())
        channel.close()


def _feed(channel: paramiko.Channel, stdin: IO[bytes]) -> None:
    with contextlib.suppress(OSError), stdin:
        while block := channel.recv(BLOCK_BYTES):
            stdin.write(block)
            stdin.flush()


def _copy(source: IO[bytes], send: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException), source:
        while block := os.read(source.fileno(), BLOCK_BYTES):
            send(block)


@contextmanager
def password_door(password: str, environment: Mapping[str, str]) -> Iterator[PasswordDoor]:
    """Serve on the loopback until the block ends."""
    host_key = paramiko.ECDSAKey.generate()
    digest = base64.b64encode(hashlib.sha256(host_key.asbytes()).digest()).decode().rstrip("=")
    sessions: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        door = PasswordDoor(password, environment, fingerprint=f"SHA256:{digest}", port=listener.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    session = paramiko.Transport(listener.accept()[0])
                    sessions.append(session)
                    session.add_server_key(host_key)
                    session.start_server(event=threading.Event(), server=door)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield door
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for session in sessions:
                session.close()
            door.end()
