"""Packets as SSH's compression has them: one zlib stream, whatever is packed and whatever is stored."""

from __future__ import annotations

import random
import zlib

import pytest

from edgedeploy.transport.compression import SparingCompressor, SparingSession

TEXT = b"#!/bin/sh\nset -eu\n" * 500


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("sizes", [(1, 40_000), (40_000, 40_000, 1), (200_000, 3_000), (65_535, 65_536)])
def test_far_end_reads_what_was_sent(sizes: tuple[int, ...]) -> None:
    pack, far_end = SparingCompressor(), zlib.decompressobj()
    for size in sizes:
        for packet in (noise(size), TEXT, noise(size)):
            # Each packet is whole by itself: the far end waits for nothing more.
            assert far_end.decompress(pack(packet)) == packet


def test_what_is_packed_already_is_stored() -> None:
    pack = SparingCompressor()
    pack(b"first")
    packet = noise(32_768)
    assert packet in pack(packet)
    assert len(pack(packet)) == len(packet) + 5


def test_text_is_packed() -> None:
    pack = SparingCompressor()
    assert len(pack(TEXT)) < len(TEXT) // 20
    assert len(pack(TEXT[:900])) < 200


def test_session_has_it_wherever_the_library_packs() -> None:
    assert set(SparingSession._compression_info) == {"zlib", "zlib@openssh.com", "none"}
    for name, (outbound, inbound) in SparingSession._compression_info.items():
        assert (outbound is SparingCompressor, inbound is not None) == ((name != "none"),) * 2
