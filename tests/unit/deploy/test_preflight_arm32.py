"""The preflight on 32-bit ARM: what a program's ELF file says of its class, float ABI, loader and glibc."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from arm32_programs import LOADER, c_library, linked, start

from edgedeploy.artifacts import BinaryRequirements, BoardFacts, Bundle, BundleFile, CpuCore
from edgedeploy.deploy.preflight import check_programs
from edgedeploy.elffile import read_elf
from edgedeploy.errors import (
    BundleError,
    GlibcTooOldError,
    MissingIsaFeatureError,
    UnreadableInputError,
    WrongArchitectureError,
)
from edgedeploy.files import file_sha256

SOFT_LOADER = "/lib/ld-linux.so.3"
FEATURES = ("half", "neon", "thumb", "vfpv3", "vfpv4")
BOARD = BoardFacts(
    architecture="armv7l",
    kernel="6.1.0",
    os_name="Debian",
    libc="glibc 2.31",
    cores=(CpuCore(index=0, implementer="0x41", part="0xc07", features=FEATURES),),
    memory_total_bytes=1 << 30,
    memory_available_bytes=1 << 29,
    loaders=(LOADER,),
)
FLAGS_AT = 36


def release(runner: Path) -> Bundle:
    """A bundle whose manifest claims a static program for NEON and VFPv3."""
    file = BundleFile(
        path=PurePosixPath("bin/edgedeploy-runner"),
        source=runner,
        sha256=file_sha256(runner),
        size_bytes=runner.stat().st_size,
        mode=0o755,
    )
    return Bundle(
        app="toy",
        board="rpi2",
        digest="ab" * 32,
        manifest=runner,
        files=(file,),
        requirements=BinaryRequirements(architecture="armv7l", isa=("neon", "vfpv3"), glibc=None),
        memory_bytes=1,
    )


def program(directory: Path, *, glibc: str = "2.28", loader: str = LOADER, float_abi: int | None = 1) -> Path:
    """A program that needs a function of glibc of that version."""
    library = c_library(directory, glibc)
    options = (str(library), "-dynamic-linker", loader)
    return linked(directory, start(directory, "answer", float_abi=float_abi), options=options)[0]


def flagged(directory: Path, flags: int) -> Path:
    """The same with other flags in its header."""
    content = bytearray(program(directory).read_bytes())
    content[FLAGS_AT : FLAGS_AT + 4] = flags.to_bytes(4, "little")
    changed = directory / "flagged"
    changed.write_bytes(content)
    return changed


def test_a_hard_float_program_that_fits(tmp_path: Path) -> None:
    runner = program(tmp_path)
    facts = read_elf(runner)
    assert (facts.architecture, facts.float_abi, facts.interpreter) == ("armv7l", "hard", LOADER)
    assert (facts.libraries, facts.glibc, facts.glibc_symbol) == (("libc.so.6",), "2.28", "answer@GLIBC_2.28")
    check_programs(release(runner), BOARD)
    check_programs(release(runner), replace(BOARD, architecture="armv8l"))


def test_glibc_older_than_a_symbol(tmp_path: Path) -> None:
    with pytest.raises(GlibcTooOldError, match=r"glibc 2\.34 \(for answer@GLIBC_2\.34\), the board has glibc 2\.31"):
        check_programs(release(program(tmp_path, glibc="2.34")), BOARD)


def test_a_64_bit_system_does_not_load_it(tmp_path: Path) -> None:
    with pytest.raises(WrongArchitectureError, match="for armv7l, the board is aarch64"):
        check_programs(release(program(tmp_path)), replace(BOARD, architecture="aarch64"))


def test_a_soft_float_system_does_not_load_it(tmp_path: Path) -> None:
    with pytest.raises(WrongArchitectureError, match=f"loaded by {LOADER}, the board has {SOFT_LOADER}"):
        check_programs(release(program(tmp_path)), replace(BOARD, loaders=(SOFT_LOADER,)))


def test_soft_float_code_under_a_hard_float_loader(tmp_path: Path) -> None:
    runner = program(tmp_path, float_abi=0)
    assert read_elf(runner).float_abi == "soft"
    with pytest.raises(BundleError, match=f"compiled for soft float, its loader {LOADER} brings libraries for hard"):
        check_programs(release(runner), BOARD)
    soft_board = replace(BOARD, loaders=(SOFT_LOADER,))
    check_programs(release(program(tmp_path, loader=SOFT_LOADER, float_abi=0)), soft_board)


def test_the_headers_flags_count_before_the_attributes(tmp_path: Path) -> None:
    assert read_elf(flagged(tmp_path, 0x05000200)).float_abi == "soft"
    assert read_elf(flagged(tmp_path, 0x05000000)).float_abi == "hard"


def test_another_abi_than_eabi_5(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError, match="version 4 of 32-bit ARM's ABI"):
        read_elf(flagged(tmp_path, 0x04000400))


def test_a_64_bit_file_of_the_32_bit_machine(tmp_path: Path) -> None:
    content = bytearray(program(tmp_path).read_bytes())
    content[4] = 2  # EI_CLASS
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    with pytest.raises(UnreadableInputError):
        read_elf(damaged)


def test_what_the_manifest_says_of_instructions_is_held_against_the_cores(tmp_path: Path) -> None:
    core = replace(BOARD.cores[0], features=("thumb", "vfpv3"))
    with pytest.raises(MissingIsaFeatureError, match=r"neon \(cores 0\)"):
        check_programs(release(program(tmp_path)), replace(BOARD, cores=(core,)))
