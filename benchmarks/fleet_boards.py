"""The boards that ``fleet.py`` flashes: replayed ones, directories behind an OpenSSH server, and twins."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np

from edgedeploy.artifacts import (
    BinaryRequirements,
    BoardFacts,
    Bundle,
    BundleFile,
    CpuCore,
    SshEndpoint,
    canonical_json,
)
from edgedeploy.emulate import twin
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.errors import RemoteCommandError, TransferError
from edgedeploy.files import file_sha256
from edgedeploy.transport import ssh
from edgedeploy.transport.exchange import Counter
from edgedeploy.transport.local import LocalTransport
from edgedeploy.transport.protocol import (
    DEFAULT_DEADLINE_S,
    TRANSFER_STALL_S,
    CommandResult,
    Traffic,
    Transport,
    command_line,
)

APP = "fleet-bench"
TWIN = TwinSpec(board="rk3399", cpu="cortex-a72", vcpus=1, memory_mib=256)
CHUNK_BYTES = 1 << 18
START_S = 30.0
BOOT_S = 600.0

# The release's program is a stand-in: what is measured is the way there, not inference.
RUNNER = """#!/bin/sh
[ -f "$3/model/model.bin" ] || exit 4
echo '{"schema":1,"passed":true,"outputs":[{"name":"out0","cosine":1.0,"max_abs_error":0.0,"sqnr_db":90.0,\
"passed":true}],"duration_us":1,"peak_rss_bytes":1}'
"""

FACTS = BoardFacts(
    architecture="aarch64",
    kernel="6.1",
    os_name="stand-in",
    libc="glibc 2.36",
    cores=(CpuCore(index=0, implementer="0x41", part="0xd08", features=("fp", "asimd")),),
    memory_total_bytes=1 << 30,
    memory_available_bytes=1 << 29,
)


@dataclass(frozen=True, kw_only=True)
class BenchBoard:
    """A board to flash: how to connect to it, where on it, and what it says of itself (None: it is asked)."""

    name: str
    connect: Callable[[], AbstractContextManager[Transport]]
    directory: str
    facts: BoardFacts | None


def make_release(directory: Path, payload_bytes: int) -> Bundle:
    """Write a release whose weights cannot be compressed."""
    weights = np.random.default_rng(7).bytes(payload_bytes)
    contents = {
        "bin/edgedeploy-runner": RUNNER.encode(),
        "model/model.param": b"7767517\n1 1\n",
        "model/model.bin": weights,
        "golden/in0.npy": b"golden",
    }
    files = []
    for path, content in contents.items():
        source = directory / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        mode = 0o755 if path.startswith("bin/") else 0o644
        files.append(
            BundleFile(
                path=PurePosixPath(path),
                source=source,
                sha256=file_sha256(source),
                size_bytes=len(content),
                mode=mode,
            )
        )
    listed = [
        {"path": str(file.path), "sha256": file.sha256, "size_bytes": file.size_bytes, "mode": f"{file.mode:o}"}
        for file in files
    ]
    manifest = directory / "manifest.json"
    manifest.write_bytes(canonical_json({"schema": 1, "app": APP, "versions": {}, "files": listed}))
    return Bundle(
        app=APP,
        board=TWIN.board,
        digest=file_sha256(manifest),
        manifest=manifest,
        files=tuple(files),
        requirements=BinaryRequirements(architecture="aarch64", isa=("asimd",), glibc=None),
        memory_bytes=1000,
    )


class RecordingTransport(LocalTransport):
    """Keeps what the machine answered, in order."""

    def __init__(self, environment: dict[str, str], answers: list[CommandResult]) -> None:
        super().__init__(environment=environment)
        self._answers = answers

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        check: bool = True,
        on_stderr_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        answer = super().run(command, stdin=stdin, deadline_s=deadline_s, check=check, on_stderr_line=on_stderr_line)
        self._answers.append(answer)
        return answer

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        answer = super().stream(command, chunks, stall_s=stall_s)
        self._answers.append(answer)
        return answer


class ReplayTransport:
    """A board that answers what a real flash was answered, after the time that its link takes.

    Args:
        answers: Of the commands of one flash, in order.
        latency_s: Of each round trip.
        bytes_per_s: Of the link.
    """

    def __init__(self, answers: Sequence[CommandResult], *, latency_s: float, bytes_per_s: float) -> None:
        self._answers = iter(answers)
        self._latency_s = latency_s
        self._bytes_per_s = bytes_per_s
        self._counter = Counter()

    @property
    def description(self) -> str:
        return "a replayed board"

    @property
    def traffic(self) -> Traffic:
        return self._counter.snapshot()

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        check: bool = True,
        on_stderr_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Answer with the next recorded result."""
        del deadline_s, on_stderr_line
        self._counter.round_trips += 1
        self._send(len(stdin or b"") + len(command_line(command)))
        answer = next(self._answers)
        self._counter.received_bytes += len(answer.stdout)
        time.sleep(self._latency_s)
        if check and answer.exit_status:
            raise RemoteCommandError(command="replayed", exit_status=answer.exit_status, stderr=answer.stderr)
        return answer

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        """Take what is sent as fast as the link does, then answer with the next recorded result."""
        del stall_s
        self._counter.round_trips += 1
        self._send(len(command_line(command)))
        for chunk in chunks:
            self._send(len(chunk))
        answer = next(self._answers)
        self._counter.received_bytes += len(answer.stdout)
        time.sleep(self._latency_s)
        return answer

    def put(
        self,
        source: Path,
        destination: PurePosixPath,
        *,
        mode: int = 0o644,
        offset: int = 0,
        on_bytes: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read the file as a real transport does, and wait as long as its link needs."""
        del destination, mode
        self._counter.round_trips += 1
        total = source.stat().st_size
        with source.open("rb") as reader:
            reader.seek(offset)
            while chunk := reader.read(CHUNK_BYTES):
                self._send(len(chunk))
                if on_bytes:
                    on_bytes(reader.tell(), total)
        time.sleep(self._latency_s)

    def get(self, source: PurePosixPath, destination: Path) -> None:
        """A flash reads no file of the board, so none was recorded."""
        raise TransferError(f"{source} was not recorded, and cannot go to {destination}", hint="replay a flash")

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, count: int) -> None:
        self._counter.sent_bytes += count
        time.sleep(count / self._bytes_per_s)


@contextmanager
def ssh_server(scratch: Path) -> Iterator[SshEndpoint]:
    """Run an OpenSSH server on loopback, with keys of its own."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("this needs an SSH server: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        key = scratch / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kind, blob = (scratch / "host.pub").read_text(encoding="ascii").split()[:2]
    (scratch / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {blob}\n", encoding="ascii")
    (scratch / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nUsePAM no\nStrictModes no\nMaxStartups 100\n"
        f"AuthorizedKeysFile {scratch}/user.pub\nHostKey {scratch}/host\nPasswordAuthentication no\n",
        encoding="utf-8",
    )
    with (scratch / "sshd.log").open("wb") as log:
        server = subprocess.Popen(
            [program, "-f", str(scratch / "sshd_config"), "-D", "-e"], stdin=subprocess.DEVNULL, stderr=log
        )
    try:
        end_s = time.monotonic() + START_S
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if server.poll() is not None or time.monotonic() > end_s:
                raise SystemExit((scratch / "sshd.log").read_text(encoding="utf-8"))
            time.sleep(0.05)
        yield SshEndpoint(
            host="127.0.0.1",
            port=port,
            user=getpass.getuser(),
            key_file=scratch / "user",
            known_hosts=scratch / "known_hosts",
        )
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def running_twins(count: int, tell: Callable[[str], None]) -> Iterator[tuple[SshEndpoint, ...]]:
    """Run small twins, started one after the other."""
    with ExitStack() as stack:
        endpoints = []
        for number in range(count):
            began_s = time.monotonic()
            endpoint = stack.enter_context(twin.running(TWIN, name=f"fleet-{number}", deadline_s=BOOT_S))
            tell(f"twin {number + 1} of {count} is up after {time.monotonic() - began_s:.1f} s")
            endpoints.append(endpoint.ssh)
        yield tuple(endpoints)


def ssh_boards(
    endpoints: Sequence[SshEndpoint], count: int, base: str, *, facts: BoardFacts | None
) -> tuple[BenchBoard, ...]:
    """Return boards that share the servers, each with a directory of its own below ``base``."""

    def board(number: int) -> BenchBoard:
        endpoint = endpoints[number % len(endpoints)]
        return BenchBoard(
            name=f"board-{number}",
            connect=lambda: ssh.connect(endpoint),
            directory=f"{base}/board-{number}",
            facts=facts,
        )

    return tuple(board(number) for number in range(count))
