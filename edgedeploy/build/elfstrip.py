"""Taking symbols out of a program without binutils: Zig's package has no ``strip``."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section

from edgedeploy.errors import BuildFailedError

_ALLOCATED = 2
_NAMES = ".shstrtab"
_KEPT_TYPES = frozenset({"SHT_NULL", "SHT_ARM_ATTRIBUTES"})


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the fields are that change: in the file's header and in a section's."""

    shoff: int
    shoff_format: str
    shnum: int
    section_format: str
    alignment: int


LAYOUTS = {
    64: Layout(shoff=0x28, shoff_format="<Q", shnum=0x3C, section_format="<IIQQQQIIQQ", alignment=8),
    32: Layout(shoff=0x20, shoff_format="<I", shnum=0x30, section_format="<IIIIIIIIII", alignment=4),
}


def without_symbols(content: bytes) -> bytes:
    """Return a little-endian program without symbols and debug information.

    What the kernel and the loader read stays where it is; the section headers of it stay too.

    Raises:
        BuildFailedError: Something that is loaded lies behind something that is not.
    """
    elf = ELFFile(io.BytesIO(content))
    sections = list(elf.iter_sections())
    loaded = [index for index, section in enumerate(sections) if section["sh_flags"] & _ALLOCATED]
    if loaded != list(range(1, len(loaded) + 1)):
        raise BuildFailedError("the linker mixed loaded and other sections", hint="use the toolchain debian")
    kept = [item for item in sections if item["sh_flags"] & _ALLOCATED or item["sh_type"] in _KEPT_TYPES]
    end = max((_end(item) for item in kept if item["sh_flags"] & _ALLOCATED), default=elf["e_ehsize"])
    image = bytearray(content[: max(end, elf["e_phoff"] + elf["e_phnum"] * elf["e_phentsize"])])
    layout = LAYOUTS[elf.elfclass]
    names = bytearray(b"\0")
    headers = b""
    for item in kept:
        offset = item["sh_offset"]
        if item["sh_type"] == "SHT_ARM_ATTRIBUTES":
            offset = len(image)
            image += item.data()
        headers += _header(item, _add_name(names, item.name), offset, layout)
    name_of_names = _add_name(names, _NAMES)
    where = len(image)
    image += names
    headers += struct.pack(layout.section_format, name_of_names, 3, 0, 0, where, len(names), 0, 0, 1, 0)
    image += bytes(-len(image) % layout.alignment)
    struct.pack_into(layout.shoff_format, image, layout.shoff, len(image))
    struct.pack_into("<HH", image, layout.shnum, len(kept) + 1, len(kept))
    return bytes(image + headers)


def _end(section: Section) -> int:
    return int(section["sh_offset"] + (0 if section["sh_type"] == "SHT_NOBITS" else section["sh_size"]))


def _add_name(names: bytearray, name: str) -> int:
    if not name:
        return 0
    names += name.encode() + b"\0"
    return len(names) - len(name.encode()) - 1


def _header(section: Section, name: int, offset: int, layout: Layout) -> bytes:
    raw = section.elffile.structs.Elf_Shdr.build(section.header)
    fields = list(struct.unpack(layout.section_format, raw))
    fields[0], fields[4] = name, offset
    return struct.pack(layout.section_format, *fields)
