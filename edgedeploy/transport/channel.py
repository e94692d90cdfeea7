"""What goes to a command through an SSH channel: stdin, streams and files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from edgedeploy.errors import EdgedeployError, TransferError
from edgedeploy.transport.exchange import Deadline

CHUNK_BYTES = 1 << 15
FILE_CHUNK_BYTES = 1 << 18


@dataclass
class Feeder:
    """Feeds a channel from a thread of its own: neither side then waits for the other with full buffers."""

    channel: paramiko.Channel
    chunks: Iterable[bytes]
    deadline: Deadline
    on_sent: Callable[[int], None]
    failure: EdgedeployError | None = field(default=None, init=False)

    def __call__(self) -> None:
        try:
            for chunk in self.chunks:
                self._send(memoryview(chunk))
            self.channel.shutdown_write()
        except EdgedeployError as error:
            # The source failed: hanging up without an end of file would still look like one to the reader.
            self.failure = error
            hang_up(self.channel)
        except (OSError, EOFError, paramiko.SSHException):
            # The command does not read any more, or the connection broke: the reading side sees which.
            return

    def _send(self, view: memoryview) -> None:
        while view:
            self.channel.settimeout(max(self.deadline.remaining_s, 0.001))
            sent = self.channel.send(bytes(view[:CHUNK_BYTES]))
            if sent == 0:
                raise EOFError
            self.on_sent(sent)
            view = view[sent:]


def hang_up(channel: paramiko.Channel) -> None:
    """Close a channel; where the connection broke meanwhile there is nothing left to close."""
    with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
        channel.close()


def cut_chunks(chunks: Iterable[bytes], deadline: Deadline) -> Iterator[bytes]:
    """Yield chunks in pieces that a slow link moves within the deadline; every piece that went out starts it anew."""
    for chunk in chunks:
        for start in range(0, len(chunk), FILE_CHUNK_BYTES):
            yield chunk[start : start + FILE_CHUNK_BYTES]
            deadline.touch()


def read_chunks(
    source: Path, deadline: Deadline, on_bytes: Callable[[int, int], None] | None, *, offset: int = 0
) -> Iterator[bytes]:
    """Yield a file's content from ``offset`` bytes on; every chunk that went out starts the deadline anew."""
    try:
        total = source.stat().st_size
        done = offset
        with source.open("rb") as reader:
            reader.seek(offset)
            while chunk := reader.read(FILE_CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                deadline.touch()
                if on_bytes:
                    on_bytes(done, total)
    except OSError as error:
        raise TransferError(f"cannot read {source}: {error.strerror}", hint="was it deleted meanwhile?") from error
