"""QEMU's machine protocol (QMP) over a Unix socket, and the control port that asks the guest to power off.

Source: QEMU, docs/interop/qmp-spec: one JSON document a line; a greeting, then ``qmp_capabilities`` before all else.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND_TIMEOUT_S = 10.0


class MonitorError(Exception):
    """The monitor does not answer, or refuses a command. Callers turn it into an error of the product."""


class Monitor:
    """A connection to one QEMU's monitor.

    Args:
        directory: The twin's directory.
        name: The socket's name in it.
    """

    def __init__(self, directory: Path, name: str, *, timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        try:
            self._socket = connect(directory, name, timeout_s=timeout_s)
        except OSError as error:
            raise MonitorError(f"no connection to {directory / name}: {error}") from None
        self._lines = self._socket.makefile("rb")
        try:
            self._next()
            self.execute("qmp_capabilities")
        except MonitorError:
            self.close()
            raise

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its answer.

        Raises:
            MonitorError: QEMU refused it, ended, or did not answer in time.
        """
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise MonitorError(f"{command}: {error}") from None
        while True:
            answer = self._next()
            if "error" in answer:
                raise MonitorError(f"{command}: {answer['error'].get('desc', answer['error'])}")
            if "return" in answer:
                return answer["return"]

    def forwarded_port(self) -> int:
        """Return the port of 127.0.0.1 that leads to the guest's SSH server."""
        return parse_forwarded_port(str(self.execute("human-monitor-command", command_line="info usernet")))

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
            document = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise MonitorError(str(error)) from None
        if not isinstance(document, dict):
            raise MonitorError("QEMU closed the connection")
        return document


def parse_forwarded_port(text: str) -> int:
    """Return the host port in the answer to ``info usernet``.

    Raises:
        MonitorError: There is no forwarded port in it.
    """
    found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", text)
    if found is None:
        raise MonitorError(f"no forwarded port in {text!r}")
    return int(found.group(1))


def request_poweroff(directory: Path, name: str) -> bool:
    """Ask the guest to shut down; returns whether QEMU took the message. The guest may still be deaf to it."""
    try:
        with connect(directory, name, timeout_s=2.0) as stream:
            stream.sendall(b"poweroff\n")
    except OSError:
        return False
    return True


def connect(directory: Path, name: str, *, timeout_s: float) -> socket.socket:
    """Connect to a socket in a directory whose path may be longer than the 107 bytes a socket's address can hold."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(timeout_s)
    try:
        with _open_directory(directory) as descriptor:
            stream.connect(f"/proc/self/fd/{descriptor}/{name}")
    except OSError:
        stream.close()
        raise
    return stream


@contextmanager
def _open_directory(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
