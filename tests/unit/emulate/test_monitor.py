"""The monitor's protocol against a server that speaks it, and the answer that holds the SSH port."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgedeploy.emulate.monitor import Monitor, MonitorError, connect, parse_forwarded_port, request_poweroff

USERNET = (
    "Hub -1 (n0):\r\n"
    "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
    "  TCP[ESTABLISHED]   15       127.0.0.1 50001       10.0.2.15    22     0     0\r\n"
    "  TCP[HOST_FORWARD]   3       127.0.0.1 43341       10.0.2.15    22     0     0\r\n"
)
GREETING = {"QMP": {"version": {}, "capabilities": []}}


@contextmanager
def server(directory: Path, answer: Callable[[dict[str, object]], list[dict[str, object]]]) -> Iterator[None]:
    """Serve one client: greet it, answer each request with the documents that ``answer`` returns."""
    path = directory / "q"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            stream, _ = listener.accept()
            with stream, stream.makefile("rwb") as lines:
                documents: list[dict[str, object]] = [GREETING]
                while True:
                    for document in documents:
                        lines.write(json.dumps(document).encode() + b"\r\n")
                    lines.flush()
                    request = lines.readline()
                    if not request:
                        return
                    documents = answer(json.loads(request))

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)


def test_the_port_is_the_forwarded_ones() -> None:
    assert parse_forwarded_port(USERNET) == 43341
    with pytest.raises(MonitorError):
        parse_forwarded_port("")


def test_events_between_request_and_answer_are_passed_over(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    def answer(request: dict[str, object]) -> list[dict[str, object]]:
        seen.append(request)
        return [{"event": "RESUME"}, {"return": USERNET}]

    with server(tmp_path, answer), Monitor(tmp_path, "q") as monitor:
        assert monitor.forwarded_port() == 43341
    assert seen[0] == {"execute": "qmp_capabilities"}
    assert seen[1]["arguments"] == {"command-line": "info usernet"}


def test_a_refusal_is_an_error_with_its_words(tmp_path: Path) -> None:
    def answer(request: dict[str, object]) -> list[dict[str, object]]:
        return [{"return": {}} if request["execute"] == "qmp_capabilities" else {"error": {"desc": "no such device"}}]

    with (
        server(tmp_path, answer),
        Monitor(tmp_path, "q") as monitor,
        pytest.raises(MonitorError, match="no such device"),
    ):
        monitor.execute("set_link", name="x", up=True)


def test_a_monitor_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MonitorError):
        Monitor(tmp_path, "q")
    assert not request_poweroff(tmp_path, "q")


def test_long_directories_do_not_matter(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    short = tmp_path / "s"
    short.symlink_to(directory)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / "q"))
        listener.listen()
        connect(directory, "q", timeout_s=5).close()
