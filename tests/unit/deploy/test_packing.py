"""Frames: what they are packed against, and that each gives its piece back."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import zstandard

from edgedeploy.artifacts import BundleFile, canonical_json
from edgedeploy.deploy import packing
from edgedeploy.deploy.known import KnownFiles
from edgedeploy.deploy.packing import FRAME_BYTES, Frame, Reference, find_shift, pack_file, split_planes
from edgedeploy.deploy.stream import Outgoing, write_stream
from edgedeploy.errors import TransferError
from edgedeploy.files import file_sha256

RNG = np.random.default_rng(7)
WEIGHTS = RNG.normal(0, 0.05, 600_000).astype("<f4").tobytes()
TEXT = b"".join(b"layer %d of %d\n" % (number, number * number) for number in range(120_000))


def unpack(frames: Iterable[Frame], base: bytes, start: bytes) -> bytes:
    """Do what csrc/runner/frame.cpp does."""
    content = bytearray(start)
    for frame in frames:
        source = bytes(content) if frame.reference is Reference.OWN else base
        reference = source[frame.reference_offset :][: frame.reference_bytes]
        assert len(reference) == frame.reference_bytes
        prefixed = frame.reference in (Reference.OWN, Reference.BASE)
        dictionary = zstandard.ZstdCompressionDict(reference, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        piece = zstandard.ZstdDecompressor(dict_data=dictionary if prefixed else None).decompress(frame.packed)
        assert len(piece) == frame.size_bytes
        count = len(piece) // frame.planes
        whole = count * frame.planes
        joined = np.frombuffer(piece, np.uint8, whole).reshape(frame.planes, count).T.tobytes() + piece[whole:]
        if frame.reference is Reference.DIFFERENCE:
            joined = (np.frombuffer(joined, np.uint8) ^ np.frombuffer(reference, np.uint8)).tobytes()
        content += joined
    return bytes(content)


def changed(content: bytes, at: int, count: int) -> bytes:
    numbers = np.frombuffer(content, "<f4").copy()
    numbers[at : at + count] *= np.float32(1.0001)
    return numbers.tobytes()


@pytest.mark.parametrize(
    ("content", "base", "limit"),
    [
        (b"", b"", 0),
        (b"x", b"", 50),
        (b"x" * (FRAME_BYTES + 1), b"", 500),
        (WEIGHTS, b"", 0.90 * len(WEIGHTS)),
        (WEIGHTS + b"odd", b"", 0.90 * len(WEIGHTS)),
        (TEXT, b"", 0.25 * len(TEXT)),
        (WEIGHTS, WEIGHTS, 1000),
        (changed(WEIGHTS, 1000, 20_000), WEIGHTS, 40_000),
        (WEIGHTS[:500_001] + RNG.bytes(5000) + WEIGHTS[500_001:], WEIGHTS, 7000),
        (WEIGHTS[700_000:], WEIGHTS, 2000),
        (WEIGHTS, WEIGHTS[700_000:], 700_000),
        (TEXT[:900_000] + b"changed" + TEXT[900_000:], TEXT, 2000),
        (RNG.bytes(10_000), b"short", 10_100),
    ],
    ids=[
        "empty", "one byte", "frame and one byte", "weights", "odd length", "text", "unchanged", "changed in place",
        "inserted", "start gone", "start new", "text changed", "base shorter than a probe",
    ],
)  # fmt: skip
def test_frames_are_small_and_give_the_file_back(content: bytes, base: bytes, limit: float) -> None:
    frames = list(pack_file(content, base=base))
    assert unpack(frames, base, b"") == content
    assert sum(len(frame.to_bytes()) for frame in frames) <= limit
    assert all(frame.size_bytes <= FRAME_BYTES and frame.reference_bytes <= 4 << 20 for frame in frames)


@pytest.mark.parametrize("offset", [1, FRAME_BYTES, len(TEXT) - 1, len(TEXT)])
def test_frames_from_an_offset_on(offset: int) -> None:
    frames = list(pack_file(TEXT, base=TEXT[5:], offset=offset))
    assert unpack(frames, TEXT[5:], TEXT[:offset]) == TEXT
    assert sum(frame.size_bytes for frame in frames) == len(TEXT) - offset


def test_each_kind_of_change_takes_its_own_way() -> None:
    (new,) = pack_file(WEIGHTS[:FRAME_BYTES])
    assert (new.planes, new.reference) == (4, Reference.NONE)
    in_place = next(pack_file(changed(WEIGHTS, 0, 1000), base=WEIGHTS))
    assert (in_place.planes, in_place.reference) == (4, Reference.DIFFERENCE)
    first, second = pack_file(TEXT[:FRAME_BYTES] + TEXT[:5000])
    assert (first.reference, second.reference) == (Reference.NONE, Reference.OWN)
    scattered = b"".join(TEXT[at : at + 5000] + b"gap" for at in range(0, 900_000, 5000))
    assert next(pack_file(scattered, base=TEXT)).reference is Reference.BASE


def test_numbers_changed_in_place_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search takes longer than all else. What is no number, or changed more than that, is searched as before."""
    searched = []

    def search(piece: bytes, level: int, prefix: bytes = b"") -> bytes:
        searched.append(bool(prefix))
        return compress(piece, level, prefix)

    compress = packing._compress
    monkeypatch.setattr(packing, "_compress", search)
    list(pack_file(changed(WEIGHTS, 0, 100_000), base=WEIGHTS))
    assert not any(searched)
    list(pack_file(RNG.bytes(FRAME_BYTES), base=WEIGHTS))
    assert any(searched)
    searched.clear()
    text = bytearray(TEXT[:FRAME_BYTES])
    text[::40] = b"X" * len(text[::40])
    list(pack_file(bytes(text), base=TEXT))
    assert any(searched), "code changes in place too, and is searched"


def test_shift_is_the_one_that_most_places_agree_with() -> None:
    piece = WEIGHTS[100_000:200_000]
    assert find_shift(piece, WEIGHTS, 100_000, 0) == 0
    assert find_shift(piece, WEIGHTS, 40_000, 0) == 60_000
    assert find_shift(piece, RNG.bytes(300_000), 100_000, 17) == 17
    assert find_shift(bytes(100_000), bytes(300_000), 100_000, 17) == 17
    assert find_shift(piece, b"", 5, 3) == 3


def test_planes() -> None:
    assert split_planes(b"AaBbC", 2) == b"ABabC"
    assert split_planes(b"abc", 4) == b"abc"


def test_file_that_vanished_is_a_typed_error(tmp_path: Path) -> None:
    file = BundleFile(path=PurePosixPath("a"), source=tmp_path / "gone", sha256="0" * 64, size_bytes=1)
    with pytest.raises(TransferError, match=r"cannot read .*gone"):
        list(write_stream([Outgoing(file=file)], lambda *_: None))


def files_of(directory: Path, *contents: bytes) -> list[BundleFile]:
    files = []
    for number, content in enumerate(contents):
        source = directory / f"{number}-{len(content)}"
        source.write_bytes(content)
        files.append(
            BundleFile(path=PurePosixPath(str(number)), source=source, sha256=file_sha256(source), size_bytes=1)
        )
    return files


def test_known_files_are_intact_or_not_known(tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "known")
    first, second = files_of(tmp_path, b"first", b"second")
    assert known.path_of(first.sha256) is None
    known.remember([first, second])
    path = known.path_of(first.sha256)
    assert path is not None and path.read_bytes() == b"first"
    path.write_bytes(b"damaged")
    assert known.path_of(first.sha256) is None
    assert known.path_of(second.sha256) is not None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": [1]}', b'{"files": [{"path": "a"}]}', b"\xff"])
def test_manifest_that_is_none_lists_nothing(tmp_path: Path, content: bytes) -> None:
    known = KnownFiles(tmp_path / "known")
    (manifest,) = files_of(tmp_path, content)
    known.remember([manifest])
    assert known.files_of(manifest.sha256) == {}


def test_files_of_a_known_release(tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "known")
    listed = [{"path": "model/a", "sha256": "a" * 64}, {"path": "b", "sha256": "../etc"}]
    (manifest,) = files_of(tmp_path, canonical_json({"files": listed}))
    known.remember([manifest])
    assert known.files_of(manifest.sha256) == {
        PurePosixPath("manifest.json"): manifest.sha256,
        PurePosixPath("model/a"): "a" * 64,
    }


def test_least_recently_used_files_are_forgotten(tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "known", limit_bytes=250)
    first, second, third = files_of(tmp_path, b"a" * 100, b"b" * 101, b"c" * 102)
    known.remember([first, second])
    for item in (first, second):
        os.utime(known.directory / item.sha256, (1, 1))
    assert known.path_of(first.sha256) is not None
    known.remember([third])
    assert [known.path_of(item.sha256) is not None for item in (first, second, third)] == [True, False, True]


def test_cache_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    known = KnownFiles(tmp_path / "file" / "known")
    known.remember(files_of(tmp_path, b"first"))
    assert known.path_of("0" * 64) is None
