"""ELF facts of real binaries: the host's own, and some made here by the cross compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgedeploy.elffile import read_elf
from edgedeploy.errors import UnreadableInputError

PROGRAM = """
#include <cmath>
#include <cstdio>
int main(int count, char**) { std::printf("%f\\n", std::pow(count, 2.5)); }
"""


def compile_program(directory: Path, *options: str) -> Path:
    source, binary = directory / "program.cpp", directory / "program"
    source.write_text(PROGRAM)
    subprocess.run(["aarch64-linux-gnu-g++", *options, "-o", binary, source], check=True, timeout=60)
    return binary


def test_dynamic_program_names_glibc_and_a_symbol(tmp_path: Path) -> None:
    binary = compile_program(tmp_path)
    facts = read_elf(binary)
    assert facts.architecture == "aarch64"
    assert facts.isa == ("asimd", "fp")
    assert facts.interpreter == "/lib/ld-linux-aarch64.so.1"
    assert "libc.so.6" in facts.libraries
    assert not facts.static
    listed = _versions_by_objdump(binary)
    assert facts.glibc == ".".join(map(str, max(listed)))
    assert facts.glibc_symbol is not None
    symbol, version = facts.glibc_symbol.split("@")
    assert version == f"GLIBC_{facts.glibc}"
    assert symbol in _undefined_symbols_by_nm(binary)[version]
    assert facts.to_requirements().glibc == facts.glibc


def test_static_program_needs_no_glibc(tmp_path: Path) -> None:
    facts = read_elf(compile_program(tmp_path, "-static"))
    assert facts.static
    assert facts.to_requirements().glibc is None
    assert facts.to_requirements().architecture == "aarch64"


def test_static_position_independent_program_counts_as_static(tmp_path: Path) -> None:
    assert read_elf(compile_program(tmp_path, "-static-pie", "-fPIE")).static


def test_shared_library_needs_glibc_without_an_interpreter(tmp_path: Path) -> None:
    facts = read_elf(compile_program(tmp_path, "-shared", "-fPIC"))
    assert facts.interpreter is None
    assert not facts.static
    assert facts.glibc is not None


def test_packed_relocations_ask_for_the_glibc_that_has_them(tmp_path: Path) -> None:
    source, binary = tmp_path / "r.c", tmp_path / "r"
    source.write_text("static int x; int *p[64] = {&x}; int main(void) { return p[0] != &x; }")
    command = ["gcc", "-pie", "-fPIE", "-Wl,-z,pack-relative-relocs", "-o", binary, source]
    subprocess.run(command, check=True, timeout=60)
    facts = read_elf(binary)
    assert facts.glibc is not None
    assert tuple(map(int, facts.glibc.split("."))) >= (2, 36)


def test_host_program() -> None:
    facts = read_elf(Path("/bin/ls"))
    assert facts.architecture in {"x86_64", "aarch64"}
    assert "libc.so.6" in facts.libraries
    assert facts.glibc is not None


@pytest.mark.parametrize("length", [0, 3, 10, 60, 100, 1000, 4000, 9000])
def test_truncated_program_is_a_typed_error(tmp_path: Path, length: int) -> None:
    whole = compile_program(tmp_path).read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(whole[:length])
    with pytest.raises(UnreadableInputError, match="damaged is not a readable ELF file"):
        read_elf(damaged)


def test_text_file_and_missing_file_are_typed_errors(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("#!/bin/sh\n")
    with pytest.raises(UnreadableInputError, match="not a readable ELF"):
        read_elf(text)
    with pytest.raises(UnreadableInputError, match="absent"):
        read_elf(tmp_path / "absent")


def test_other_machine_is_a_typed_error(tmp_path: Path) -> None:
    binary = compile_program(tmp_path, "-static")
    image = bytearray(binary.read_bytes())
    image[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    binary.write_bytes(image)
    with pytest.raises(UnreadableInputError, match="EM_RISCV"):
        read_elf(binary)


def _versions_by_objdump(binary: Path) -> list[tuple[int, ...]]:
    text = subprocess.run(
        ["aarch64-linux-gnu-objdump", "-p", binary], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    words = [word for line in text.splitlines() for word in line.split() if word.startswith("GLIBC_2")]
    return [tuple(int(part) for part in word.removeprefix("GLIBC_").split(".")) for word in words]


def _undefined_symbols_by_nm(binary: Path) -> dict[str, set[str]]:
    text = subprocess.run(
        ["aarch64-linux-gnu-nm", "-D", binary], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    symbols: dict[str, set[str]] = {}
    for line in text.splitlines():
        name, _, version = line.split()[-1].partition("@")
        symbols.setdefault(version, set()).add(name)
    return symbols
