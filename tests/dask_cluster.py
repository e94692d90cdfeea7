"""A Dask scheduler and workers on the loopback, as processes of their own that always end with the test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
TESTS = Path(__file__).parent
ROOT = TESTS.parent


COMMON = ("--host", "127.0.0.1", "--no-dashboard")
ALLOWED_FAILURES = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]
    directory: Path
    python_path: tuple[Path, ...]

    def another_worker(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return _worker(self.address, f"worker{len(self.workers)}", self.directory, self.python_path)


@contextmanager
def dask_cluster(
    directory: Path, *, workers: int = 2, python_path: tuple[Path, ...] = (ROOT, TESTS), allowed_failures: int = 3
) -> Iterator[Cluster]:
    """Start a scheduler and workers of one thread each; stop them all at the end. Workers have come when it goes on.

    Args:
        directory: For their files.
        python_path: Where workers find packages beside the installed ones.
        allowed_failures: How many workers a task may end before it is given up.
    """
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        arguments = ["scheduler", *COMMON, "--port", str(port)]
        variables = {ALLOWED_FAILURES: str(allowed_failures)}
        scheduler = stack.enter_context(_running(directory, "scheduler", arguments, python_path, variables))
        _wait_for(port, scheduler)
        started = tuple(
            stack.enter_context(_worker(address, f"worker{number}", directory, python_path))
            for number in range(workers)
        )
        for number in range(workers):
            _wait_for_text(directory / f"worker{number}.log", "Registered to", started[number])
        yield Cluster(address, scheduler, started, directory, python_path)


def _worker(
    address: str, name: str, directory: Path, python_path: tuple[Path, ...]
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    arguments = ["worker", address, *COMMON, "--no-nanny", "--nthreads", "1", "--local-directory", str(directory)]
    return _running(directory, name, arguments, python_path, {})


@contextmanager
def _running(
    directory: Path, name: str, arguments: list[str], python_path: tuple[Path, ...], variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | variables | {"PYTHONPATH": os.pathsep.join(str(path) for path in python_path)}
    with (directory / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "dask", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=directory)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    _wait(answers, process)


def _wait_for_text(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    _wait(lambda: text in log.read_text(), process)


def _wait(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not done():
        assert process.poll() is None, "the process ended at once"
        assert time.monotonic() < deadline, "the process is not ready in time"
        time.sleep(0.1)
