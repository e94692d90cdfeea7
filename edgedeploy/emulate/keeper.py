"""The process that holds one QEMU: it outlives the command that started the twin, and QEMU never outlives it.

Its starter talks to it by two pipes. The first line of stdin is the request; after that the keeper waits for the word
``detach``. While that has not come, the end of stdin (the starter ended, however it did) ends QEMU too. Once detached,
the keeper ends QEMU when its lifetime is over. The kernel kills QEMU should the keeper itself be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgedeploy.emulate.processes import identify
from edgedeploy.emulate.shutdown import shut_down

DIE_WITH_KEEPER = ("setpriv", "--pdeathsig", "KILL")
"""Becomes QEMU by exec, which keeps process id and signal. Source: setpriv(1), PR_SET_PDEATHSIG in prctl(2)."""

DETACH = b"detach\n"


def main() -> None:
    """Read the request, leave the starter's process family, keep QEMU."""
    request = json.loads(sys.stdin.buffer.readline())
    # The starter waits for this process only; its child belongs to nobody, so it leaves no zombie behind.
    if os.fork():
        os._exit(0)
    keep(request)


def keep(request: dict[str, Any]) -> None:
    """Run QEMU until it ends, its lifetime is over, or the starter is gone before it detached."""
    directory = Path(request["directory"])
    with (directory / request["log"]).open("wb") as log:
        qemu = subprocess.Popen(
            [*DIE_WITH_KEEPER, *request["command"]],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _watch(qemu, directory, request)
    finally:
        qemu.kill()
        qemu.wait()
        _forget(directory / request["state_file"], qemu.pid)
        for name in (request["monitor_socket"], request["control_socket"]):
            (directory / name).unlink(missing_ok=True)


def _watch(qemu: subprocess.Popen[bytes], directory: Path, request: dict[str, Any]) -> None:
    identity = identify(qemu.pid)
    if identity is None:
        return
    end = time.monotonic() + float(request["lifetime_s"])
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(asdict(identity)).encode() + b"\n")
    qemu_descriptor = os.pidfd_open(qemu.pid)
    attached = True
    while True:
        sources = [qemu_descriptor, 0] if attached else [qemu_descriptor]
        ready = select.select(sources, [], [], max(0.0, end - time.monotonic()))[0]
        if qemu_descriptor in ready:
            return
        if not ready:
            sockets = {key: request[key] for key in ("control_socket", "monitor_socket")}
            shut_down(directory, identity, **sockets)
            return
        if os.read(0, len(DETACH)) != DETACH:
            return
        attached = False
        _leave_pipes()


def _leave_pipes() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _forget(state_file: Path, pid: int) -> None:
    """Remove the twin's state file if it still speaks of this QEMU and not of a later one."""
    try:
        recorded = json.loads(state_file.read_text(encoding="utf-8"))["process"]["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if recorded == pid:
        state_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
