"""``flash`` on boards that a real labgrid lends: acquired, flashed over SSH, released."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy_workbench import make_workbench
from labgrid_lab import Lab, labgrid_lab
from ssh_fleet import SshFleet, ailing_bundle, use_bundles
from ssh_server import Server

from edgedeploy.errors import BoardsFailedError, LabUnreachableError, PlaceBusyError, SelfTestError, UnknownPlaceError


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


def test_a_place_is_released_on_sigterm(lab: Lab, tmp_path: Path) -> None:
    """The command waits for a board that never answers; a scheduler that ends it must leave nothing acquired."""
    script = (
        "import sys, time\nfrom edgedeploy.cli.places import held_places\nfrom edgedeploy.progress import SILENT\n"
        "with held_places(('door-1',), sys.argv[1], progress=SILENT):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, lab.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert lab.owner("door-1") is not None
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait()
    assert lab.owner("door-1") is None
