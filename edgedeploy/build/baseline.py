"""Proof that a linked program runs on a core with nothing beyond the baseline until it has asked what the core has.

The baseline is ARMv8.0-A, on 32-bit ARM ARMv7-A with NEON and VFPv3.

Code for later instruction sets lies in source files of its own (``convolution_arm_asimddp.cpp``), compiled with their
own ``-march`` and entered behind a run-time check. So an instruction of an extension may stand in such a file's
functions and nowhere else. Two mistakes would break that, and both show here: a flag that reached another file, and a
template or inline function that such a file compiled for itself and the linker kept for everybody.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection
from numpy.typing import NDArray

from edgedeploy.build import a32, a64
from edgedeploy.errors import BuildFailedError

_VARIANT = re.compile(
    r"_(?:vfpv4|asimdhp|asimddp|asimdfhm|bf16|i8mm|sve|sve2|svebf16|svei8mm|svef32mm|neondot|neoni8mm|sha2)(?:\.(?:cpp|S|s))?(?:\.o)?$"
)
# Functions of the C library and the compiler's run-time library that ask the CPU, the kernel or a frame themselves, or
# that the loader chooses by what the CPU has.
_GUARDED = re.compile(
    r"^_*(?:"
    r"(?P<atomics>aarch64_(?:cas|swp|ldadd|ldclr|ldeor|ldset)\d+_(?:relax|acq|rel|acq_rel|sync))|"
    r"(?P<sve>mem(?:cpy|move|set)_(?:a64fx|sve)|execute_stack_op|Unwind_GetGR|uw_update_context(?:_1)?)|"
    r"(?P<mops>mem(?:cpy|move|set)_mops)|"
    r"(?P<mte>libc_mtag_\w+|(?:libc_)?malloc\w*|(?:libc_)?(?:calloc|realloc\w*|free)|int_(?:malloc|free|realloc|memalign)|mid_memalign)"
    r")(?:\.\w+)*$"
)
# LLVM's unwinder looks at these registers where a frame says that it saved them.
_UNWINDER = re.compile(r"^_+(?:ZN9libunwind\w+|libunwind_Registers_arm64_\w+)$")
_UNWINDER_FEATURES = frozenset({"mte", "sme", "sve"})
_EXECUTABLE = 4
_DECODERS: Mapping[str, Callable[[a64.Words], dict[str, NDArray[np.bool_]]]] = {
    "EM_AARCH64": a64.features_of_words,
    "EM_ARM": a32.features_of_words,
}
# Symbols that say what begins at an address: code, data, or 32-bit ARM's code of half-words.
_CODE, _DATA, _THUMB = 0, 1, 2
_MARKS = {"$x": _CODE, "$a": _CODE, "$d": _DATA, "$t": _THUMB}
_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_BYTES = 60
_NO_FUNCTION = "code without a function's name"


@dataclass(frozen=True, kw_only=True)
class Unguarded:
    """An instruction of ``feature`` (as in /proc/cpuinfo) in ``function``, which no run-time check precedes."""

    feature: str
    function: str


@dataclass(frozen=True, kw_only=True)
class _Function:
    start: int
    end: int
    name: str
    weak: bool
    file: str | None


def unguarded_features(program: Path, archives: Iterable[Path]) -> tuple[Unguarded, ...]:
    """Return what a program uses beyond the baseline without a run-time check, sorted; empty is the proof.

    Args:
        program: Linked for 64-bit or 32-bit ARM, with its symbols.
        archives: The static libraries that it was linked from; those of the toolchain need not be among them.

    Raises:
        BuildFailedError: The program has no symbols or has Thumb code, or an archive is none.
    """
    with program.open("rb") as stream:
        elf = ELFFile(stream)
        functions, marks = _functions(elf)
        if not functions:
            raise BuildFailedError(
                f"{program.name} has no symbols", hint="a linker flag in the toolchain file strips it"
            )
        if (marks[:, 1] == _THUMB).any():
            raise BuildFailedError(
                f"{program.name} has Thumb code, which the proof of its instructions does not read",
                hint="compile for A32: -marm in the toolchain file",
            )
        decode = _DECODERS[str(elf["e_machine"])]
        guarded = frozenset(name for archive in archives for name in _strong_functions_of_variants(archive))
        found = {
            Unguarded(feature=feature, function=function.name if function else _NO_FUNCTION)
            for section in elf.iter_sections()
            if section["sh_flags"] & _EXECUTABLE
            for feature, addresses in _extension_addresses(section, marks, decode)
            for function in _owners(functions, addresses)
            if not _is_guarded(function, feature, guarded)
        }
    return tuple(sorted(found, key=lambda use: (use.feature, use.function)))


def _is_guarded(function: _Function | None, feature: str, guarded: frozenset[str]) -> bool:
    if function is None or function.weak:
        return _is_runtime_library(function, feature)
    if function.file is not None:
        return _VARIANT.search(function.file) is not None or _is_runtime_library(function, feature)
    return function.name in guarded or _is_runtime_library(function, feature)


def _is_runtime_library(function: _Function | None, feature: str) -> bool:
    if function is None:
        return False
    if feature in _UNWINDER_FEATURES and _UNWINDER.match(function.name):
        return True
    match = _GUARDED.match(function.name)
    return match is not None and feature in match.groupdict() and match[feature] is not None


def _functions(elf: ELFFile) -> tuple[list[_Function], NDArray[np.int64]]:
    """Return the functions by address, and where code turns into data and back: pairs of address and what begins."""
    functions: list[_Function] = []
    marks: list[tuple[int, int]] = []
    for table in elf.iter_sections():
        if not isinstance(table, SymbolTableSection) or table.name != ".symtab":
            continue
        file: str | None = None
        for symbol in table.iter_symbols():
            kind, binding = symbol["st_info"]["type"], symbol["st_info"]["bind"]
            if kind == "STT_FILE":
                file = symbol.name
            elif kind in {"STT_FUNC", "STT_LOOS"}:  # the second: chosen by the loader
                # The linker makes hidden functions local and puts them behind whichever file came last.
                local = binding == "STB_LOCAL" and symbol["st_other"]["visibility"] != "STV_HIDDEN"
                functions.append(
                    _Function(
                        start=symbol["st_value"],
                        end=symbol["st_value"] + symbol["st_size"],
                        name=symbol.name,
                        weak=binding == "STB_WEAK",
                        file=file if local else None,
                    )
                )
            elif kind == "STT_NOTYPE" and symbol.name[:2] in _MARKS:
                marks.append((symbol["st_value"], _MARKS[symbol.name[:2]]))
    functions.sort(key=lambda item: item.start)
    for index, (function, following) in enumerate(pairwise(functions)):
        if function.end == function.start < following.start:  # assembly without a size reaches up to the next one
            functions[index] = replace(function, end=following.start)
    return functions, np.array(sorted(marks), dtype=np.int64).reshape(-1, 2)


def _extension_addresses(
    section: Section, marks: NDArray[np.int64], decode: Callable[[a64.Words], dict[str, NDArray[np.bool_]]]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each feature and the addresses of its instructions; data among the code is passed over."""
    content = section.data()
    words = np.frombuffer(content[: len(content) // 4 * 4], dtype="<u4")
    addresses = section["sh_addr"] + 4 * np.arange(len(words), dtype=np.int64)
    is_code = np.ones(len(words), dtype=np.bool_)
    if len(marks):
        last = np.searchsorted(marks[:, 0], addresses, side="right") - 1
        is_code = (last < 0) | (marks[np.maximum(last, 0), 1] == _CODE)
    for feature, hits in decode(words).items():
        yield feature, addresses[hits & is_code]


def _owners(functions: list[_Function], addresses: NDArray[np.int64]) -> Iterator[_Function | None]:
    """Yield every function that covers one of the addresses, None for an address that none covers.

    Where a function has several names, the strictest counts: a weak one, for the linker took it among copies.
    """
    starts = np.array([function.start for function in functions], dtype=np.int64)
    for start in {int(index) for index in np.searchsorted(starts, addresses, side="right")}:
        candidates = [functions[index] for index in range(max(0, start - 8), start)]
        first = int(addresses[np.searchsorted(starts, addresses, side="right") == start][0])
        covering = [function for function in candidates if function.start <= first < function.end]
        yield min(covering, key=lambda function: not function.weak, default=None)


def _strong_functions_of_variants(archive: Path) -> Iterator[str]:
    """Yield the global functions, templates and inline ones left out, of an archive's files for later cores."""
    for name, content in archive_members(archive):
        if _VARIANT.search(PurePosixPath(name).name) is None:
            continue
        for table in ELFFile(io.BytesIO(content)).iter_sections():
            if isinstance(table, SymbolTableSection):
                yield from (
                    symbol.name
                    for symbol in table.iter_symbols()
                    if symbol["st_info"]["bind"] == "STB_GLOBAL" and symbol["st_shndx"] != "SHN_UNDEF"
                )


def archive_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of a static library in GNU's format.

    Raises:
        BuildFailedError: It is none.
    """
    content = archive.read_bytes()
    if not content.startswith(_AR_MAGIC):
        raise BuildFailedError(f"{archive} is not a static library", hint="build it again; is the disk full?")
    position, long_names = len(_AR_MAGIC), b""
    while position + _AR_HEADER_BYTES <= len(content):
        header = content[position : position + _AR_HEADER_BYTES]
        size = int(header[48:58])
        name = header[:16].rstrip().decode("ascii")
        body = content[position + _AR_HEADER_BYTES : position + _AR_HEADER_BYTES + size]
        position += _AR_HEADER_BYTES + size + size % 2
        if name == "//":
            long_names = body
        elif name not in {"/", "/SYM64/"}:
            if name.startswith("/"):
                start = int(name[1:])
                name = long_names[start : long_names.index(b"\n", start)].decode("utf-8")
            yield name.rstrip("/"), body
