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
from edgedeploy.healthfile import NO_BUDGET, Budget, parse_health
from edgedeploy.progress import SILENT, Progress
from edgedeploy.transport.local import LocalTransport
from edgedeploy.transport.protocol import Transport

APP = "demo-app"

# It passes only when run from a release whose weights are there, as the real one does. The health gate's budgets are
# judged by awk, with times and memory that the test chose.
RUNNER = """#!/bin/sh
[ "$1" = selftest ] || [ "$1" = health ] || exit 2
[ "$2" = --release ] || exit 2
[ -f "$3/model/model.bin" ] && [ -f "$3/manifest.json" ] || {{ echo "error: no model" >&2; exit 4; }}
output='{{"name":"out0","cosine":{cosine},"max_abs_error":1e-6,"sqnr_db":90.0,"passed":{passed}}}'
if [ "$1" = selftest ]; then
  {before}
  echo '{{"schema":1,"passed":{passed},"outputs":['"$output"'],"duration_us":1,"peak_rss_bytes":1}}'
  exit {status}
fi
{health}
runs=0 latency_budget=null memory_budget=null latency=null reason=''
while [ $# -gt 3 ]; do
  case $4 in --runs) runs=$5 ;; --latency-ms) latency_budget=$5 ;; --memory-mb) memory_budget=$5 ;; esac
  shift 2
done
over() {{ [ "$2" != null ] && awk "BEGIN {{ exit !($1 > $2) }}"; }}
if [ "$runs" -gt 0 ]; then
  fits=true
  if over {latency_ms} "$latency_budget"; then
    fits=false reason="latency {latency_ms} ms, over the budget of $latency_budget ms"
  fi
  latency='{{"median_us":{latency_ms}e3,"min_us":1.0,"max_us":9.0,"runs":'$runs',"warmup":3,"threads":2,'
  latency=$latency'"budget_ms":'$latency_budget',"passed":'$fits'}}'
fi
fits=true
if over {memory_mb} "$memory_budget"; then
  fits=false reason="${{reason:+$reason; }}memory {memory_mb} MB, over the budget of $memory_budget MB"
fi
passed=true status=0
if [ -n "$reason" ]; then passed=false status=10; fi
if [ {health_cosine} != 1.0 ]; then passed=false status=3 reason="outputs are beyond the limits"; fi
golden=true
if [ "$status" -eq 3 ]; then golden=false; fi
output='{{"name":"out0","cosine":{health_cosine},"max_abs_error":1e-6,"sqnr_db":90.0,"passed":'$golden'}}'
echo '{{"schema":1,"passed":'$passed',"reason":"'$reason'","golden":{{"passed":'$golden',"outputs":['"$output"']}},\
"latency":'"$latency"',"memory":{{"peak_rss_bytes":{memory_mb}000000,"budget_mb":'$memory_budget',"passed":'$fits'}},\
"duration_us":1}}'
if [ "$status" -ne 0 ]; then echo "error: $reason" >&2; fi
exit $status
"""


def runner_script(
    *,
    passed: bool = True,
    cosine: float = 0.9999,
    status: int | None = None,
    before: str = ":",
    health: str = ":",
    health_cosine: float = 1.0,
    latency_ms: int = 12,
    memory_mb: int = 80,
) -> str:
    """Return a stand-in for the on-board program.

    Args:
        passed, cosine, status: Of its self-test.
        before: Shell commands that precede the self-test's answer.
        health: The same for the health gate's.
        health_cosine: Other than 1.0 fails the gate.
        latency_ms, memory_mb: What the gate measures.
    """
    if status is None:
        status = 0 if passed else 3
    return RUNNER.format(
        passed=str(passed).lower(),
        cosine=cosine,
        status=status,
        before=before,
        health=health,
        health_cosine=health_cosine,
        latency_ms=latency_ms,
        memory_mb=memory_mb,
    )


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
        hardware: bool = False,
        budget: Budget = NO_BUDGET,
        threads: int | None = None,
        trial: bool = False,
        progress: Progress = SILENT,
    ) -> FlashResult:
        return flash(
            transport or self.transport(),
            bundle,
            board_name="rk3399",
            facts=board_facts(),
            provenance=Provenance.HARDWARE if hardware else Provenance.QEMU_SYSTEM,
            clock=None if hardware else Clock.REAL,
            progress=progress,
            directory=directory,
            keep=keep,
            break_lock=break_lock,
            selftest_deadline_s=selftest_deadline_s,
            budget=budget,
            threads=threads,
            trial=trial,
        )

    def rollback(
        self,
        to: str | None = None,
        *,
        transport: Transport | None = None,
        hardware: bool = False,
        budget: Budget = NO_BUDGET,
    ) -> RollbackResult:
        clock = None if hardware else Clock.REAL
        return rollback(transport or self.transport(), APP, to=to, clock=clock, budget=budget)

    @property
    def current(self) -> str | None:
        found = status(self.transport(), APP).current
        link = self.root / "current"
        assert found == (link.readlink().name if link.is_symlink() else None)
        return found

    def take_away(self, tool: str, directory: Path) -> None:
        """Leave the board all programs but one, by links to them in a new directory."""
        directory.mkdir()
        for folder in reversed(self.environment["PATH"].split(":")):
            for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
                if program.name != tool:
                    (directory / program.name).unlink(missing_ok=True)
                    (directory / program.name).symlink_to(program)
        self.environment["PATH"] = str(directory)

    def replace_program(self, name: str, body: str) -> None:
        """Have the board find a shell script of this name first; ``$real`` is the program itself."""
        real = shutil.which(name, path=self.environment["PATH"])
        directory = self.host / "programs" / name
        directory.mkdir(parents=True)
        (directory / name).write_text(f"#!/bin/sh\nreal={real}\n{body}\n", encoding="utf-8")
        (directory / name).chmod(0o755)
        self.environment["PATH"] = f"{directory}:{self.environment['PATH']}"

    def check_whole(self) -> None:
        """Check what must hold after every command, failed or not, that unlocked the board."""
        assert sorted(path.name for path in self.root.iterdir() if path.name not in ("current", "history.jsonl")) == [
            "health",
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
        for note in (self.root / "health").iterdir():
            assert (self.root / "releases" / note.name).is_dir()
            health = parse_health(note.read_text(encoding="utf-8"))
            assert health is not None and health.release == note.name


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
