"""Runs a program of Zig's toolchain as CMake and the engine's CMake files expect GCC's.

A script of its own (``python -I zig_driver.py ZIG cc|c++|ar|... [arguments]``), with no import beyond the standard
library: it starts once for every file that is compiled.

Zig refuses GCC's ``-march`` spellings and wants the CPU as ``-mcpu=generic+v8_2a+fullfp16``; 32-bit ARM's ``-mfpu`` is
part of it there. Everything else passes as it is.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

COMPILERS = frozenset({"cc", "c++"})

_MARCH = re.compile(r"^-march=armv(?P<version>\d(?:\.\d)?)-a(?P<features>(?:\+[a-z0-9]+)*)$")
# GCC's name of a feature -> LLVM's, where they differ.
_FEATURES = {"fp16": "fullfp16", "simd": "neon", "fp": "fp_armv8", "crypto": "aes+sha2", "f32mm": "f32mm"}
_FPUS = {
    "neon": "neon",
    "neon-vfpv4": "neon+vfp4",
    "vfpv3-d16": "vfp3d16",
    "vfpv4": "vfp4",
}
_ARM_BASELINE = "v7a+neon+vfp3"


class UnknownOptionError(ValueError):
    """An ``-march`` or ``-mfpu`` that has no translation: passing it on would build for another CPU."""


def translate(arguments: Sequence[str], *, arm32: bool = False) -> list[str]:
    """Return the arguments with GCC's choices of a CPU spelled as Zig takes them.

    Args:
        arguments: Of a compiler's command line. As with GCC, the last choice counts.
        arm32: The target is 32-bit ARM, where a choice adds to the baseline ARMv7-A with NEON.

    Raises:
        UnknownOptionError: A choice that is not known.

    Example:
        >>> translate(["-O3", "-march=armv8.2-a+fp16+dotprod", "-c", "a.cpp"])
        ['-O3', '-c', 'a.cpp', '-mcpu=generic+v8_2a+fullfp16+dotprod']
    """
    kept: list[str] = []
    cpu = ""
    for argument in arguments:
        if argument.startswith("-march="):
            cpu = _march(argument)
        elif argument.startswith("-mfpu="):
            cpu = _mfpu(argument)
        elif argument != "-mfp16-format=ieee":  # clang's only format
            kept.append(argument)
    if cpu:
        return [*kept, f"-mcpu=generic+{cpu}"]
    return [*kept, f"-mcpu=generic+{_ARM_BASELINE}"] if arm32 else kept


def _march(option: str) -> str:
    match = _MARCH.match(option)
    if match is None:
        raise UnknownOptionError(option)
    features = [_FEATURES.get(name, name) for name in match["features"].split("+") if name]
    version = match["version"].replace(".", "_")
    return "+".join([f"v{version}a", *features])


def _mfpu(option: str) -> str:
    fpu = _FPUS.get(option.removeprefix("-mfpu="))
    if fpu is None:
        raise UnknownOptionError(option)
    return f"v7a+{fpu}"


def main(arguments: Sequence[str]) -> int:
    """Become Zig; returns only where that fails."""
    zig, tool, *rest = arguments
    if tool in COMPILERS:
        arm32 = any(argument.startswith("arm-") for argument in rest)
        try:
            rest = translate(rest, arm32=arm32)
        except UnknownOptionError as error:
            print(
                f"error: zig has no translation for {error}; add it to edgedeploy/build/zig_driver.py", file=sys.stderr
            )
            return 1
    os.execv(zig, [zig, tool, *rest])
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
