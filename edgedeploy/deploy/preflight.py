"""Whether a bundle can run on a board at all, before anything is sent. Pure: facts and numbers in, errors out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from edgedeploy.artifacts import BinaryRequirements, BoardFacts, Bundle, BundleFile
from edgedeploy.elffile import ElfFacts, read_elf
from edgedeploy.errors import (
    BundleError,
    DiskFullError,
    GlibcTooOldError,
    MissingIsaFeatureError,
    NotEnoughMemoryError,
    WrongArchitectureError,
)

# ext4's and most flash file systems' allocation unit.
BLOCK_BYTES = 4096
# Directories, links, the lock, one more line of history.
OVERHEAD_BYTES = 256 * 1024

# What glibc itself consists of; a release brings no other library, and boards often lack them.
_GLIBC_LIBRARY = re.compile(r"^(?:lib(?:c|m|pthread|dl|rt|util|resolv)\.so\.\d+|ld-linux[a-z0-9_.-]*\.so\.\d+)$")
_HARD_FLOAT_LOADER = re.compile(r"armhf[a-z0-9_.-]*\.so\.\d+$")
_PROGRAMS = "bin"
_SCRIPT_START = b"#!"

_SAME_ARCHITECTURE = {
    "arm64": "aarch64",
    "armv7": "armv7l",
    "armhf": "armv7l",
    "armv8l": "armv7l",
    "amd64": "x86_64",
}


def preflight(
    bundle: Bundle,
    facts: BoardFacts,
    *,
    files_to_send: Iterable[BundleFile],
    free_disk_bytes: int,
    free_memory_bytes: int,
) -> None:
    """Check everything that can be known beforehand.

    Args:
        bundle: Its requirements and memory estimate.
        facts: What the board said about itself.
        files_to_send: Only these take room: what the board's store has already does not count again.
        free_disk_bytes: On the file system of the app's directory.
        free_memory_bytes: What the kernel calls available.

    Raises:
        WrongArchitectureError, MissingIsaFeatureError, GlibcTooOldError: The binaries cannot run there.
        DiskFullError, NotEnoughMemoryError: They do not fit; both numbers are in the message.
    """
    check_programs(bundle, facts)
    check_disk(files_to_send, free_disk_bytes)
    check_memory(bundle.memory_bytes, free_memory_bytes)


def check_programs(bundle: Bundle, facts: BoardFacts) -> None:
    """Check what the manifest says the programs need, and what their ELF files themselves ask for.

    Raises:
        BundleError: A program needs a library that is not glibc's own, or mixes float ABIs.
        UnreadableInputError: A program is no readable ELF file (scripts are passed over).
        WrongArchitectureError, MissingIsaFeatureError, GlibcTooOldError: As ``check_binaries``.
    """
    check_binaries(bundle.requirements, facts)
    for file in bundle.files:
        if file.path.parts[0] == _PROGRAMS and not _is_script(file):
            elf = read_elf(file.source)
            check_libraries(elf, str(file.path))
            check_float_abi(elf, str(file.path))
            check_loader(elf, facts)
            # Not what it was compiled for, which code behind run-time checks may exceed: what the build has proven and
            # written into the file. One without has its manifest alone.
            check_binaries(replace(elf.to_requirements(), isa=elf.proven_isa or ()), facts)


def check_libraries(elf: ElfFacts, name: str) -> None:
    """Check that a program needs no library beyond glibc."""
    foreign = [library for library in elf.libraries if not _GLIBC_LIBRARY.match(library)]
    if foreign:
        raise BundleError(
            f"{name} needs {', '.join(foreign)}, which no release brings along",
            hint="link it statically; edgedeploy build does",
        )


def check_float_abi(elf: ElfFacts, name: str) -> None:
    """Check that a 32-bit program passes floats as the libraries that its loader brings: in registers or not."""
    if elf.interpreter is None or elf.float_abi is None:
        return
    loaded = "hard" if _HARD_FLOAT_LOADER.search(elf.interpreter) else "soft"
    if loaded != elf.float_abi:
        raise BundleError(
            f"{name} is compiled for {elf.float_abi} float, its loader {elf.interpreter} brings libraries "
            f"for {loaded} float",
            hint="-mfloat-abi has to be the same for all that is linked",
        )


def check_loader(elf: ElfFacts, facts: BoardFacts) -> None:
    """Check that the board has the program's loader: a 64-bit kernel may run under a 32-bit system."""
    if elf.interpreter is None or not facts.loaders or elf.interpreter in facts.loaders:
        return
    raise WrongArchitectureError(
        f"the binaries are loaded by {elf.interpreter}, the board has {', '.join(facts.loaders)}",
        hint="its system is for another architecture or float ABI than its kernel; static binaries need no loader: "
        "edgedeploy flash --toolchain debian",
    )


def check_binaries(needs: BinaryRequirements, facts: BoardFacts) -> None:
    """Check architecture, instruction sets of every core, and the C library."""
    if _architecture(needs.architecture) != _architecture(facts.architecture):
        raise WrongArchitectureError(
            f"the binaries are for {needs.architecture}, the board is {facts.architecture}",
            hint="choose the right board with --board, or its right address with --host",
        )
    _check_isa(needs.isa, facts)
    if needs.glibc is not None:
        _check_glibc(needs.glibc, needs.glibc_symbol, facts.libc)


def check_disk(files_to_send: Iterable[BundleFile], free_disk_bytes: int) -> None:
    """Check that the files to send fit, each rounded up to whole blocks."""
    needed = bytes_on_disk(files_to_send)
    if needed > free_disk_bytes:
        raise DiskFullError(
            f"the board's file system has {_mb(free_disk_bytes)} free, but the release needs {_mb(needed)}",
            hint="free some space on the board, or choose another directory there with --directory",
        )


def check_memory(needed_bytes: int, free_memory_bytes: int) -> None:
    """Check that the model's estimated memory is available."""
    if needed_bytes > free_memory_bytes:
        raise NotEnoughMemoryError(
            f"the board has {_mb(free_memory_bytes)} of memory available, but the model needs {_mb(needed_bytes)}",
            hint="stop other programs on the board, or use a smaller input shape or model",
        )


def bytes_on_disk(files: Iterable[BundleFile]) -> int:
    """Return what files take on the board; equal content is stored once.

    Example:
        One file of 5,000 bytes takes 8,192, plus the overhead of 262,144.
    """
    sizes = {file.sha256: file.size_bytes for file in files}
    blocks = sum(-(-size // BLOCK_BYTES) for size in sizes.values())
    return blocks * BLOCK_BYTES + (OVERHEAD_BYTES if sizes else 0)


def _check_isa(needed: tuple[str, ...], facts: BoardFacts) -> None:
    missing = sorted(set(needed) - facts.features)
    if not missing:
        return
    where = []
    for feature in missing:
        cores = [str(core.index) for core in facts.cores if feature not in core.features]
        where.append(f"{feature} (cores {', '.join(cores)})" if cores else feature)
    raise MissingIsaFeatureError(
        f"the binaries use instructions that the board lacks: {'; '.join(where)}",
        hint="build for this board: choose its definition with --board",
    )


def _check_glibc(needed: str, symbol: str | None, libc: str | None) -> None:
    wanted = f"glibc {needed}" + (f" (for {symbol})" if symbol else "")
    if libc is None or "musl" in libc.lower():
        raise GlibcTooOldError(
            f"the binaries need {wanted}, the board has {libc or 'a C library that it does not name'}",
            hint="static binaries need no C library: edgedeploy flash --toolchain debian",
        )
    if _version(libc) < _version(needed):
        raise GlibcTooOldError(
            f"the binaries need {wanted}, the board has {libc}",
            hint="edgedeploy flash --toolchain zig builds for the board's glibc, --toolchain debian a static program",
        )


def _is_script(file: BundleFile) -> bool:
    with file.source.open("rb") as stream:
        return stream.read(len(_SCRIPT_START)) == _SCRIPT_START


def _architecture(name: str) -> str:
    return _SAME_ARCHITECTURE.get(name, name)


def _version(text: str) -> tuple[int, ...]:
    match = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
