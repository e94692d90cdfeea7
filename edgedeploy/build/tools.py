"""The host's programs that a build needs, and the Debian packages that have them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import MissingToolError


@dataclass(frozen=True, kw_only=True)
class HostTool:
    """A program a build starts; ``apt_package`` is its package on Debian and Ubuntu."""

    program: str
    apt_package: str


# Of Debian's cross compiler and its tools, in whose place Zig serves.
CROSS_PREFIX = "aarch64-linux-gnu-"

TOOLS = (
    HostTool(program="cmake", apt_package="cmake"),
    HostTool(program="ninja", apt_package="ninja-build"),
    HostTool(program=f"{CROSS_PREFIX}gcc", apt_package="gcc-aarch64-linux-gnu"),
    HostTool(program=f"{CROSS_PREFIX}g++", apt_package="g++-aarch64-linux-gnu"),
    HostTool(program=f"{CROSS_PREFIX}nm", apt_package="binutils-aarch64-linux-gnu"),
    HostTool(program=f"{CROSS_PREFIX}strip", apt_package="binutils-aarch64-linux-gnu"),
)
# Only `cycles` compiles for the host itself.
HOST_COMPILER = HostTool(program="c++", apt_package="g++")


def find_tool(program: str) -> Path:
    """Return a program's path: beside this Python first (the cmake and ninja wheels put theirs there), then on PATH.

    Raises:
        MissingToolError: It is in neither place; the hint installs it.
    """
    found = _locate(program)
    if found is None:
        raise MissingToolError(
            f"the program {program} is not installed", hint=f"sudo apt-get install -y {_package_of(program)}"
        )
    return found


def missing_tools() -> tuple[tuple[str, str], ...]:
    """Return what ``build`` needs and this host lacks, each with its Debian package.

    Returns:
        For example ``(("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"),)``; empty when all is there.
    """
    return tuple((tool.program, tool.apt_package) for tool in TOOLS if _locate(tool.program) is None)


def _locate(program: str) -> Path | None:
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(program)
    return Path(found).absolute() if found else None


def _package_of(program: str) -> str:
    return next((tool.apt_package for tool in (*TOOLS, HOST_COMPILER) if tool.program == program), program)
