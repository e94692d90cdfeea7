"""The stream that brings a release's files to the board in one round trip; ``csrc/runner/receive.cpp`` reads it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgedeploy.artifacts import BundleFile
from edgedeploy.deploy.packing import pack_file
from edgedeploy.deploy.push_scripts import INSTALLER_NAME, STREAM_NAME
from edgedeploy.errors import TransferError

NAME = STREAM_NAME.encode()
CHUNK_BYTES = 1 << 16
GZIP_WINDOW = 31

_KIND_END, _KIND_FILE, _KIND_FRAME = b"\x00", b"\x01", b"\x02"
_FILE_HEADER = struct.Struct("<QQHH32s")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A file that both sides have: ``on_board`` relative to the app's directory, ``source`` on the host."""

    on_board: PurePosixPath
    source: Path


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A file to send: ``offset`` bytes of it are on the board already; ``base`` is what it may be packed against."""

    file: BundleFile
    offset: int = 0
    base: Base | None = None


def can_receive(runner: Path) -> bool:
    """Return whether an on-board program reads such streams: it holds their name."""
    return NAME in _read(runner)


def can_install(runner: Path) -> bool:
    """Return whether an on-board program surveys a board, and makes a release of such a stream."""
    return INSTALLER_NAME.encode() in _read(runner)


def write_stream(files: Iterable[Outgoing], on_bytes: Callable[[int, BundleFile], None]) -> Iterator[bytes]:
    """Yield the stream's bytes.

    Args:
        files: In the order in which they travel.
        on_bytes: Told of each frame: so many bytes of the file are under way, less what was there already.

    Raises:
        TransferError: A file cannot be read.
    """
    yield NAME
    for item in files:
        content = _read(item.file.source)
        base = _read(item.base.source) if item.base else b""
        name = str(item.base.on_board).encode() if item.base else b""
        sha256 = bytes.fromhex(item.file.sha256)
        yield _KIND_FILE + _FILE_HEADER.pack(item.offset, len(content), item.file.mode, len(name), sha256) + name
        done = 0
        for frame in pack_file(content, base=base, offset=item.offset):
            yield _KIND_FRAME + frame.to_bytes()
            done += frame.size_bytes
            on_bytes(done, item.file)
    yield _KIND_END


def gzipped(item: Outgoing, on_bytes: Callable[[int, BundleFile], None]) -> Iterator[bytes]:
    """Yield what of a file is not on the board, packed for ``gzip -d``; see ``write_stream``."""
    content = memoryview(_read(item.file.source))[item.offset :]
    packer = zlib.compressobj(wbits=GZIP_WINDOW)
    for start in range(0, len(content), CHUNK_BYTES):
        chunk = content[start : start + CHUNK_BYTES]
        if packed := packer.compress(chunk):
            yield packed
        on_bytes(start + len(chunk), item.file)
    yield packer.flush()


def gzipped_whole(source: Path) -> bytes:
    """Return a file, packed for ``gzip -d``.

    Raises:
        TransferError: It cannot be read.
    """
    packer = zlib.compressobj(wbits=GZIP_WINDOW)
    return packer.compress(_read(source)) + packer.flush()


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise TransferError(f"cannot read {source}: {error.strerror}", hint="was it deleted meanwhile?") from error
