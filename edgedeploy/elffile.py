"""What a binary needs of the board, read from its ELF file: machine, loader, libraries, symbol versions, float ABI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import ARMAttributesSection
from elftools.elf.segments import InterpSegment

from edgedeploy.artifacts import BinaryRequirements
from edgedeploy.errors import UnreadableInputError

# e_machine -> the architecture as `uname -m` names it, and the features its baseline uses without asking the CPU.
_MACHINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "EM_AARCH64": ("aarch64", ("asimd", "fp")),
    "EM_ARM": ("armv7l", ()),
    "EM_X86_64": ("x86_64", ()),
}

_MACHINE_CLASS = {"EM_AARCH64": 64, "EM_ARM": 32, "EM_X86_64": 64}
_VERSIONED = re.compile(r"^([A-Z][A-Z0-9_]*?)_(\d+(?:\.\d+)*)$")
# 32-bit ARM's build attributes: what the file was compiled for, the highest of its parts.
_FP_FEATURES = {3: ("vfpv3",), 4: ("vfpv3d16",), 5: ("vfpv4",), 6: ("vfpv4",)}
_VFP_ARGUMENTS = {0: "soft", 1: "hard"}
# e_flags of 32-bit ARM: the version of its ABI, and the float ABI that the linker settled for the whole program.
_EABI_MASK, _EABI_5 = 0xFF000000, 0x05000000
_FLOAT_FLAGS = {0x400: "hard", 0x200: "soft"}

# More than any program has; a damaged table of entries that lead to themselves ends here.
_MOST_SECTIONS = 4096
_MOST_ENTRIES = 100_000
_ARM_ATTRIBUTES_BYTES = 65_536
_NOTE_BYTES = 4096
_NOTE_HEAD_BYTES = 12
_FEATURE = re.compile(r"[a-z0-9_]{1,40}")

# The build writes what it has proven of a program's instructions into such a note (build/elfnote.py).
NOTE_SECTION = ".note.edgedeploy.isa"
NOTE_NAME = b"edgedeploy"
NOTE_TYPE = 1

# pyelftools meets damage with whatever its reading stumbles over; each of these means the same to the user.
_DAMAGE = (
    OSError, ELFError, ConstructError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, MemoryError,
    AssertionError, RecursionError,
)  # fmt: skip

_Item = TypeVar("_Item")

# Binaries with packed relative relocations ask for this marker in place of a number; glibc has it since 2.36.
_RELR_MARKER = "GLIBC_ABI_DT_RELR"
_RELR_VERSION = "2.36"


@dataclass(frozen=True, kw_only=True)
class ElfFacts:
    """An ELF file's facts.

    Args:
        architecture: As ``uname -m`` says it.
        isa: Features of the architecture's baseline; on 32-bit ARM those that the file says it was compiled for, code
            behind a run-time check included.
        interpreter: The dynamic loader's path, or None.
        libraries: What it needs loaded (``libc.so.6``), in the file's order.
        glibc: The highest glibc version asked for (``2.34``), None where none is.
        glibc_symbol: A symbol that asks for it, with its version (``__libc_start_main@GLIBC_2.34``).
        versions: The highest version asked for of every other name (``{"GLIBCXX": "3.4.30", "CXXABI": "1.3.13"}``).
        float_abi: ``hard`` or ``soft`` on 32-bit ARM, None elsewhere.
        proven_isa: The features that no run-time check precedes, as the build that proved it wrote into the file;
            None where the file does not say.
    """

    architecture: str
    isa: tuple[str, ...]
    interpreter: str | None
    libraries: tuple[str, ...]
    glibc: str | None
    glibc_symbol: str | None
    versions: tuple[tuple[str, str], ...] = ()
    float_abi: str | None = None
    proven_isa: tuple[str, ...] | None = None

    @property
    def static(self) -> bool:
        """Whether it runs with nothing loaded beside it."""
        return self.interpreter is None and not self.libraries

    def to_requirements(self) -> BinaryRequirements:
        return BinaryRequirements(
            architecture=self.architecture, isa=self.isa, glibc=self.glibc, glibc_symbol=self.glibc_symbol
        )


def read_elf(path: Path) -> ElfFacts:
    """Read a program or shared library.

    Raises:
        UnreadableInputError: Not an ELF file, damaged, or for a machine that no board has.
    """
    try:
        with path.open("rb") as stream:
            return parse_elf(stream, origin=str(path))
    except OSError as error:
        raise _unreadable(str(path), error) from error


def parse_elf(stream: BinaryIO, *, origin: str) -> ElfFacts:
    """Read an open file; ``origin`` is its name in messages.

    Raises:
        UnreadableInputError: As ``read_elf``.
    """
    try:
        return _facts(ELFFile(stream), origin)
    except _DAMAGE as error:
        raise _unreadable(origin, error) from error


def _unreadable(origin: str, error: Exception) -> UnreadableInputError:
    return UnreadableInputError(
        f"{origin} is not a readable ELF file: {error or type(error).__name__}",
        hint="build it again; is the disk full?",
    )


def _facts(elf: ELFFile, origin: str) -> ElfFacts:
    machine = str(elf["e_machine"])
    if machine not in _MACHINES or elf.elfclass != _MACHINE_CLASS[machine] or not elf.little_endian:
        byte_order = "little" if elf.little_endian else "big"
        raise UnreadableInputError(
            f"{origin} is for the machine {machine}, {elf.elfclass} bits, {byte_order}-endian",
            hint=f"supported: {', '.join(sorted(_MACHINES))}, little-endian; check the toolchain",
        )
    if elf.num_sections() > _MOST_SECTIONS or elf.num_segments() > _MOST_SECTIONS:
        raise ValueError("it has more sections or segments than any program")
    if machine == "EM_ARM" and elf["e_flags"] & _EABI_MASK != _EABI_5:
        raise UnreadableInputError(
            f"{origin} is of version {elf['e_flags'] >> 24} of 32-bit ARM's ABI",
            hint="version 5 is supported, which compilers have made since 2006; check the toolchain",
        )
    architecture, isa = _MACHINES[machine]
    attributes = _arm_attributes(elf)
    needed = list(_needed_versions(elf))
    glibc = [(number, symbol) for name, number, symbol in needed if name == "GLIBC"]
    highest = max(glibc, key=lambda item: version_tuple(item[0]), default=(None, None))
    return ElfFacts(
        architecture=architecture,
        isa=isa or _arm_features(attributes),
        interpreter=_interpreter(elf),
        libraries=_libraries(elf),
        glibc=highest[0],
        glibc_symbol=highest[1],
        versions=_other_versions(needed),
        float_abi=_float_abi(elf["e_flags"], attributes) if machine == "EM_ARM" else None,
        proven_isa=_proven_isa(elf),
    )


def _proven_isa(elf: ELFFile) -> tuple[str, ...] | None:
    section = elf.get_section_by_name(NOTE_SECTION)
    if section is None:
        return None
    if section["sh_size"] > _NOTE_BYTES:
        raise ValueError(f"{NOTE_SECTION} is larger than any note")
    content = section.data()
    name_bytes, described_bytes, kind = (int.from_bytes(content[at : at + 4], "little") for at in (0, 4, 8))
    begin = _NOTE_HEAD_BYTES + (name_bytes + 3) // 4 * 4
    name = content[_NOTE_HEAD_BYTES : _NOTE_HEAD_BYTES + name_bytes]
    described = content[begin : begin + described_bytes]
    if name != NOTE_NAME + b"\0" or kind != NOTE_TYPE or len(described) != described_bytes:
        raise ValueError(f"{NOTE_SECTION} is damaged")
    features = tuple(described.decode("ascii").split(",")) if described else ()
    if not all(_FEATURE.fullmatch(feature) for feature in features):
        raise ValueError(f"{NOTE_SECTION} names no features")
    return features


def _float_abi(flags: int, attributes: dict[str, int]) -> str | None:
    """Return what a program's flags say; object files have none and say it in their attributes."""
    said = (abi for bit, abi in _FLOAT_FLAGS.items() if flags & bit)
    return next(said, _VFP_ARGUMENTS.get(attributes.get("TAG_ABI_VFP_ARGS", 0)))


def _arm_attributes(elf: ELFFile) -> dict[str, int]:
    """Return 32-bit ARM's build attributes that are numbers, by tag."""
    return {
        str(attribute.tag): attribute.value
        for section in elf.iter_sections()
        if isinstance(section, ARMAttributesSection) and section.data_size <= _ARM_ATTRIBUTES_BYTES
        for part in section.iter_subsections()
        for scope in part.iter_subsubsections()
        for attribute in scope.iter_attributes()
        if isinstance(attribute.value, int)
    }


def _arm_features(attributes: dict[str, int]) -> tuple[str, ...]:
    """Return features as /proc/cpuinfo names them. Compiled for NEON means VFPv3 at least."""
    simd = ("neon",) if attributes.get("TAG_ADVANCED_SIMD_ARCH", 0) else ()
    division = ("idiva", "idivt") if attributes.get("TAG_DIV_USE", 0) == 2 else ()
    return tuple(sorted((*_FP_FEATURES.get(attributes.get("TAG_FP_ARCH", 0), ()), *simd, *division)))


def _other_versions(needed: list[tuple[str, str, str]]) -> tuple[tuple[str, str], ...]:
    highest: dict[str, str] = {}
    for name, number, _ in needed:
        if name != "GLIBC":
            highest[name] = max(highest.get(name, number), number, key=version_tuple)
    return tuple(sorted(highest.items()))


def _interpreter(elf: ELFFile) -> str | None:
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            return str(segment.get_interp_name())
    return None


def _libraries(elf: ELFFile) -> tuple[str, ...]:
    return tuple(
        str(vars(tag)["needed"])  # set by pyelftools on tags of this kind alone, so its types do not know it
        for section in elf.iter_sections()
        if isinstance(section, DynamicSection)
        for tag in _bounded(section.iter_tags("DT_NEEDED"))
    )


def _needed_versions(elf: ELFFile) -> Iterator[tuple[str, str, str]]:
    """Yield every version asked for as name and number, with a symbol that asks."""
    users = _symbols_by_version_index(elf)
    for section in elf.iter_sections():
        if not isinstance(section, GNUVerNeedSection):
            continue
        for _, versions in _bounded(section.iter_versions()):
            for version in _bounded(versions):
                found = _name_and_number(version.name)
                if found is not None:
                    symbol = users.get(version["vna_other"])
                    yield *found, f"{symbol}@{version.name}" if symbol else version.name


def _symbols_by_version_index(elf: ELFFile) -> dict[int, str]:
    """Return the first symbol, by name, of each version index of the dynamic symbol table."""
    names: dict[int, str] = {}
    for section in elf.iter_sections():
        if isinstance(section, GNUVerSymSection):
            for symbol in _bounded(section.iter_symbols()):
                index = symbol["ndx"]
                if isinstance(index, int):  # the others are local and global marks
                    hidden_bit_off = index & 0x7FFF
                    names[hidden_bit_off] = min(names.get(hidden_bit_off, symbol.name), symbol.name)
    return names


def _bounded(items: Iterable[_Item]) -> Iterator[_Item]:
    for count, item in enumerate(items):
        if count == _MOST_ENTRIES:
            raise ValueError("a table has more entries than any program's")
        yield item


def _name_and_number(version: str) -> tuple[str, str] | None:
    if version == _RELR_MARKER:
        return "GLIBC", _RELR_VERSION
    found = _VERSIONED.match(version)
    return (found[1], found[2]) if found else None


def version_tuple(version: str) -> tuple[int, ...]:
    """Return a version's numbers for comparing: ``(2, 34)`` of ``2.34``."""
    return tuple(int(part) for part in version.split("."))
