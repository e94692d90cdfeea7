"""A link between host and twin that can be lost on the host's side while the board notices nothing."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK_BYTES = 1 << 15
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""For SO_LINGER: no time to linger, so that closing resets."""


class Relay:
    """Passes one connection to a port of 127.0.0.1 on.

    Args:
        cut_after_bytes: So many bytes from host to board; then the host's connection is reset, and the board's stays
            open and silent, as when a cable is pulled.
    """

    def __init__(self, target_port: int, *, cut_after_bytes: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target_port = target_port
        self._left_bytes = cut_after_bytes
        self._sockets: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Close everything, the board's side too."""
        for item in self._sockets:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            host = self._listener.accept()[0]
            board = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets += [host, board]
            threading.Thread(target=self._back, args=(board, host), daemon=True).start()
            while chunk := host.recv(min(CHUNK_BYTES, self._left_bytes)):
                board.sendall(chunk)
                self._left_bytes -= len(chunk)
                if self._left_bytes == 0:
                    host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    host.shutdown(socket.SHUT_RD)
                    host.close()
                    return

    @staticmethod
    def _back(board: socket.socket, host: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := board.recv(CHUNK_BYTES):
                host.sendall(chunk)


@contextmanager
def relayed(target_port: int, *, cut_after_bytes: int) -> Iterator[int]:
    """Yield the port of a relay."""
    relay = Relay(target_port, cut_after_bytes=cut_after_bytes)
    try:
        yield relay.port
    finally:
        relay.close()
