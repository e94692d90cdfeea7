"""A board made of a temporary directory, a real shell and a runner that is a shell script."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgedeploy.artifacts import (
    BinaryRequirements,
    BoardFacts,
    Bundle,
    BundleFile,
    Clock,
    CpuCore,
    FlashResult,
    Provenance,
    canonical_json,
)
from edgedeploy.deploy.flash import flash
from edgedeploy.deploy.release import RollbackResult, rollback, status
from edgedeploy.files import file_sha256
from edgedeploy.progress import SILENT
from edgedeploy.transport.local import LocalTransport
from edgedeploy.transport.protocol import Transport

APP = "demo-app"

# It passes only when run from a release whose weights are there, as the real one does.
RUNNER = """#!/bin/sh
[ "$1" = selftest ] && [ "$2" = --release ] || exit 2
[ -f "$3/model/model.bin" ] && [ -f "$3/manifest.json" ] || {{ echo "error: no model" >&2; exit 4; }}
{before}
echo '{{"schema":1,"passed":{passed},"outputs":[{{"name":"out0","cosine":{cosine},"max_abs_error":1e-6,\
"sqnr_db":90.0,"passed":{passed}}}],"duration_us":1,"peak_rss_bytes":1}}'
exit {status}
"""


def runner_script(*, passed: bool = True, cosine: float = 0.9999, status: int | None = None, before: str = ":") -> str:
    """Return a stand-in for the on-board program."""
    if status is None:
        status = 0 if passed else 3
    return RUNNER.format(passed=str(passed).lower(), cosine=cosine, status=status, before=before)


def board_facts(**changes: object) -> BoardFacts:
    values: dict[str, object] = {
        "architecture": "aarch64",
        "kernel": "6.1",
        "os_name": "Debian",
        "libc": "glibc 2.36",
        "cores": tuple(
            CpuCore(index=index, implementer="0x41", part="0xd08", features=("fp", "asimd", "aes")) for index in (0, 1)
        ),
        "memory_total_bytes": 1 << 30,
        "memory_available_bytes": 1 << 29,
    }
    return BoardFacts(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class Workbench:
    """The host's side and the board's side of the tests."""

    host: Path
    home: Path
    environment: dict[str, str]

    @property
    def root(self) -> Path:
        return self.home / ".edgedeploy" / APP

    def transport(self) -> LocalTransport:
        return LocalTransport(environment=self.environment)

    def bundle(
        self,
        weights: str = "weights 1",
        *,
        runner: str | None = None,
        extra: dict[str, bytes] | None = None,
        memory_bytes: int = 1000,
        app: str = APP,
    ) -> Bundle:
        """Write files and manifest of a small release; the same arguments give the same release."""
        contents: dict[str, bytes] = {
            "bin/edgedeploy-runner": (runner or runner_script()).encode(),
            "model/model.param": b"7767517\n1 1\n",
            "model/model.bin": weights.encode() * 1000,
            "golden/in0.npy": b"golden input",
            **(extra or {}),
        }
        tag = hashlib.sha256(repr(contents).encode()).hexdigest()[:12]
        files = []
        for path, content in contents.items():
            source = self.host / tag / path
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(content)
            files.append(
                BundleFile(
                    path=PurePosixPath(path),
                    source=source,
                    sha256=file_sha256(source),
                    size_bytes=len(content),
                    mode=0o755 if path.startswith("bin/") else 0o644,
                )
            )
        document = {
            "schema": 1,
            "app": app,
            "versions": {"engine": "1.0", "edgedeploy": "0.1"},
            "files": [
                {"path": str(file.path), "sha256": file.sha256, "size_bytes": file.size_bytes, "mode": f"{file.mode:o}"}
                for file in files
            ],
        }
        manifest = self.host / tag / "manifest.json"
        manifest.write_bytes(canonical_json(document))
        return Bundle(
            app=app,
            board="rk3399",
            digest=file_sha256(manifest),
            manifest=manifest,
            files=tuple(files),
            requirements=BinaryRequirements(architecture="aarch64", isa=("asimd", "fp"), glibc=None),
            memory_bytes=memory_bytes,
        )

    def flash(
        self,
        bundle: Bundle,
        transport: Transport | None = None,
        *,
        keep: int = 3,
        break_lock: bool = False,
        selftest_deadline_s: float = 60,
        directory: str = "~/.edgedeploy",
    ) -> FlashResult:
        return flash(
            transport or self.transport(),
            bundle,
            board_name="rk3399",
            facts=board_facts(),
            provenance=Provenance.QEMU_SYSTEM,
            clock=Clock.REAL,
            progress=SILENT,
            directory=directory,
            keep=keep,
            break_lock=break_lock,
            selftest_deadline_s=selftest_deadline_s,
        )

    def rollback(self, to: str | None = None, *, transport: Transport | None = None) -> RollbackResult:
        return rollback(transport or self.transport(), APP, to=to)

    @property
    def current(self) -> str | None:
        found = status(self.transport(), APP).current
        link = self.root / "current"
        assert found == (link.readlink().name if link.is_symlink() else None)
        return found

    def check_whole(self) -> None:
        """Check what must hold after every command, failed or not, that unlocked the board."""
        assert sorted(path.name for path in self.root.iterdir() if path.name not in ("current", "history.jsonl")) == [
            "releases",
            "store",
        ]
        stored = {path.name: path for path in (self.root / "store").iterdir()}
        linked = set()
        for release in (self.root / "releases").iterdir():
            assert file_sha256(release / "manifest.json") == release.name
            for path in release.rglob("*"):
                assert path.stat().st_mode & 0o022 == 0
                if path.is_file():
                    digest = file_sha256(path)
                    assert stored[digest].samefile(path)
                    linked.add(digest)
        assert set(stored) == linked, "the store holds exactly what the releases use"


def make_workbench(tools: str, directory: Path, *, home: str = "home of board") -> Workbench:
    """Return a workbench on this machine's tools (``system``), or one whose board has only ``busybox``."""
    environment = {"HOME": str(directory / home), "PATH": os.environ["PATH"]}
    (directory / home).mkdir()
    if tools == "busybox":
        busybox = shutil.which("busybox")
        assert busybox, "this test needs busybox: apt-get install busybox"
        applets = directory / "applets"
        applets.mkdir()
        for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            (applets / name).symlink_to(busybox)
        environment["PATH"] = str(applets)
    return Workbench(host=directory / "host", home=directory / home, environment=environment)
