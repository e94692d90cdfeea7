"""A board's password, a lab's or one that is typed: in memory while a command runs, and nowhere else."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from deploy_workbench import APP, Workbench, make_workbench, runner_script
from labgrid_lab import labgrid_lab
from password_server import PasswordDoor, password_door
from ssh_fleet import SshFleet, use_bundles
from terminal import files_with, in_terminal, process_secrets

from edgedeploy.artifacts import Bundle, canonical_json
from edgedeploy.errors import AuthenticationError
from edgedeploy.files import file_sha256

PASSWORD = "correct-horse-7Kq"
RUNS = Path(__file__).parents[1] / "captures" / "runs"
PROJECT = f"""samples = ["sample.png"]
[app]
name = "{APP}"
[model]
source = "model.onnx"
[[model.inputs]]
name = "in0"
shape = [1, 3, 8, 8]
"""
BENCH = """if [ "$1" = bench ]; then
  while [ $# -gt 1 ]; do
    if [ "$1" = --output-dir ]; then out=$2; fi
    shift
  done
  here=$(dirname "$0")/../golden
  cp "$here/out0.npy" "$out/out0.npy"
  sleep 1
  sed "s,@OUT@,$out," "$here/bench.json"
  exit
fi
"""


def measured_bundle(bench: Workbench) -> Bundle:
    """Return a release whose stand-in program answers a benchmark too."""
    document = json.loads((RUNS / "synthetic-hardware-rk3399.json").read_text(encoding="utf-8"))["measurement"]
    document["outputs"] = [{"name": "out0", "shape": [2, 3], "file": "@OUT@/out0.npy"}]
    array = io.BytesIO()
    np.save(array, np.zeros((2, 3), np.float32))
    extra = {"golden/bench.json": json.dumps(document).encode(), "golden/out0.npy": array.getvalue()}
    shebang = "#!/bin/sh\n"
    bundle = bench.bundle(runner=runner_script(before="sleep 1").replace(shebang, shebang + BENCH), extra=extra)
    manifest = json.loads(bundle.manifest.read_text(encoding="utf-8"))
    manifest["golden"] = {"limits": {"cosine": 0.999, "max_abs_error": 0.05}}
    manifest["requirements"] = {"memory_bytes": 1000}
    manifest["versions"]["build_id"] = "none"
    bundle.manifest.write_bytes(canonical_json(manifest))
    return replace(bundle, digest=file_sha256(bundle.manifest))


# The command itself, on a machine whose processor may be no board's.
BENCH_COMMAND = """import sys
from deploy_workbench import board_facts
from edgedeploy.cli import bench_commands
from edgedeploy.cli.main import main
bench_commands.probe = lambda transport: board_facts()
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_directories: Path) -> Workbench:
    """A board on this machine's tools; the host's own home has no key, and an agent is not asked."""
    (tmp_path / "host home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "host home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "edgedeploy.toml").write_text(PROJECT, encoding="utf-8")
    return make_workbench("system", tmp_path)


@pytest.fixture
def door(bench: Workbench) -> Iterator[PasswordDoor]:
    with password_door(PASSWORD, bench.environment) as running:
        yield running


@contextmanager
def watching(seen: list[str]) -> Iterator[None]:
    """Look at this machine's processes again and again; what holds the password is added to ``seen``."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.extend(process_secrets(PASSWORD))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_password_of_a_lab_is_nowhere(
    bench: Workbench,
    door: PasswordDoor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = measured_bundle(bench)
    use_bundles(monkeypatch, bundle)
    fleet = SshFleet(project=tmp_path / "project", boards=tmp_path, bench=bench, login="", capture=capsys)
    service = {"address": "127.0.0.1", "username": "edge", "port": door.port, "password": PASSWORD}
    # The exporter's configuration has to hold it; that is not ours.
    labs = tmp_path.parent / f"{tmp_path.name}-lab"
    labs.mkdir()
    words = ["flash", "--board", "rk3399", "--place", "door", "--project", str(tmp_path / "project")]
    words += ["--host-key-fingerprint", door.fingerprint]
    seen: list[str] = []
    with labgrid_lab(labs, {"one": service}) as lab:
        lab.add_place("door", "lab/one/NetworkService")
        with watching(seen):
            document = fleet.run(*words[1:], "--coordinator", lab.address)
        door.password = "another-one"
        with watching(seen):
            refused = fleet.run(*words[1:], "--coordinator", lab.address, status=AuthenticationError.exit_code)
    assert document["release"] == bundle.digest and door.logins >= 1
    run_file = Path(document["run"])
    assert json.loads(run_file.read_text(encoding="utf-8"))["release"] == bundle.digest
    assert run_file.is_relative_to(tmp_path)
    assert PASSWORD not in json.dumps([document, refused])
    assert seen == []
    # The project with its run, cache, state and configuration, what the host keeps, and the board.
    assert files_with(PASSWORD, tmp_path) == []


def test_a_password_that_is_typed_is_nowhere(bench: Workbench, door: PasswordDoor, tmp_path: Path) -> None:
    bench.flash(measured_bundle(bench))
    words = ["bench", "--board", "rk3399", "--host", f"edge@127.0.0.1:{door.port}", "--runs", "2"]
    words += ["--host-key-fingerprint", door.fingerprint]
    seen: list[str] = []
    status, shown = in_terminal(
        words,
        [("Password for", "wrong-" + PASSWORD[::-1]), ("Password for", PASSWORD)],
        environment={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        directory=tmp_path / "project",
        watch=lambda: seen.extend(process_secrets(PASSWORD)),
        program=("-c", BENCH_COMMAND),
    )
    assert status == 0, shown
    runs = list((tmp_path / "project" / ".edgedeploy" / "runs").rglob("run.json"))
    assert len(runs) == 1 and door.logins == 1
    assert PASSWORD not in shown and PASSWORD[::-1] not in shown
    assert seen == []
    assert files_with(PASSWORD, tmp_path) == files_with(PASSWORD[::-1], tmp_path) == []


def test_the_search_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"login with {PASSWORD}\n", encoding="utf-8")
    assert files_with(PASSWORD, tmp_path) == [tmp_path / "log"]
    seen: list[str] = []
    with watching(seen), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)", PASSWORD]) as process:
        process.wait()
    assert f"/proc/{process.pid}/cmdline" in seen
