"""What a binary needs of the board, read from its ELF file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.segments import InterpSegment

from edgedeploy.artifacts import BinaryRequirements
from edgedeploy.errors import BuildFailedError

# e_machine -> the architecture as `uname -m` names it, and the features its baseline uses without asking the CPU.
_MACHINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "EM_AARCH64": ("aarch64", ("asimd", "fp")),
    "EM_ARM": ("armv7l", ("neon", "vfpv3")),
    "EM_X86_64": ("x86_64", ()),
}

_GLIBC = re.compile(r"^GLIBC_(\d+(?:\.\d+)+)$")

# Binaries with packed relative relocations ask for this marker in place of a number; glibc has it since 2.36.
_RELR_MARKER = "GLIBC_ABI_DT_RELR"
_RELR_VERSION = "2.36"


@dataclass(frozen=True, kw_only=True)
class ElfFacts:
    """An ELF file's facts.

    Args:
        architecture: As ``uname -m`` says it.
        isa: Features of the architecture's baseline.
        interpreter: The dynamic loader's path, or None.
        libraries: What it needs loaded (``libc.so.6``), in the file's order.
        glibc: The highest glibc version asked for (``2.34``), None where none is.
        glibc_symbol: A symbol that asks for it, with its version (``__libc_start_main@GLIBC_2.34``).
    """

    architecture: str
    isa: tuple[str, ...]
    interpreter: str | None
    libraries: tuple[str, ...]
    glibc: str | None
    glibc_symbol: str | None

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
        BuildFailedError: Not an ELF file, damaged, or for a machine that no board has.
    """
    try:
        with path.open("rb") as stream:
            return _facts(ELFFile(stream), path)
    except (OSError, ELFError, ConstructError, UnicodeDecodeError, ValueError, KeyError, AttributeError) as error:
        # pyelftools meets damage with whatever its reading stumbles over; each of these means the same to the user.
        raise BuildFailedError(
            f"{path} is not a readable ELF file: {error or type(error).__name__}",
            hint="build it again; is the disk full?",
        ) from error


def _facts(elf: ELFFile, path: Path) -> ElfFacts:
    machine = str(elf["e_machine"])
    if machine not in _MACHINES:
        raise BuildFailedError(
            f"{path} is for the machine {machine}",
            hint=f"supported: {', '.join(sorted(_MACHINES))}; check the toolchain",
        )
    architecture, isa = _MACHINES[machine]
    needed = list(_needed_versions(elf))
    highest = max(needed, key=lambda item: _version_tuple(item[0]), default=(None, None))
    return ElfFacts(
        architecture=architecture,
        isa=isa,
        interpreter=_interpreter(elf),
        libraries=_libraries(elf),
        glibc=highest[0],
        glibc_symbol=highest[1],
    )


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
        for tag in section.iter_tags("DT_NEEDED")
    )


def _needed_versions(elf: ELFFile) -> Iterator[tuple[str, str]]:
    """Yield every glibc version asked for, with a symbol that asks."""
    users = _symbols_by_version_index(elf)
    for section in elf.iter_sections():
        if not isinstance(section, GNUVerNeedSection):
            continue
        for _, versions in section.iter_versions():
            for version in versions:
                number = _glibc_number(version.name)
                if number is not None:
                    symbol = users.get(version["vna_other"])
                    yield number, f"{symbol}@{version.name}" if symbol else version.name


def _symbols_by_version_index(elf: ELFFile) -> dict[int, str]:
    """Return the first symbol, by name, of each version index of the dynamic symbol table."""
    names: dict[int, str] = {}
    for section in elf.iter_sections():
        if isinstance(section, GNUVerSymSection):
            for symbol in section.iter_symbols():
                index = symbol["ndx"]
                if isinstance(index, int):  # the others are local and global marks
                    hidden_bit_off = index & 0x7FFF
                    names[hidden_bit_off] = min(names.get(hidden_bit_off, symbol.name), symbol.name)
    return names


def _glibc_number(version: str) -> str | None:
    if version == _RELR_MARKER:
        return _RELR_VERSION
    found = _GLIBC.match(version)
    return found[1] if found else None


def _version_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
