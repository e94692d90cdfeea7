"""A real OpenSSH server on the loopback interface, with host and user keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgedeploy.artifacts import SshEndpoint

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PASSPHRASE = "a passphrase of the tests"
KEY_TYPES = ("ed25519", "rsa", "ecdsa")


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


def start_sshd(keys: Path, directory: Path, *, host_keys: tuple[str, ...], port: int, known_hosts: Path) -> Server:
    """Start a server that takes every user key in ``keys``; the caller ends its process."""
    assert SSHD, "these tests need an SSH server: apt-get install openssh-server"
    if os.geteuid() == 0:
        # sshd started by root separates its privileges in this directory, which only its service makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    shutil.copytree(keys, directory)
    users = [directory / f"user_{kind}.pub" for kind in KEY_TYPES] + [directory / "locked.pub"]
    (directory / "authorized_keys").write_bytes(b"".join(file.read_bytes() for file in users))
    # Not the user's own: what their shell reads there takes time, and may wait for what a test has killed.
    home = directory / "home"
    home.mkdir()
    config = directory / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/authorized_keys\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin yes\nPrintMotd no\n"
        f"SetEnv HOME={home}\n" + "".join(f"HostKey {directory}/host_{kind}\n" for kind in host_keys),
        encoding="utf-8",
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-f", str(config), "-D", "-e"], stdin=subprocess.DEVNULL, stderr=log)
    endpoint = SshEndpoint(
        host="127.0.0.1",
        port=port,
        user=getpass.getuser(),
        key_file=directory / "user_ed25519",
        known_hosts=known_hosts,
    )
    return Server(process=process, endpoint=endpoint, directory=directory)
