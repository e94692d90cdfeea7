"""The three that bring the same files to the same twin: edgedeploy, ``rsync -az``, ``scp``."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from edgedeploy.artifacts import Bundle, Clock, Provenance, SshEndpoint
from edgedeploy.boards.probe import probe
from edgedeploy.deploy.flash import flash
from edgedeploy.emulate.image import unpack_packages
from edgedeploy.files import exclusive
from edgedeploy.paths import cache_dir
from edgedeploy.progress import SILENT
from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import CommandResult, Transport, command_line
from edgedeploy.transport.ssh import connect
from flash_speeds.counting import Link
from flash_speeds.processor import processor_seconds

CONNECT_DEADLINE_S = 120.0
RSYNC_LIBRARIES = re.compile(r"lib(acl|attr|lz4|popt|xxhash|zstd)\.so\.\d+")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What bringing a release took.

    Args:
        seconds, bytes, processor_seconds: From connecting until every file is there; of edgedeploy verified and synced,
            and without its probe of the board.
        probed_seconds: The same with the probe.
        whole_seconds, whole_bytes: With all else that the tool does: of edgedeploy probe, self-test, activation.
        round_trips, steps: Of edgedeploy's flash, all of it; seconds of each step.
    """

    seconds: float
    bytes: int
    processor_seconds: float
    probed_seconds: float
    whole_seconds: float
    whole_bytes: int
    round_trips: int | None = None
    steps: dict[str, float] | None = None


class _Watched(FaultyTransport):
    """Notes when the self-test starts: all files are there then."""

    def __init__(self, inner: Transport, link: Link, twin_pid: int) -> None:
        super().__init__(inner)
        self._link = link
        self._twin_pid = twin_pid
        self.there: tuple[float, int, float] | None = None

    def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
        """Run a command; see the protocol."""
        if self.there is None and "selftest" in command_line(command):
            self.there = (time.monotonic(), self._link.bytes, processor_seconds(self._twin_pid))
        return super().run(command, **options)


def by_edgedeploy(bundle: Bundle, endpoint: SshEndpoint, link: Link, twin_pid: int) -> Measured:
    """Connect, probe, flash."""
    begin, counted, used = time.monotonic(), link.bytes, processor_seconds(twin_pid)
    with connect(endpoint, deadline_s=CONNECT_DEADLINE_S) as transport:
        connected, connected_bytes, connected_used = time.monotonic(), link.bytes, processor_seconds(twin_pid)
        facts = probe(transport)
        probed, probed_bytes, probed_used = time.monotonic(), link.bytes, processor_seconds(twin_pid)
        watched = _Watched(transport, link, twin_pid)
        result = flash(
            watched,
            bundle,
            board_name=bundle.board,
            facts=facts,
            provenance=Provenance.QEMU_SYSTEM,
            clock=Clock.REAL,
            progress=SILENT,
        )
    assert watched.there is not None
    return Measured(
        seconds=connected - begin + watched.there[0] - probed,
        bytes=connected_bytes - counted + watched.there[1] - probed_bytes,
        processor_seconds=connected_used - used + watched.there[2] - probed_used,
        probed_seconds=watched.there[0] - begin,
        whole_seconds=time.monotonic() - begin,
        whole_bytes=link.bytes - counted,
        round_trips=sum(step.round_trips for step in result.steps),
        steps={"connect": connected - begin, "probe": probed - connected}
        | {step.name: step.seconds for step in result.steps},
    )


@dataclass(frozen=True, kw_only=True)
class Programs:
    """``rsync`` and ``scp`` of this machine, over OpenSSH as its users run it, less their own configuration."""

    endpoint: SshEndpoint
    link: Link
    twin_pid: int
    rsync_path: str = field(default="rsync")

    def rsync(self, release: Path) -> Measured:
        """Mirror a directory onto ``by-rsync``."""
        remote = f"{self.endpoint.user}@{self.endpoint.host}:by-rsync/"
        shell = " ".join(["ssh", "-p", str(self.endpoint.port), *self._options()])
        options = ["-az", "--delete", f"--rsync-path={self.rsync_path}", "-e", shell]
        return self._run(["rsync", *options, f"{release}/", remote])

    def scp(self, release: Path) -> Measured:
        """Copy a directory's content to ``by-scp``."""
        remote = f"{self.endpoint.user}@{self.endpoint.host}:by-scp/"
        files = sorted(str(path) for path in release.iterdir())
        return self._run(["scp", "-rpq", "-P", str(self.endpoint.port), *self._options(), *files, remote])

    def _options(self) -> list[str]:
        names = {
            "UserKnownHostsFile": self.endpoint.known_hosts,
            "IdentityFile": self.endpoint.key_file,
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
        }
        return ["-F", "none", *(word for name, value in names.items() for word in ("-o", f"{name}={value}"))]

    def _run(self, command: list[str]) -> Measured:
        begin, counted, used = time.monotonic(), self.link.bytes, processor_seconds(self.twin_pid)
        subprocess.run(command, check=True)
        seconds, count = time.monotonic() - begin, self.link.bytes - counted
        used = processor_seconds(self.twin_pid) - used
        return Measured(
            seconds=seconds,
            bytes=count,
            processor_seconds=used,
            probed_seconds=seconds,
            whole_seconds=seconds,
            whole_bytes=count,
        )


def through(endpoint: SshEndpoint, link: Link, directory: Path) -> SshEndpoint:
    """Return the endpoint as it is reached through a link; its host key is known under the link's port."""
    assert endpoint.known_hosts is not None
    key = endpoint.known_hosts.read_text(encoding="ascii").split(" ", 1)[1]
    known = directory / "known_hosts"
    known.write_text(f"[127.0.0.1]:{link.port} {key}", encoding="ascii")
    return replace(endpoint, port=link.port, known_hosts=known)


def install_rsync(transport: Transport) -> str:
    """Put Debian's rsync for arm64 and its libraries on the twin; return the command that starts it."""
    home = PurePosixPath(transport.run('mkdir -p "$HOME/.rsync" && cd "$HOME/.rsync" && pwd').stdout.strip())
    with tarfile.open(_rsync_packages()) as packages, tempfile.TemporaryDirectory() as scratch:
        for member in packages.getmembers():
            name = PurePosixPath(member.name).name
            wanted = member.name.endswith("/usr/bin/rsync") or RSYNC_LIBRARIES.fullmatch(name)
            content = packages.extractfile(member) if wanted else None
            if content is not None:
                local = Path(scratch) / name
                local.write_bytes(content.read())
                transport.put(local, home / name, mode=0o755)
    start = f'#!/bin/sh\nexec env LD_LIBRARY_PATH={home} {home}/rsync "$@"\n'
    transport.run(f"cat > {home}/start && chmod 755 {home}/start", stdin=start.encode())
    transport.run(f"{home}/start --version")
    return f"{home}/start"


def _rsync_packages() -> Path:
    target = cache_dir() / "benchmarks" / "rsync-arm64.tar"
    with exclusive(target.with_suffix(".lock"), deadline_s=1800):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as name:
                made = Path(name) / target.name
                unpack_packages("bookworm", ("rsync",), made, scratch=Path(name), title="rsync", progress=SILENT)
                made.rename(target)
    return target
