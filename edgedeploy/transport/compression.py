"""SSH's compression, sparing what does not shrink: files come packed already, and packing them again takes time.

A packet of those travels as stored blocks (RFC 1951, 3.2.4), which any far end that takes ``zlib@openssh.com`` reads.
"""

from __future__ import annotations

import struct
import zlib
from typing import ClassVar

import paramiko
from paramiko.compress import ZlibDecompressor

SAMPLE_BYTES = 1024
LONGEST_BLOCK_BYTES = (1 << 16) - 1
# A sample that keeps more of itself than this is taken for packed.
SHRINKS = 0.95

_BLOCK = struct.Struct("<BHH")


class SparingCompressor:
    """Packs one packet after the other; every one ends at a byte, and refers to no other."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj()
        self._has_begun = False

    def __call__(self, packet: bytes) -> bytes:
        # The stream's own header comes with the first.
        if self._has_begun and _is_packed(packet):
            return b"".join(_stored(packet))
        self._has_begun = True
        return self._packer.compress(packet) + self._packer.flush(zlib.Z_FULL_FLUSH)


class SparingSession(paramiko.Transport):
    """The library's session with that in the place of its own."""

    _compression_info: ClassVar[dict[str, tuple[type | None, type | None]]] = {
        "zlib@openssh.com": (SparingCompressor, ZlibDecompressor),
        "zlib": (SparingCompressor, ZlibDecompressor),
        "none": (None, None),
    }


def _is_packed(packet: bytes) -> bool:
    # Of the middle: a packet begins with the channel's numbers, and what it carries perhaps with a header.
    begin = (len(packet) - SAMPLE_BYTES) // 2
    if begin <= 0:
        return False
    sample = packet[begin : begin + SAMPLE_BYTES]
    return len(zlib.compress(sample, 1)) > SHRINKS * SAMPLE_BYTES


def _stored(packet: bytes) -> list[bytes]:
    parts = []
    for start in range(0, len(packet), LONGEST_BLOCK_BYTES):
        piece = packet[start : start + LONGEST_BLOCK_BYTES]
        parts += [_BLOCK.pack(0, len(piece), len(piece) ^ 0xFFFF), piece]
    return parts
