"""Writing into a finished program which instruction sets it was proven to need, where the preflight reads it."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

from elftools.elf.elffile import ELFFile

from edgedeploy.build.elfstrip import LAYOUTS
from edgedeploy.elffile import NOTE_NAME, NOTE_SECTION, NOTE_TYPE

_SHT_NOTE = 7
_WORD_BYTES = 4


def with_isa_note(content: bytes, features: Sequence[str]) -> bytes:
    """Return a little-endian program with a section that names features (as in /proc/cpuinfo); nothing loads it.

    What is loaded, and where, stays as it is.
    """
    elf = ELFFile(io.BytesIO(content))
    layout, names = LAYOUTS[elf.elfclass], elf.get_section(elf["e_shstrndx"])
    table = content[elf["e_shoff"] : elf["e_shoff"] + elf["e_shnum"] * elf["e_shentsize"]]
    entries = [list(entry) for entry in struct.iter_unpack(layout.section_format, table)]
    text = names.data()
    image = bytearray(content)
    image += bytes(-len(image) % layout.alignment)
    note = _note(",".join(sorted(features)).encode("ascii"))
    entries.append([len(text), _SHT_NOTE, 0, 0, len(image), len(note), 0, 0, _WORD_BYTES, 0])
    image += note
    text += NOTE_SECTION.encode("ascii") + b"\0"
    entries[elf["e_shstrndx"]][4:6] = len(image), len(text)
    image += text
    image += bytes(-len(image) % layout.alignment)
    struct.pack_into(layout.shoff_format, image, layout.shoff, len(image))
    struct.pack_into("<H", image, layout.shnum, len(entries))
    return bytes(image) + b"".join(struct.pack(layout.section_format, *entry) for entry in entries)


def _note(described: bytes) -> bytes:
    name = NOTE_NAME + b"\0"
    head = struct.pack("<III", len(name), len(described), NOTE_TYPE)
    return head + _padded(name) + _padded(described)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _WORD_BYTES)
