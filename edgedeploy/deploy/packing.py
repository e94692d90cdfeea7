"""Packing a file piece by piece for the way to the board: against what the board has, or in byte planes, or as it is.

``csrc/runner/frame.h`` has the other end. Each piece is packed in the ways that may pay and travels in the smallest.
Weights change in place: their difference from the old ones, the bytes of each rank side by side, is mostly zeros. Code
moves: the old bytes around the place serve zstd as its prefix. Weights that are new hardly repeat; in byte planes their
exponents do. docs/flash.md has the figures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import zstandard

# csrc/runner/frame.h refuses more.
FRAME_BYTES = 1 << 20
MARGIN_BYTES = 1 << 20
OWN_BYTES = 2 << 20

WINDOW_LOG = 23
FAST_LEVEL = 1
DIFFERENCE_LEVEL = 3
SEARCH_LEVEL = 9
# Without anything that the board has: 3 % more bytes than at level 9, in half the time.
ALONE_LEVEL = 6
# Of a piece's size. Packed to so little by what comes first, nothing else is tried.
UNCHANGED = 0.001
CHANGED_LITTLE = 0.25
# Of the upper bytes of numbers. Where so few differ, all numbers are where they were: a search, which takes longer than
# all else, would find no more.
MOVED = 0.01
# Not packed to less in a hurry: numbers, in which nothing repeats that a search would find.
NUMBERS = 0.85

PROBES = 16
PROBE_BYTES = 32
SEARCH_BYTES = 8 << 20

_HEADER = struct.Struct("<BBIIQI")


class Reference(IntEnum):
    """What a frame is packed against."""

    NONE = 0
    OWN = 1
    BASE = 2
    DIFFERENCE = 3


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One piece, packed. ``reference_offset`` and ``reference_bytes`` lie in the file itself or in the base."""

    size_bytes: int
    packed: bytes
    planes: int = 1
    reference: Reference = Reference.NONE
    reference_offset: int = 0
    reference_bytes: int = 0

    def to_bytes(self) -> bytes:
        """Return the frame as it travels: 22 bytes of header, then the packed ones."""
        numbers = (self.planes, self.reference, self.size_bytes, len(self.packed))
        return _HEADER.pack(*numbers, self.reference_offset, self.reference_bytes) + self.packed


def pack_file(content: bytes, *, base: bytes = b"", offset: int = 0) -> Iterator[Frame]:
    """Yield a file's frames.

    Args:
        content: The whole file.
        base: A file that the board has, empty where there is none.
        offset: So many bytes of the file are on the board already.
    """
    shift = 0
    for start in range(offset, len(content), FRAME_BYTES):
        piece = content[start : start + FRAME_BYTES]
        shift = find_shift(piece, base, start, shift)
        yield _smallest(piece, content=content, start=start, base=base, place=start + shift)


def find_shift(piece: bytes, base: bytes, start: int, shift: int) -> int:
    """Return by how much the bytes of a piece lie later in the base than in the file.

    Args:
        piece: Starts at ``start`` of the file.
        shift: The one of the piece before; it is kept where no other agrees at more places.
    """
    probes = range(0, len(piece) - PROBE_BYTES + 1, max(1, len(piece) // PROBES)) if base else ()
    # Zeros and other padding are everywhere.
    texts = [(at, text) for at in probes if len(set(text := piece[at : at + PROBE_BYTES])) > PROBE_BYTES // 4]

    def agreeing(shift: int) -> int:
        return sum(base.startswith(text, start + shift + at) for at, text in texts if start + shift + at >= 0)

    if agreeing(shift) * 2 >= len(texts):
        return shift
    shifts = [shift]
    for at, text in texts:
        expected = start + shift + at
        found = base.find(text, max(0, expected - SEARCH_BYTES), max(0, expected + SEARCH_BYTES))
        if found >= 0:
            shifts.append(found - at - start)
    return max(shifts, key=agreeing)


def split_planes(piece: bytes, planes: int) -> bytes:
    """Return all first bytes of each ``planes`` bytes, all second ones, ..., then what is over.

    Example:
        >>> split_planes(b"AaBbC", 2)
        b'ABabC'
    """
    whole = len(piece) // planes * planes
    return np.frombuffer(piece, np.uint8, whole).reshape(-1, planes).T.tobytes() + piece[whole:]


def _smallest(piece: bytes, *, content: bytes, start: int, base: bytes, place: int) -> Frame:
    frames = list(_against_base(piece, base, place))
    if not frames or min(len(frame.packed) for frame in frames) > CHANGED_LITTLE * len(piece):
        frames += _alone(piece, content=content, start=start)
    return min(frames, key=lambda frame: len(frame.packed))


def _against_base(piece: bytes, base: bytes, place: int) -> Iterator[Frame]:
    size = len(piece)
    if 0 <= place <= len(base) - size:
        old = np.frombuffer(base, np.uint8, size, place)
        difference = (np.frombuffer(piece, np.uint8) ^ old).tobytes()
        ways = [
            Frame(
                size_bytes=size,
                packed=_compress(split_planes(difference, planes), DIFFERENCE_LEVEL),
                planes=planes,
                reference=Reference.DIFFERENCE,
                reference_offset=place,
                reference_bytes=size,
            )
            for planes in (1, 2, 4)
        ]
        best = min(ways, key=lambda frame: len(frame.packed))
        yield best
        if len(best.packed) <= UNCHANGED * size:
            return
        if _is_in_place(difference, best.planes) and len(_compress(piece, FAST_LEVEL)) > NUMBERS * size:
            return
    begin = max(0, min(place, len(base)) - MARGIN_BYTES)
    prefix = base[begin : max(0, place + size + MARGIN_BYTES)]
    if prefix:
        yield Frame(
            size_bytes=size,
            packed=_compress(piece, SEARCH_LEVEL, prefix),
            reference=Reference.BASE,
            reference_offset=begin,
            reference_bytes=len(prefix),
        )


def _is_in_place(difference: bytes, planes: int) -> bool:
    """Return whether signs and exponents, the upper bytes, are the old ones, and what differs lies below them."""
    changed = np.count_nonzero(np.frombuffer(difference, np.uint8)[planes - 1 :: planes])
    return planes > 1 and bool(changed <= MOVED * len(difference) / planes)


def _alone(piece: bytes, *, content: bytes, start: int) -> Iterator[Frame]:
    size = len(piece)
    plain = Frame(size_bytes=size, packed=_compress(piece, FAST_LEVEL))
    yield plain
    for planes in (2, 4):
        yield Frame(size_bytes=size, packed=_compress(split_planes(piece, planes), FAST_LEVEL), planes=planes)
    if len(plain.packed) > NUMBERS * size:
        return
    begin = max(0, start - OWN_BYTES)
    yield Frame(
        size_bytes=size,
        packed=_compress(piece, ALONE_LEVEL, content[begin:start]),
        reference=Reference.OWN if start else Reference.NONE,
        reference_offset=begin,
        reference_bytes=start - begin,
    )


def _compress(piece: bytes, level: int, prefix: bytes = b"") -> bytes:
    if not prefix:
        return zstandard.ZstdCompressor(level=level).compress(piece)
    parameters = zstandard.ZstdCompressionParameters.from_level(level, window_log=WINDOW_LOG)
    dictionary = zstandard.ZstdCompressionDict(prefix, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(compression_params=parameters, dict_data=dictionary).compress(piece)
