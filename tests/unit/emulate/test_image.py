"""Building and caching the image. The package unpacker is a stand-in that writes a tiny archive; mke2fs is real."""

from __future__ import annotations

import errno
import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from edgedeploy.emulate import image as image_module
from edgedeploy.emulate.headers import ensure_python_headers
from edgedeploy.emulate.image import ensure_image
from edgedeploy.emulate.recipe import RECIPE
from edgedeploy.emulate.tools import find_tool
from edgedeploy.errors import ImageBuildError
from edgedeploy.paths import cache_dir
from edgedeploy.progress import SILENT

MODULES = "./usr/lib/modules/6.1.0"


def packages(path: Path, *, kernels: int = 1) -> None:
    """Write an archive that has what the builder looks for."""
    files = {
        "./usr/bin/busybox": b"busybox",
        "./usr/bin/python3": b"python",
        "./usr/share/man/man1/x.1": b"manual",
        f"{MODULES}/modules.builtin": b"",
        "./usr/include/python3.11/Python.h": b"",
        "./usr/include/aarch64-linux-gnu/python3.11/pyconfig.h": b"",
        **{f"./boot/vmlinuz-{index}": b"kernel" for index in range(kernels)},
        **{f"{MODULES}/kernel/{name}.ko": b"\0depends=\0" for name in RECIPE.modules},
    }
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid = len(content), 0o644, 1234
            archive.addfile(entry, BytesIO(content))


@pytest.fixture
def unpacker(own_directories: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program called mmdebstrap first in PATH: it copies an archive and notes each call."""
    programs = own_directories / "bin"
    programs.mkdir()
    packages(own_directories / "packages.tar")
    install(programs, f'cp {own_directories}/packages.tar "$last"')
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return programs


def install(programs: Path, action: str) -> None:
    script = f'#!/bin/sh\necho "$*" >> {programs}/calls\nfor last; do :; done\n{action}\n'
    (programs / "mmdebstrap").write_text(script)
    (programs / "mmdebstrap").chmod(0o755)


def calls(programs: Path) -> list[str]:
    return (programs / "calls").read_text().splitlines()


def left_over(kind: str) -> list[str]:
    return [path.name for path in (cache_dir() / kind).iterdir() if not path.name.endswith(".lock")]


def test_an_image_is_built_once(unpacker: Path) -> None:
    first = ensure_image(progress=SILENT)
    assert ensure_image(progress=SILENT) == first
    assert len(calls(unpacker)) == 1
    assert first.digest == RECIPE.digest()
    assert first.kernel.read_bytes() == b"kernel"
    assert first.disk.stat().st_size == RECIPE.disk_mib * 1024 * 1024
    assert left_over("images") == [first.digest]


def test_the_disk_holds_our_files_as_roots(unpacker: Path) -> None:
    disk = ensure_image(progress=SILENT).disk

    def ask(request: str) -> str:
        done = subprocess.run(
            [str(find_tool("debugfs")), "-R", request, str(disk)], capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "Mode:  0755" in ask("stat /usr/lib/edgedeploy/boot")
    for path in ("/etc/passwd", "/usr/bin/python3", "/home/edge"):
        assert "User:     0   Group:     0" in ask(f"stat {path}")
    assert 'Fast link dest: "blas/libblas.so.3"' in ask("stat /usr/lib/aarch64-linux-gnu/libblas.so.3")
    assert "x.1" not in ask("ls /usr/share/man/man1")
    assert "boot" not in ask("ls /boot")


def test_the_mirror_is_left_to_the_program(unpacker: Path) -> None:
    ensure_image(progress=SILENT)
    (call,) = calls(unpacker)
    assert "://" not in call
    assert call.split()[-2] == "bookworm"
    assert "--variant=extract" in call.split()


def test_a_failed_download_leaves_nothing_and_says_why(unpacker: Path) -> None:
    install(unpacker, 'echo "E: no route to the mirror"; : > "$last"; exit 25')
    with pytest.raises(ImageBuildError, match="no route to the mirror") as caught:
        ensure_image(progress=SILENT)
    assert "status 25" in caught.value.message
    assert left_over("images") == []


def test_an_archive_with_two_kernels_is_refused(unpacker: Path, own_directories: Path) -> None:
    packages(own_directories / "packages.tar", kernels=2)
    with pytest.raises(ImageBuildError, match="one kernel"):
        ensure_image(progress=SILENT)
    assert left_over("images") == []


def test_an_interrupted_build_leaves_nothing(unpacker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image_module, "make_disk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure_image(progress=SILENT)
    assert left_over("images") == []


def test_a_damaged_image_is_built_again(unpacker: Path) -> None:
    damaged = ensure_image(progress=SILENT)
    damaged.kernel.unlink()
    mended = ensure_image(progress=SILENT)
    assert mended.kernel.is_file()
    assert mended.build_id != damaged.build_id


def test_a_full_disk_is_an_error_of_ours(unpacker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(image_module, "make_disk", full)
    with pytest.raises(ImageBuildError, match="No space left"):
        ensure_image(progress=SILENT)
    assert left_over("images") == []


def test_headers_are_fetched_once_and_nothing_else_with_them(unpacker: Path) -> None:
    sysroot = ensure_python_headers(progress=SILENT)
    assert ensure_python_headers(progress=SILENT) == sysroot
    assert len(calls(unpacker)) == 1
    assert (sysroot / "usr/include/aarch64-linux-gnu/python3.11/pyconfig.h").is_file()
    assert not (sysroot / "usr/bin").exists()


def test_headers_that_are_not_there_leave_nothing(unpacker: Path, own_directories: Path) -> None:
    with tarfile.open(own_directories / "packages.tar", "w"):
        pass
    with pytest.raises(ImageBuildError):
        ensure_python_headers(progress=SILENT)
    assert left_over("python-headers") == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_record_means_a_new_image(unpacker: Path, content: bytes) -> None:
    first = ensure_image(progress=SILENT)
    (first.disk.parent / "image.json").write_bytes(content)
    assert ensure_image(progress=SILENT).build_id != first.build_id


def test_a_cache_that_cannot_be_written_is_an_error_of_ours(
    unpacker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "file"))
    with pytest.raises(ImageBuildError, match="cannot be written"):
        ensure_image(progress=SILENT)
