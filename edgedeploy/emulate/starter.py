"""Boot a machine through its keeper and wait until somebody can log in."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import edgedeploy
from edgedeploy.emulate.commands import tail
from edgedeploy.emulate.keeper import DETACH
from edgedeploy.emulate.machine import CONSOLE_LOG, CONTROL_SOCKET, MONITOR_SOCKET, QEMU_LOG
from edgedeploy.emulate.monitor import Monitor, MonitorError
from edgedeploy.emulate.processes import ProcessIdentity, kill, wait_for_exit
from edgedeploy.emulate.state import STATE_FILE
from edgedeploy.errors import EmulatorBootError
from edgedeploy.progress import Task

POLL_S = 0.1
BANNER_TIMEOUT_S = 2.0
PATIENCE_GROWTH = 1.5
"""A guest on a busy host needs longer for its banner, and each login that is given up costs it a process."""
UP_MARK = b"edgedeploy: board is up"
"""What guest/boot says when the network is there: a connection before that waits for the guest's next look at it."""
START_TIMEOUT_S = 15.0
END_TIMEOUT_S = 30.0
BANNER_PREFIX = b"SSH-2.0-"
CONSOLE_TAIL_LINES = 30
"""Enough for a kernel panic with its call trace."""
BOOT_HINT = "the whole console is in {directory}/console.log; edgedeploy emulator up --fresh starts with a clean disk"


class HeldQemu:
    """A QEMU under a keeper that ends with this object unless it was detached.

    Args:
        directory: The twin's directory: overlay and initramfs are in it, sockets and logs will be.
        command: QEMU's command line.
        lifetime_s: Seconds after which the keeper shuts the twin down, attached or not.
    """

    def __init__(self, directory: Path, command: list[str], *, lifetime_s: float) -> None:
        self._directory = directory
        self.process: ProcessIdentity | None = None
        for name in (CONSOLE_LOG, QEMU_LOG, MONITOR_SOCKET, CONTROL_SOCKET):
            (directory / name).unlink(missing_ok=True)
        self._to_keeper, self._from_keeper = _start_keeper(
            {
                "directory": str(directory),
                "command": command,
                "lifetime_s": lifetime_s,
                "log": QEMU_LOG,
                "state_file": STATE_FILE,
                "monitor_socket": MONITOR_SOCKET,
                "control_socket": CONTROL_SOCKET,
            }
        )

    def wait_until_started(self) -> ProcessIdentity:
        """Return QEMU's process once it runs."""
        line = b""
        end = time.monotonic() + START_TIMEOUT_S
        while not line.endswith(b"\n"):
            if not select.select([self._from_keeper], [], [], max(0.0, end - time.monotonic()))[0]:
                raise self.failure(f"QEMU was not started within {START_TIMEOUT_S:.0f} s")
            data = os.read(self._from_keeper, 4096)
            if not data:
                raise self.failure("QEMU could not be started")
            line += data
        self.process = ProcessIdentity(**json.loads(line))
        return self.process

    def wait_for_login(self, *, deadline_s: float, task: Task) -> int:
        """Return the port of 127.0.0.1 at which the guest's SSH server has introduced itself.

        Raises:
            EmulatorBootError: QEMU ended, or the deadline is over; the message carries the console's last lines.
        """
        begin = time.monotonic()
        port: int | None = None
        patience_s = BANNER_TIMEOUT_S
        while (elapsed_s := time.monotonic() - begin) < deadline_s:
            task.update(elapsed_s, None, tail(self._directory / CONSOLE_LOG, 1))
            if self._ended(POLL_S):
                raise self.failure("the twin ended while it booted")
            if port is None and UP_MARK not in self._console():
                continue
            try:
                port = port or self._port()
            except MonitorError:
                continue
            asked = time.monotonic()
            if speaks_ssh(port, timeout_s=patience_s):
                return port
            if time.monotonic() - asked >= patience_s:
                patience_s *= PATIENCE_GROWTH
        raise self.failure(f"the twin did not come up within {deadline_s:.0f} s")

    def detach(self) -> None:
        """Let the twin live on without its starter.

        Raises:
            EmulatorBootError: It has ended meanwhile.
        """
        with contextlib.suppress(BrokenPipeError):  # the keeper ends with QEMU, which is looked at below
            os.write(self._to_keeper, DETACH)
        # The keeper closes its end when it has understood.
        select.select([self._from_keeper], [], [], START_TIMEOUT_S)
        if self._ended(0.0):
            raise self.failure("the twin ended as soon as it was up")
        self._close()

    def end(self) -> None:
        """End QEMU, if it still runs and was not detached, and wait until it is gone. May be called again."""
        if self._to_keeper < 0:
            return
        os.close(self._to_keeper)
        self._to_keeper = -1
        while select.select([self._from_keeper], [], [], END_TIMEOUT_S)[0] and os.read(self._from_keeper, 4096):
            pass
        if self.process is not None and not wait_for_exit(self.process, 0):
            kill(self.process)
        self._close()

    def failure(self, what: str) -> EmulatorBootError:
        """Return the error for a boot that failed, with the last lines of console and QEMU."""
        parts = [tail(self._directory / QEMU_LOG, 5), tail(self._directory / CONSOLE_LOG, CONSOLE_TAIL_LINES)]
        shown = "\n".join(part for part in parts if part) or "(the console is empty)"
        return EmulatorBootError(f"{what}; its last lines:\n{shown}", hint=BOOT_HINT.format(directory=self._directory))

    def _ended(self, timeout_s: float) -> bool:
        return self.process is None or wait_for_exit(self.process, timeout_s)

    def _console(self) -> bytes:
        try:
            return (self._directory / CONSOLE_LOG).read_bytes()
        except FileNotFoundError:
            return b""

    def _port(self) -> int:
        with Monitor(self._directory, MONITOR_SOCKET, timeout_s=BANNER_TIMEOUT_S) as monitor:
            return monitor.forwarded_port()

    def _close(self) -> None:
        for descriptor in (self._to_keeper, self._from_keeper):
            if descriptor >= 0:
                os.close(descriptor)
        self._to_keeper = self._from_keeper = -1


def speaks_ssh(port: int, timeout_s: float = BANNER_TIMEOUT_S) -> bool:
    """Return whether an SSH server answers at a port of 127.0.0.1.

    A connection alone proves nothing: QEMU accepts it long before the guest listens.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as stream:
            return stream.recv(len(BANNER_PREFIX), socket.MSG_WAITALL) == BANNER_PREFIX
    except OSError:
        return False


def _start_keeper(request: dict[str, Any]) -> tuple[int, int]:
    """Start the keeper process; returns the write end of its stdin and the read end of its stdout."""
    package_parent = str(Path(edgedeploy.__file__).parent.parent)
    search_path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    keeper_input, to_keeper = os.pipe()
    from_keeper, keeper_output = os.pipe()
    try:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "edgedeploy.emulate.keeper"],
            stdin=keeper_input,
            stdout=keeper_output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": search_path},
        )
        os.write(to_keeper, json.dumps(request).encode() + b"\n")
        launcher.wait(START_TIMEOUT_S)
    except BaseException as error:
        os.close(to_keeper)
        os.close(from_keeper)
        if isinstance(error, OSError | subprocess.TimeoutExpired):
            raise EmulatorBootError(
                f"the process that holds QEMU could not be started: {error}", hint="is this machine overloaded?"
            ) from error
        raise
    finally:
        os.close(keeper_input)
        os.close(keeper_output)
    return to_keeper, from_keeper
