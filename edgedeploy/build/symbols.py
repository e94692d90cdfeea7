"""The functions of a program before its symbols are taken out: what an address in it belongs to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgedeploy.build.toolchain import Toolchain
from edgedeploy.build.tools import find_tool
from edgedeploy.errors import BuildFailedError

_COLUMNS = 7
_FUNCTION_TYPE = "FUNC"
_ELF_FUNCTION = "STT_FUNC"
# Functions whose variant the C library chooses at run time have a type of the GNU system's own.
_INDIRECT_CLASS = "i"


def write_symbols(binary: Path, destination: Path, toolchain: Toolchain) -> None:
    """Write the program's functions to a text file, one ``address size name`` a line, in the order of addresses.

    Raises:
        MissingToolError: The triple's ``nm`` is not installed.
        BuildFailedError: It refused the file, or the file has no symbols.
    """
    if toolchain.is_zig:
        destination.write_text("".join(f"{line}\n" for line in _mangled_lines(binary)), encoding="utf-8")
        return
    program = find_tool(toolchain.nm)
    command: list[str | Path] = [program, "--format=sysv", "--demangle", "--defined-only", binary]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError as error:
        raise BuildFailedError(f"{program.name} failed: {error.stderr.strip()}", hint="is the disk full?") from error
    lines = symbol_lines(listing)
    if not lines:
        raise BuildFailedError(f"{binary.name} has no symbols", hint="a linker flag in the toolchain file strips it")
    destination.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def symbol_lines(listing: str) -> list[str]:
    """Turn what ``nm --format=sysv --demangle`` prints into the lines of the file.

    Args:
        listing: Columns between bars: name, value, class, type, size, line, section. A name can have bars too.

    Returns:
        Address and size as 16 hexadecimal digits and the name, which can have spaces. A function without a size, such
        as start-up code in assembly, reaches up to the next one. Names for the same address have a line each.

    Example:
        >>> symbol_lines("f(int)|0000000000000040|   T  |FUNC|0000000000000008|     |.text")
        ['0000000000000040 0000000000000008 f(int)']
    """
    return _lines(sorted(entry for line in listing.splitlines() if (entry := _function(line)) is not None))


def _mangled_lines(binary: Path) -> list[str]:
    """Return the lines without binutils, names as the linker has them."""
    with binary.open("rb") as stream:
        tables = [item for item in ELFFile(stream).iter_sections() if isinstance(item, SymbolTableSection)]
        functions = sorted(
            (symbol["st_value"], symbol.name, symbol["st_size"])
            for table in tables
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] == _ELF_FUNCTION and symbol["st_shndx"] != "SHN_UNDEF"
        )
    return _lines(dict.fromkeys(functions))


def _lines(functions: Iterable[tuple[int, str, int]]) -> list[str]:
    listed = list(functions)
    following = dict(pairwise(sorted({address for address, _, _ in listed})))
    return [
        f"{address:016x} {size or following.get(address, address) - address:016x} {name}"
        for address, name, size in listed
    ]


def _function(line: str) -> tuple[int, str, int] | None:
    columns = [column.strip() for column in line.rsplit("|", _COLUMNS - 1)]
    if len(columns) != _COLUMNS:
        return None
    name, value, kind, symbol_type, size, _, _ = columns
    if symbol_type != _FUNCTION_TYPE and kind != _INDIRECT_CLASS:
        return None
    return int(value, 16), name, int(size or "0", 16)
