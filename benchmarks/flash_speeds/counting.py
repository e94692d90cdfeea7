"""A relay on loopback that counts what passes, in a process of its own: no contender pays for it."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Link:
    """The relay's port and its count: bytes of both directions, TCP's payload."""

    port: int
    _count: Any

    @property
    def bytes(self) -> int:
        return int(self._count.value)


@contextlib.contextmanager
def counted(target_port: int) -> Iterator[Link]:
    """Yield a link to a port of 127.0.0.1 that passes any number of connections on."""
    listener = socket.create_server(("127.0.0.1", 0))
    count = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=_serve, args=(listener, target_port, count), daemon=True)
    process.start()
    try:
        yield Link(listener.getsockname()[1], count)
    finally:
        process.terminate()
        process.join()
        listener.close()


def _serve(listener: socket.socket, target_port: int, count: Any) -> None:
    while True:
        near = listener.accept()[0]
        far = socket.create_connection(("127.0.0.1", target_port))
        for ends in ((near, far), (far, near)):
            ends[1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pass, args=(*ends, count), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket, count: Any) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            with count.get_lock():
                count.value += len(chunk)
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
