"""Which toolchain a board gets: the one asked for, or the one that suits its C library."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.build.toolchain import Toolchain, ToolchainFamily, known_triples, toolchain_for
from edgedeploy.build.tools import find_tool
from edgedeploy.build.zig import INSTALL, installed_zig
from edgedeploy.elffile import version_tuple
from edgedeploy.errors import BuildFailedError, MissingToolError

_GLIBC_MACRO = re.compile(r"^#define __GLIBC(?P<part>|_MINOR)__ (?P<number>\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """``why`` is a sentence for people."""

    toolchain: Toolchain
    why: str


def choose_toolchain(
    triple: str, *, glibc: str | None, family: ToolchainFamily | None = None, resources: Path | None = None
) -> Choice:
    """Return the toolchain for a board.

    Args:
        triple: The board's.
        glibc: The board's, ``2.27``; None where nobody knows it.
        family: What the user asked for; None: Zig where the board's glibc is older than that of Debian's cross compiler
            and the package is installed, or where Debian has no compiler for the triple, else Debian.

    Raises:
        UnknownTripleError: No toolchain (of that family) serves the triple.
        MissingToolError: The triple needs Zig, which is not installed.
    """
    if family is not None:
        return _choice(triple, family, glibc, resources, "as asked for")
    if triple not in known_triples(resources, family=ToolchainFamily.DEBIAN):
        return _choice(triple, ToolchainFamily.ZIG, glibc, resources, f"the one for {triple}")
    own = _cross_glibc(f"{triple}-g++")
    if own is not None and (glibc is None or version_tuple(glibc) >= version_tuple(own)):
        return _choice(triple, ToolchainFamily.DEBIAN, glibc, resources, "static, for any C library")
    if installed_zig() is not None:
        why = f"the board has glibc {glibc}" if own else "Debian's cross compiler is not installed"
        return _choice(triple, ToolchainFamily.ZIG, glibc, resources, why)
    why = f"static; for a program that uses the board's glibc {glibc}: {INSTALL}"
    return _choice(triple, ToolchainFamily.DEBIAN, glibc, resources, why)


def _choice(triple: str, family: ToolchainFamily, glibc: str | None, resources: Path | None, why: str) -> Choice:
    return Choice(toolchain=toolchain_for(triple, family=family, glibc=glibc, resources=resources), why=why)


def _cross_glibc(compiler: str) -> str | None:
    """Return the glibc that GCC for a triple links against, None where it is not installed."""
    try:
        command = [str(find_tool(compiler)), "-x", "c", "-dM", "-E", "-include", "features.h", "/dev/null"]
    except MissingToolError:
        return None
    try:
        macros = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildFailedError(
            f"{compiler} does not run: {error}", hint="reinstall the cross compiler; edgedeploy doctor names it"
        ) from error
    numbers = {match["part"]: match["number"] for match in _GLIBC_MACRO.finditer(macros)}
    return f"{numbers['']}.{numbers['_MINOR']}" if len(numbers) == 2 else None
