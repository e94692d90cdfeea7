"""Small 32-bit ARM programs, assembled and linked without a compiler: for what is read out of ELF files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgedeploy.build.zig import find_zig

LOADER = "/lib/ld-linux-armhf.so.3"
HARD_FLOAT = 1

_START = """
.globl _start
.type _start, %function
_start:
  vmla.f32 q0, q1, q2
{body}
  bx lr
.size _start, .-_start
"""


def assembled(directory: Path, name: str, text: str, *, float_abi: int | None = HARD_FLOAT) -> Path:
    """Return ``name.cpp.o`` of assembly for ARMv7-A, with every extension allowed that a test may name."""
    source, object_file = directory / f"{name}.s", directory / f"{name}.cpp.o"
    attribute = "" if float_abi is None else f".eabi_attribute 28, {float_abi}\n"
    source.write_text(f".syntax unified\n{attribute}{text}\n")
    extensions = "-mattr=+neon,+vfp4,+hwdiv,+hwdiv-arm"
    command = ["llvm-mc-19", "-triple=armv7-linux-gnueabihf", extensions, "-filetype=obj", "-o", object_file, source]
    subprocess.run(command, check=True, timeout=60)
    return object_file


def start(directory: Path, *called: str, body: str = "", float_abi: int | None = HARD_FLOAT) -> Path:
    """Return the object file of a start routine that calls functions."""
    lines = "\n".join([*(f"  bl {name}" for name in called), body])
    return assembled(directory, "start", _START.format(body=lines), float_abi=float_abi)


def linked(directory: Path, *objects: Path, options: tuple[str, ...] = ()) -> tuple[Path, list[Path]]:
    """Return a program and the archive with all objects but the first, by the linker in Zig's package."""
    archive, program = directory / "libparts.a", directory / "program"
    lld, ar = [find_zig(), "ld.lld", "-m", "armelf_linux_eabi"], [find_zig(), "ar", "qc", archive]
    subprocess.run([*ar, *objects[1:]], check=True, timeout=60)
    subprocess.run([*lld, "-o", program, objects[0], archive, *options], check=True, timeout=60)
    return program, [archive]


def c_library(directory: Path, version: str) -> Path:
    """Return a stand-in for glibc with one function, ``answer``, of the given version."""
    script, library = directory / "versions", directory / "libc.so"
    script.write_text(f"GLIBC_{version} {{ global: answer; }};\n")
    code = ".globl answer\n.type answer, %function\nanswer:\n  bx lr\n.size answer, .-answer"
    command = [
        find_zig(), "ld.lld", "-m", "armelf_linux_eabi", "-shared", "-soname", "libc.so.6",
        "--version-script", script, "-o", library, assembled(directory, "libc", code),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=60)
    return library
