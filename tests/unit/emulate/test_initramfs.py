"""The cpio writer, checked by the cpio format's own rules, and the order of kernel modules."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edgedeploy.emulate.initramfs import Entry, archive, base_archive, module_dependencies, module_order, twin_archive
from edgedeploy.errors import ImageBuildError

HEADER_BYTES = 110


def read_archive(data: bytes) -> tuple[dict[str, tuple[int, bytes]], bytes]:
    """Return the entries of the first archive and what comes behind it."""
    entries: dict[str, tuple[int, bytes]] = {}
    position = 0
    while True:
        assert data[position : position + 6] == b"070701"
        numbers = [int(data[position + 6 + 8 * n : position + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = data[position + HEADER_BYTES : position + HEADER_BYTES + name_size - 1].decode()
        assert data[position + HEADER_BYTES + name_size - 1] == 0
        start = (position + HEADER_BYTES + name_size + 3) // 4 * 4
        position = (start + size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return entries, data[position:]
        entries[name] = (mode, data[start : start + size])


def module(depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0vermagic=6.1\0"


@pytest.mark.parametrize("size", range(9))
def test_contents_of_every_alignment_come_back(size: int) -> None:
    content = bytes(range(1, size + 1))
    entries, rest = read_archive(
        archive([Entry(path="d"), Entry(path="d/file" + "x" * size, mode=0o755, content=content)])
    )
    assert entries == {"d": (0o040755, b""), "d/file" + "x" * size: (0o100755, content)}
    assert rest == b""


def test_an_empty_file_is_no_directory() -> None:
    entries, _ = read_archive(archive([Entry(path="empty", content=b"")]))
    assert entries == {"empty": (0o100644, b"")}


def test_the_twins_archive_can_follow_the_shared_one() -> None:
    base = base_archive(busybox=b"busy", init=b"#!", modules=[("a.ko", b"A"), ("b.ko", b"B")])
    assert len(base) % 4 == 0
    entries, _ = read_archive(gzip.decompress(base))
    assert entries["modules/order"][1] == b"a.ko\nb.ko\n"
    assert entries["init"] == (0o100755, b"#!")
    own, _ = read_archive(twin_archive({"key": b"secret"}))
    assert own == {"twin/key": (0o100600, b"secret")}


def test_the_shared_archive_is_the_same_every_time() -> None:
    arguments = {"busybox": b"b", "init": b"i", "modules": [("m.ko", b"m")]}
    assert base_archive(**arguments) == base_archive(**arguments)  # type: ignore[arg-type]


def test_modules_come_after_what_they_depend_on(tmp_path: Path) -> None:
    (tmp_path / "drivers").mkdir()
    for name, depends in {"virtio_pci": "virtio,virtio-ring", "virtio": "", "virtio_ring": "virtio"}.items():
        (tmp_path / "drivers" / f"{name}.ko").write_bytes(module(depends))
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    order = [path.stem for path in module_order(tmp_path, ["virtio-pci", "ext4", "virtio"])]
    assert order == ["virtio", "virtio_ring", "virtio_pci"]


def test_a_module_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(module("missing"))
    with pytest.raises(ImageBuildError, match="missing"):
        module_order(tmp_path, ["a"])


def test_a_module_without_dependencies_has_none() -> None:
    assert module_dependencies(module("")) == ()
    assert module_dependencies(b"") == ()
