"""A labgrid coordinator and an exporter on the loopback, as processes of their own that always end with the test."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A running lab. ``address`` is its coordinator's."""

    address: str
    exporter: subprocess.Popen[bytes]
    environment: dict[str, str]

    def client(self, *words: str, user: str | None = None) -> str:
        """Run ``labgrid-client``, as another user where one is named."""
        environment = self.environment | ({"LG_USERNAME": user} if user else {})
        answer = subprocess.run(
            [*_program("client"), "-x", self.address, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert answer.returncode == 0, f"labgrid-client {words}:\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    def add_place(self, name: str, *patterns: str) -> None:
        with _coordinator(self.address) as (stub, messages):
            stub.AddPlace(messages.AddPlaceRequest(name=name), timeout=COMMAND_TIMEOUT_S)
            for pattern in patterns:
                request = messages.AddPlaceMatchRequest(placename=name, pattern=pattern)
                stub.AddPlaceMatch(request, timeout=COMMAND_TIMEOUT_S)

    def owner(self, place: str) -> str | None:
        """Ask the coordinator who has acquired a place."""
        return owner_at(self.address, place)


def owner_at(address: str, place: str) -> str | None:
    """Ask a coordinator who has acquired a place."""
    with _coordinator(address) as (stub, messages):
        places = stub.GetPlaces(messages.GetPlacesRequest(), timeout=COMMAND_TIMEOUT_S).places
    return next(item.acquired or None for item in places if item.name == place)


@contextmanager
def _coordinator(address: str) -> Iterator[tuple[Any, Any]]:
    """Give a coordinator's calls and messages: the start of labgrid's client takes two seconds."""
    grpc = importlib.import_module("grpc")
    generated = "labgrid.remote.generated.labgrid_coordinator_pb2"
    stubs = importlib.import_module(f"{generated}_grpc")
    with grpc.insecure_channel(address) as channel:
        yield stubs.CoordinatorStub(channel), importlib.import_module(generated)


@contextmanager
def labgrid_lab(directory: Path, services: Mapping[str, Mapping[str, Any]]) -> Iterator[Lab]:
    """Start a coordinator, and an exporter ``lab`` with one group for each of ``services``; stop both at the end.

    Args:
        directory: For their files.
        services: Group -> the values of its NetworkService; a place matches it by ``lab/GROUP/NetworkService``.
    """
    proxies = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
    environment = {key: value for key, value in os.environ.items() if key.lower() not in proxies}
    resources = {group: {"NetworkService": dict(values)} for group, values in services.items()}
    (directory / "exporter.yaml").write_text(json.dumps(resources), encoding="utf-8")
    port = _free_port()
    address = f"127.0.0.1:{port}"
    with _running(directory, "coordinator", ["--listen", address], environment) as coordinator:
        _wait(lambda: _answers(port), coordinator)
        arguments = ["--coordinator", address, "--name", "lab", "--hostname", "127.0.0.1", "exporter.yaml"]
        with _running(directory, "exporter", arguments, environment) as exporter:
            lab = Lab(address=address, exporter=exporter, environment=environment)
            _wait(lambda: lab.client("resources").count("\n") == len(services), exporter)
            yield lab


def _program(name: str) -> list[str]:
    return [sys.executable, "-m", f"labgrid.remote.{name}"]


@contextmanager
def _running(
    directory: Path, name: str, arguments: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*_program(name), *arguments], stdout=log, stderr=log, env=environment, cwd=directory
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not done():
        assert process.poll() is None, "the process ended at once"
        assert time.monotonic() < deadline, "the process is not ready in time"
        time.sleep(0.1)
