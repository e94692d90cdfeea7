"""The preflight reads the programs themselves: what a manifest forgets does not pass."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from edgedeploy.artifacts import BinaryRequirements, BoardFacts, Bundle, BundleFile, CpuCore
from edgedeploy.build.elfnote import with_isa_note
from edgedeploy.deploy.preflight import check_programs
from edgedeploy.errors import (
    BundleError,
    GlibcTooOldError,
    MissingIsaFeatureError,
    UnreadableInputError,
    WrongArchitectureError,
)
from edgedeploy.files import file_sha256

LOADER = "/lib/ld-linux-aarch64.so.1"
BOARD = BoardFacts(
    architecture="aarch64",
    kernel="6.1.0",
    os_name="Debian",
    libc="glibc 2.36",
    cores=(CpuCore(index=0, implementer="0x41", part="0xd08", features=("fp", "asimd")),),
    memory_total_bytes=1 << 30,
    memory_available_bytes=1 << 29,
    loaders=(LOADER,),
)


def release(directory: Path, program: bytes | None = None, *options: str) -> Bundle:
    """A bundle whose manifest claims a static program."""
    source, runner = directory / "runner.c", directory / "runner"
    if program is None:
        source.write_text("#include <math.h>\nint main(int n, char **v) { return pow(n, n) > 2; }\n")
        command = ["aarch64-linux-gnu-gcc", "-o", runner, source, *options, "-lm"]
        subprocess.run(command, check=True, timeout=60)
    else:
        runner.write_bytes(program)
    file = BundleFile(
        path=PurePosixPath("bin/edgedeploy-runner"),
        source=runner,
        sha256=file_sha256(runner),
        size_bytes=runner.stat().st_size,
        mode=0o755,
    )
    return Bundle(
        app="toy",
        board="rk3399",
        digest="ab" * 32,
        manifest=runner,
        files=(file,),
        requirements=BinaryRequirements(architecture="aarch64", isa=("asimd", "fp"), glibc=None),
        memory_bytes=1,
    )


def test_what_fits_passes(tmp_path: Path) -> None:
    check_programs(release(tmp_path), BOARD)
    check_programs(
        release(tmp_path, None, "-static"), replace(BOARD, libc=None, loaders=("/lib/ld-musl-aarch64.so.1",))
    )
    check_programs(release(tmp_path, b"#!/bin/sh\n"), BOARD)


def test_a_glibc_that_the_manifest_forgot(tmp_path: Path) -> None:
    with pytest.raises(
        GlibcTooOldError, match=r"need glibc 2\.34 \(for \w+@GLIBC_2\.34\), the board has glibc 2\.28"
    ) as caught:
        check_programs(release(tmp_path), replace(BOARD, libc="glibc 2.28"))
    assert "--toolchain zig" in caught.value.hint


def test_instructions_that_the_manifest_forgot(tmp_path: Path) -> None:
    program = release(tmp_path, None, "-static").files[0].source
    noted = release(tmp_path, with_isa_note(program.read_bytes(), ["asimd", "asimddp", "fp"]))
    with pytest.raises(MissingIsaFeatureError, match=r"asimddp \(cores 0\)"):
        check_programs(noted, BOARD)
    core = replace(BOARD.cores[0], features=("fp", "asimd", "asimddp"))
    check_programs(noted, replace(BOARD, cores=(core,)))


def test_a_library_that_no_release_brings(tmp_path: Path) -> None:
    library = tmp_path / "libparts.so.1"
    (tmp_path / "parts.c").write_text("int part(void) { return 1; }\n")
    command = ["aarch64-linux-gnu-gcc", "-shared", f"-Wl,-soname,{library.name}", "-o", library, tmp_path / "parts.c"]
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(BundleError, match=r"bin/edgedeploy-runner needs libparts\.so\.1, which"):
        check_programs(release(tmp_path, None, "-Wl,--no-as-needed", str(library)), BOARD)


def test_a_system_of_another_abi_under_the_same_kernel(tmp_path: Path) -> None:
    other = replace(BOARD, loaders=("/lib/ld-linux-armhf.so.3",))
    with pytest.raises(WrongArchitectureError, match=f"loaded by {LOADER}, the board has /lib/ld-linux-armhf"):
        check_programs(release(tmp_path), other)
    check_programs(release(tmp_path, None, "-static"), other)


def test_a_board_that_does_not_name_its_loaders_is_taken_at_its_word(tmp_path: Path) -> None:
    check_programs(release(tmp_path), replace(BOARD, loaders=()))


def test_a_program_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError, match="not a readable ELF file"):
        check_programs(release(tmp_path, b"\x7fELF and nothing more"), BOARD)
