"""``flash`` on boards that a real labgrid lends: acquired, flashed over SSH, released."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deploy_workbench import make_workbench
from labgrid_lab import Lab, labgrid_lab
from ssh_fleet import SshFleet, ailing_bundle, use_bundles
from ssh_server import Server

from edgedeploy.cli.places import held_places
from edgedeploy.errors import BoardsFailedError, LabUnreachableError, PlaceBusyError, SelfTestError, UnknownPlaceError
from edgedeploy.progress import SILENT


@pytest.fixture
def lab(server: Server, tmp_path: Path) -> Iterator[Lab]:
    """A lab whose places ``door-1`` and ``door-2`` are the OpenSSH server."""
    service = {"address": "127.0.0.1", "username": server.endpoint.user, "port": server.endpoint.port}
    (tmp_path / "lab").mkdir()
    with labgrid_lab(tmp_path / "lab", {"one": service, "two": service}) as running:
        running.add_place("door-1", "lab/one/NetworkService")
        running.add_place("door-2", "lab/two/NetworkService")
        yield running


@pytest.fixture
def fleet(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_directories: Path,
) -> SshFleet:
    bench = make_workbench("system", tmp_path)
    monkeypatch.setenv("HOME", str(bench.home))
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    login = f'place = "door-{{name}}"\nkey_file = "{server.endpoint.key_file}"\nhost_key = "{server.fingerprint()}"\n'
    (tmp_path / "project").mkdir()
    return SshFleet(project=tmp_path / "project", boards=tmp_path / "boards", bench=bench, login=login, capture=capsys)


def test_a_place_is_acquired_flashed_and_released(
    fleet: SshFleet, lab: Lab, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.write("1")
    directory = fleet.boards / "1" / ".edgedeploy"
    seen = fleet.boards / "owner"
    # While the self-test runs, a program of the board's asks the coordinator.
    asking = f"from labgrid_lab import owner_at; print(owner_at('{lab.address}', 'door-1'))"
    ask = f'PYTHONPATH={Path(__file__).parents[1]} {sys.executable} -c "{asking}" > {seen} 2>&1'
    bundle = ailing_bundle(fleet.bench, "weights 1", before=ask)
    use_bundles(monkeypatch, bundle)
    words = ["--board", "rk3399", "--place", "door-1", "--directory", str(directory), "--no-bench"]
    words += ["--key", str(server.endpoint.key_file), "--host-key-fingerprint", server.fingerprint()]
    document = fleet.run(*words, "--coordinator", lab.address)
    assert document["release"] == bundle.digest
    assert "/" in seen.read_text(encoding="utf-8"), "it was acquired while the board was flashed"
    assert lab.owner("door-1") is None
    assert fleet.active("1") == bundle.digest
    fleet.break_board("1")
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 2"))
    monkeypatch.setenv("LG_COORDINATOR", lab.address)
    fleet.run(*words, status=SelfTestError.exit_code)
    assert lab.owner("door-1") is None, "it is released where the flash fails"
    lab.client("-p", "door-1", "acquire", user="ana")
    error = fleet.run(*words, status=PlaceBusyError.exit_code)["error"]
    assert "/ana" in error["message"]
    assert str(lab.owner("door-1")).endswith("/ana")
    words[words.index("door-1")] = "door-9"
    assert "door-1" in fleet.run(*words, status=UnknownPlaceError.exit_code)["error"]["hint"]


def test_a_fleet_of_places(fleet: SshFleet, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("12", head=f'[labgrid]\ncoordinator = "{lab.address}"\n')
    fleet.break_board("2")
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    document = fleet.flash(status=BoardsFailedError.exit_code)
    assert [(item["status"], item["where"]) for item in document["boards"]] == [
        ("flashed", "place door-1"),
        ("failed", "place door-2"),
    ]
    assert (lab.owner("door-1"), lab.owner("door-2")) == (None, None)
    lab.client("-p", "door-2", "acquire", user="ana")
    fleet.flash(status=PlaceBusyError.exit_code)
    assert lab.owner("door-1") is None, "what was acquired before the busy one is released"


def test_no_coordinator(fleet: SshFleet) -> None:
    error = fleet.run(
        "--board", "rk3399", "--place", "x", "--coordinator", "127.0.0.1:1", status=LabUnreachableError.exit_code
    )["error"]
    assert "127.0.0.1:1" in error["message"]


HOLD = (
    "import sys, time\nfrom edgedeploy.cli.places import held_places\nfrom edgedeploy.progress import SILENT\n"
    "with held_places(('door-1',), sys.argv[1], progress=SILENT):\n"
    "    print('held', flush=True)\n    time.sleep(60)\n"
)


DIE = (
    "import os\nfrom edgedeploy.lab.coordinator import Coordinator\nacquire = Coordinator._acquire\n"
    "def acquire_and_die(self, name):\n    acquire(self, name)\n    os.kill(os.getpid(), 9)\n"
    "Coordinator._acquire = acquire_and_die\n"
) + HOLD


@contextmanager
def holding(lab: Lab) -> Iterator[subprocess.Popen[bytes]]:
    """A command that holds ``door-1`` and waits for a board that never answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lab.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert lab.owner("door-1") is not None
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_place_is_released_on_sigterm(lab: Lab, own_directories: Path) -> None:
    """A scheduler that ends a command must leave nothing acquired."""
    with holding(lab) as process:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert lab.owner("door-1") is None


def test_a_place_of_a_killed_command_is_released_by_the_next(lab: Lab, own_directories: Path) -> None:
    """Whatever place that asks for; a living command's place, and one acquired anew since, stay as they are."""

    def use(place: str) -> None:
        with held_places((place,), lab.address, progress=SILENT):
            pass

    with holding(lab):
        use("door-2")
        assert lab.owner("door-1") is not None, "it lives"
    assert lab.owner("door-1") is not None, "nobody could release it"
    use("door-2")
    assert lab.owner("door-1") is None
    with holding(lab):
        pass
    use("door-1")
    assert lab.owner("door-1") is None, "asked for itself, it is acquired anew and released"
    with holding(lab):
        pass
    lab.client("-p", "door-1", "release")
    lab.client("-p", "door-1", "acquire")
    use("door-2")
    assert lab.owner("door-1") is not None, "a person acquired it since"


def test_a_place_of_a_command_that_was_killed_while_it_acquired_it(lab: Lab, own_directories: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DIE, lab.address], env=environment, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    assert lab.owner("door-1") is not None
    with held_places(("door-2",), lab.address, progress=SILENT):
        assert lab.owner("door-1") is None
