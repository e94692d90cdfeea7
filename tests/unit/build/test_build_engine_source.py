"""The engine's source: only the one written down, unpacked only below its directory."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedeploy.build.engine import engine_source
from edgedeploy.build.json_headers import json_include
from edgedeploy.build.sodium import sodium_source
from edgedeploy.build.source_archives import unpack_source, verify_source
from edgedeploy.build.zstd import zstd_source
from edgedeploy.errors import EngineSourceError
from edgedeploy.files import file_sha256
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT


def archive_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as stream:
        for member in members:
            member.size = 5 if member.isfile() else 0
            stream.addfile(member, io.BytesIO(b"hello") if member.isfile() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def wheel_of(path: Path, *members: tuple[str, int]) -> Path:
    """Write a wheel of files with the Unix modes given; 0 is what archives made elsewhere say."""
    with zipfile.ZipFile(path, "w") as stream:
        for name, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            stream.writestr(info, b"" if name.endswith("/") else b"hello")
    return path


def test_right_hash_passes_and_wrong_hash_removes_the_download(tmp_path: Path) -> None:
    (tmp_path / "download").mkdir()
    archive = archive_of(tmp_path / "download" / "engine.tar.gz", member("engine/a.cpp"))
    verify_source(archive, file_sha256(archive))
    assert archive.is_file()
    with pytest.raises(EngineSourceError, match=f"SHA-256 [0-9a-f]{{64}}, not {'0' * 64}"):
        verify_source(archive, "0" * 64)
    assert not (tmp_path / "download").exists()


def test_unpacks_files_and_directories(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "e.tar.gz", member("engine", tarfile.DIRTYPE), member("engine/src/a.cpp"))
    unpack_source(archive, tmp_path / "out")
    assert (tmp_path / "out" / "engine" / "src" / "a.cpp").read_bytes() == b"hello"


@pytest.mark.parametrize(
    "evil",
    [
        member("../escape"),
        member("engine/../../escape"),
        member("/tmp/escape"),
        member("engine/link", tarfile.SYMTYPE, "/etc"),
        member("engine/hard", tarfile.LNKTYPE, "../../escape"),
        member("engine/pipe", tarfile.FIFOTYPE),
        member("engine/device", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type!r}",
)
def test_unsafe_member_stops_before_anything_is_written(tmp_path: Path, evil: tarfile.TarInfo) -> None:
    archive = archive_of(tmp_path / "e.tar.gz", member("engine/a.cpp"), evil)
    with pytest.raises(EngineSourceError, match="unsafe member"):
        unpack_source(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unpacks_a_wheel(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path / "j.whl", ("j/", stat.S_IFDIR), ("j/a.hpp", stat.S_IFREG | 0o644), ("j/b.hpp", 0))
    unpack_source(wheel, tmp_path / "out")
    assert [(tmp_path / "out" / "j" / name).read_bytes() for name in ("a.hpp", "b.hpp")] == [b"hello", b"hello"]


@pytest.mark.parametrize(
    "evil",
    [("../escape", 0), ("j/../../escape", 0), ("/tmp/escape", 0), ("j/link", stat.S_IFLNK), ("j/p", stat.S_IFIFO)],
)
def test_unsafe_member_of_a_wheel_stops_before_anything_is_written(tmp_path: Path, evil: tuple[str, int]) -> None:
    wheel = wheel_of(tmp_path / "j.whl", ("j/a.hpp", 0), evil)
    with pytest.raises(EngineSourceError, match="unsafe member"):
        unpack_source(wheel, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_damaged_wheel_is_a_typed_error(tmp_path: Path, keep: int) -> None:
    wheel = wheel_of(tmp_path / "j.whl", ("j/a.hpp", 0), ("j/b.hpp", 0))
    wheel.write_bytes(wheel.read_bytes()[:keep])
    with pytest.raises(EngineSourceError, match=r"j\.whl cannot be unpacked"):
        unpack_source(wheel, tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_damaged_archive_is_a_typed_error(tmp_path: Path, keep: int) -> None:
    archive = archive_of(tmp_path / "e.tar.gz", member("engine/a.cpp"), member("engine/b.cpp"))
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(EngineSourceError, match=r"e\.tar\.gz cannot be unpacked"):
        unpack_source(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("fetch", "named"),
    [
        (engine_source, "the engine's source: .*ncnn"),
        (sodium_source, "libsodium's source: .*pynacl"),
        (zstd_source, "zstd's source: .*zstandard"),
        (json_include, "the JSON library's headers: .*nlohmann-json"),
    ],
)
def test_unreachable_index_is_the_sources_error(
    fetch: Callable[..., Path], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(EngineSourceError, match=named):
        fetch(progress=SILENT)
    assert not list((tmp_path / "build" / "sources").glob("[!.]*[!k]"))
