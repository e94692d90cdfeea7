"""The note of proven instruction sets: written into real programs, read back, and in nobody's way."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import pytest
from arm32_programs import assembled, linked, start
from elftools.elf.elffile import ELFFile

from edgedeploy.build.baseline import Unguarded
from edgedeploy.build.elfnote import with_isa_note
from edgedeploy.build.elfstrip import without_symbols
from edgedeploy.build.runtime import check_installer
from edgedeploy.elffile import NOTE_SECTION, ElfFacts, parse_elf
from edgedeploy.errors import BuildFailedError, UnreadableInputError


def arm64(directory: Path, *options: str) -> bytes:
    source, program = directory / "program.c", directory / "program"
    source.write_text("int main(void) { return 7; }\n")
    subprocess.run(["aarch64-linux-gnu-gcc", *options, "-o", program, source], check=True, timeout=60)
    return program.read_bytes()


def facts_of(content: bytes) -> ElfFacts:
    return parse_elf(io.BytesIO(content), origin="program")


@pytest.fixture(params=["static", "dynamic", "stripped", "32 bits"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    if request.param == "32 bits":
        return linked(tmp_path, start(tmp_path), assembled(tmp_path, "part", "nop"))[0].read_bytes()
    if request.param == "stripped":
        return without_symbols(arm64(tmp_path))
    return arm64(tmp_path, *(["-static"] if request.param == "static" else []))


@pytest.mark.parametrize("features", [(), ("fp",), ("asimd", "asimddp", "fp")])
def test_features_are_read_back_and_nothing_else_changes(program: bytes, features: tuple[str, ...]) -> None:
    noted = with_isa_note(program, features)
    before, after = facts_of(program), facts_of(noted)
    assert (before.proven_isa, after.proven_isa) == (None, features)
    assert (after.isa, after.glibc, after.libraries, after.float_abi) == (
        before.isa,
        before.glibc,
        before.libraries,
        before.float_abi,
    )
    old, new = ELFFile(io.BytesIO(program)), ELFFile(io.BytesIO(noted))
    assert [segment.header for segment in new.iter_segments()] == [segment.header for segment in old.iter_segments()]
    for section in old.iter_sections():
        if section.name != ".shstrtab":
            assert new.get_section_by_name(section.name).data() == section.data()
    assert with_isa_note(program, reversed(features)) == noted


def test_such_a_program_runs(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    noted.write_bytes(with_isa_note(arm64(tmp_path, "-static"), ["fp"]))
    noted.chmod(0o755)
    assert subprocess.run(["qemu-aarch64", noted], check=False, timeout=60).returncode == 7


@pytest.mark.parametrize(("at", "word"), [(0, 11 + 4), (4, 1000), (8, 2), (12, 0x66666666), (24, 0x20202020)], ids=str)
def test_damaged_note_is_told(tmp_path: Path, at: int, word: int) -> None:
    content = bytearray(with_isa_note(arm64(tmp_path), ["asimd", "fp"]))
    section = ELFFile(io.BytesIO(bytes(content))).get_section_by_name(NOTE_SECTION)
    struct.pack_into("<I", content, section["sh_offset"] + at, word)
    with pytest.raises(UnreadableInputError, match="not a readable ELF file"):
        facts_of(bytes(content))


def test_small_program_needs_no_more_than_the_runner() -> None:
    dot = Unguarded(feature="asimddp", function="kernel")
    check_installer([dot], [dot, Unguarded(feature="sve", function="other")])
    with pytest.raises(BuildFailedError, match="edgedeploy-installer uses asimddp in kernel without asking the CPU"):
        check_installer([dot], [])
