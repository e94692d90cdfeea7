"""The initramfs: a cpio archive in the kernel's ``newc`` format, written without any program of the host.

The kernel unpacks concatenated archives one after the other, so a twin's own files (its keys) are a second archive
behind the shared one.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import ImageBuildError

ALIGNMENT = 4
DIRECTORY_MODE = 0o040755
REGULAR_FILE = 0o100000
TRAILER = "TRAILER!!!"
"""The name that ends an archive."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of the archive; ``content`` None makes it a directory."""

    path: str
    mode: int = 0o644
    content: bytes | None = None


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the entries as a ``newc`` archive. Owner is root, times are zero: same input, same bytes."""
    parts = []
    for inode, entry in enumerate(entries, start=1):
        mode = DIRECTORY_MODE if entry.content is None else REGULAR_FILE | entry.mode
        parts.append(_record(inode, entry.path, mode, entry.content or b""))
    return b"".join([*parts, _record(0, TRAILER, 0, b"")])


def _record(inode: int, path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


def base_archive(*, busybox: bytes, init: bytes, modules: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the shared, compressed initramfs.

    Args:
        busybox: The static busybox of the guest's architecture.
        init: The script that becomes ``/init``.
        modules: File names and contents in loading order.
    """
    order = "".join(f"{name}\n" for name, _ in modules).encode()
    entries = [Entry(path=path) for path in ("bin", "modules", "twin", "dev", "proc", "sys", "sysroot")]
    entries.append(Entry(path="bin/busybox", mode=0o755, content=busybox))
    entries.append(Entry(path="init", mode=0o755, content=init))
    entries.append(Entry(path="modules/order", content=order))
    entries += [Entry(path=f"modules/{name}", content=content) for name, content in modules]
    data = gzip.compress(archive(entries), compresslevel=6, mtime=0)
    # The kernel looks for the next archive at a multiple of four.
    return _padded(data)


def twin_archive(files: Mapping[str, bytes]) -> bytes:
    """Return the archive with one twin's files under ``/twin``, to be appended to the shared one."""
    return archive([Entry(path=f"twin/{name}", mode=0o600, content=content) for name, content in sorted(files.items())])


def module_order(directory: Path, wanted: Sequence[str]) -> list[Path]:
    """Return the files of the wanted kernel modules and all they depend on, dependencies first.

    Args:
        directory: The tree with the modules (``usr/lib/modules/VERSION``).
        wanted: Names, with ``-`` or ``_``. A name without a file counts as built into the kernel if modules.builtin
            lists it.

    Raises:
        ImageBuildError: A module is neither a file nor built in.
    """
    files = {_canonical(path.name.removesuffix(".ko")): path for path in directory.rglob("*.ko")}
    listing = directory / "modules.builtin"
    lines = listing.read_text(encoding="utf-8").split() if listing.is_file() else []
    built_in = {_canonical(Path(line).name.removesuffix(".ko")) for line in lines}
    ordered: dict[str, Path] = {}

    def visit(name: str) -> None:
        name = _canonical(name)
        if name in ordered or name in built_in:
            return
        if name not in files:
            raise ImageBuildError(f"the kernel package has no module {name}", hint="the recipe names modules it lacks")
        for dependency in module_dependencies(files[name].read_bytes()):
            visit(dependency)
        ordered[name] = files[name]

    for name in wanted:
        visit(name)
    return list(ordered.values())


def module_dependencies(content: bytes) -> tuple[str, ...]:
    """Return the names in a module's own ``depends=`` record (its ``.modinfo`` section is a list of C strings)."""
    found = re.search(rb"\0depends=([^\0]*)\0", content)
    names = found.group(1).decode().split(",") if found else []
    return tuple(name for name in names if name)


def _canonical(name: str) -> str:
    return name.replace("-", "_")
