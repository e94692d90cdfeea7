"""Places of a real labgrid coordinator with a real exporter, on loopback."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from labgrid_lab import Lab, labgrid_lab

from edgedeploy.errors import (
    LabUnreachableError,
    MissingToolError,
    PlaceBusyError,
    PlaceResourceError,
    UnknownPlaceError,
)
from edgedeploy.lab import coordinator as lab_coordinator
from edgedeploy.lab.coordinator import Coordinator
from edgedeploy.lab.resources import NetworkService
from edgedeploy.progress import SILENT

SERVICE = {"address": "192.0.2.7", "username": "rock", "port": 2222, "password": "rockchip"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    services = {"one": SERVICE, "two": {"address": "192.0.2.8", "username": "pi"}}
    with labgrid_lab(tmp_path_factory.mktemp("lab"), services) as running:
        running.add_place("door-1", "lab/one/NetworkService")
        running.add_place("both", "lab/*/NetworkService")
        running.add_place("empty", "lab/none/NetworkService")
        yield running


@pytest.fixture(autouse=True)
def state(own_directories: Path) -> Path:
    return own_directories


@pytest.fixture
def session(lab: Lab) -> Iterator[Coordinator]:
    with Coordinator(lab.address) as found:
        yield found


def test_a_place_is_ours_during_the_block_and_nobodys_after(lab: Lab, session: Coordinator) -> None:
    with session.place("door-1", progress=SILENT) as lease:
        assert lab.owner("door-1") == session.identity
        assert lease.service == NetworkService(address="192.0.2.7", port=2222, user="rock", password="rockchip")
        assert "rockchip" not in repr(lease)
    assert lab.owner("door-1") is None


def test_a_place_is_released_where_the_block_fails(lab: Lab, session: Coordinator) -> None:
    with pytest.raises(KeyboardInterrupt), session.place("door-1", progress=SILENT):
        raise KeyboardInterrupt
    assert lab.owner("door-1") is None


def test_two_threads_hold_two_places(lab: Lab, session: Coordinator) -> None:
    lab.add_place("door-2", "lab/two/NetworkService")
    together, ports = threading.Barrier(2, timeout=30), []

    def hold(name: str) -> None:
        with session.place(name, progress=SILENT) as lease:
            together.wait()
            ports.append(lease.service.port)

    threads = [threading.Thread(target=hold, args=(name,)) for name in ("door-1", "door-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ports) == [22, 2222]
    assert (lab.owner("door-1"), lab.owner("door-2")) == (None, None)


def test_the_owner_of_a_held_place_is_named_and_keeps_it(lab: Lab, session: Coordinator) -> None:
    lab.client("-p", "door-1", "acquire", user="ana")
    try:
        with pytest.raises(PlaceBusyError, match=r"door-1 is held by .*/ana"), session.place("door-1", progress=SILENT):
            pass
        assert str(lab.owner("door-1")).endswith("/ana")
    finally:
        lab.client("-p", "door-1", "release", user="ana")


def test_a_place_that_we_held_before_stays_ours(lab: Lab, session: Coordinator) -> None:
    lab.client("-p", "door-1", "acquire")
    try:
        with session.place("door-1", progress=SILENT) as lease:
            assert lease.ours_before
        assert lab.owner("door-1") == session.identity
    finally:
        lab.client("-p", "door-1", "release")


def test_a_place_that_another_command_of_ours_holds_is_busy(lab: Lab, session: Coordinator) -> None:
    """It would be released under our feet."""
    with session.place("door-1", progress=SILENT), Coordinator(lab.address) as again:
        again.release_left_behind(SILENT)
        told = rf"held by .*, by another edgedeploy \(process {os.getpid()}\)"
        with pytest.raises(PlaceBusyError, match=told), again.place("door-1", progress=SILENT):
            pass
        assert lab.owner("door-1") == session.identity


def test_a_place_that_another_command_acquires_meanwhile_stays_its(
    lab: Lab, session: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Coordinator(lab.address) as again:
        free = again._find("door-1")
        with session.place("door-1", progress=SILENT):
            monkeypatch.setattr(again, "_find", lambda _: free)
            with pytest.raises(PlaceBusyError, match="already acquired"), again.place("door-1", progress=SILENT):
                pass
            assert lab.owner("door-1") == session.identity


def test_a_place_reserved_by_somebody_else_is_busy(lab: Lab, session: Coordinator) -> None:
    lab.client("-p", "door-1", "set-tags", "kind=door")
    token = lab.client("reserve", "--shell", "kind=door", user="ana").strip().removeprefix("export LG_TOKEN=")
    try:
        with pytest.raises(PlaceBusyError, match="not reserved for"), session.place("door-1", progress=SILENT):
            pass
        assert lab.owner("door-1") is None
    finally:
        lab.client("cancel-reservation", token)


def test_an_unknown_place_is_told_with_the_nearest(session: Coordinator) -> None:
    with pytest.raises(UnknownPlaceError, match="'door-l'") as caught, session.place("door-l", progress=SILENT):
        pass
    assert "door-1" in caught.value.hint


@pytest.mark.parametrize(("place", "has"), [("both", "lab/one/NetworkService.*lab/two"), ("empty", "nothing")])
def test_a_place_needs_one_network_service(lab: Lab, session: Coordinator, place: str, has: str) -> None:
    with pytest.raises(PlaceResourceError, match=has), session.place(place, progress=SILENT):
        pass
    assert lab.owner(place) is None


def test_no_coordinator() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(LabUnreachableError, match="no labgrid coordinator answers") as caught:
            Coordinator(address)
    assert "--coordinator" in caught.value.hint


def test_something_else_than_a_coordinator() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(LabUnreachableError, match="does not answer as a labgrid coordinator"):
            Coordinator(f"127.0.0.1:{silent.getsockname()[1]}", deadline_s=1.0)


def test_labgrid_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(lab_coordinator.importlib, "import_module", absent)
    with pytest.raises(MissingToolError) as caught:
        Coordinator("127.0.0.1:1")
    assert caught.value.hint == "pip install 'edgedeploy[labgrid]'"


def test_an_exporter_that_went_away_is_said(lab: Lab) -> None:
    """The last test: the exporter does not come back."""
    lab.exporter.terminate()
    lab.exporter.wait(10)
    with (
        Coordinator(lab.address) as session,
        pytest.raises(PlaceResourceError, match="nothing that an exporter offers"),
        session.place("door-1", progress=SILENT),
    ):
        pass
    assert lab.owner("door-1") is None
