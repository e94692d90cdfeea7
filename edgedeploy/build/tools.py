"""The host's programs and headers that a build needs, and the Debian packages that have them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import MissingToolError

JSON_HEADER = Path("nlohmann") / "json.hpp"
_INCLUDE_DIRECTORIES = (Path("/usr/include"), Path("/usr/local/include"))


@dataclass(frozen=True, kw_only=True)
class HostTool:
    """A program a build starts; ``apt_package`` is its package on Debian and Ubuntu."""

    program: str
    apt_package: str


TOOLS = (
    HostTool(program="cmake", apt_package="cmake"),
    HostTool(program="ninja", apt_package="ninja-build"),
    HostTool(program="aarch64-linux-gnu-gcc", apt_package="gcc-aarch64-linux-gnu"),
    HostTool(program="aarch64-linux-gnu-g++", apt_package="g++-aarch64-linux-gnu"),
    HostTool(program="aarch64-linux-gnu-nm", apt_package="binutils-aarch64-linux-gnu"),
    HostTool(program="aarch64-linux-gnu-strip", apt_package="binutils-aarch64-linux-gnu"),
)
# Only `cycles` compiles for the host itself.
HOST_COMPILER = HostTool(program="c++", apt_package="g++")
JSON_PACKAGE = "nlohmann-json3-dev"


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


def find_json_headers(directories: tuple[Path, ...] = _INCLUDE_DIRECTORIES) -> Path:
    """Return the directory ``nlohmann`` of the JSON library that the on-board program is compiled with.

    Raises:
        MissingToolError: None of the include directories has ``nlohmann/json.hpp``.
    """
    for directory in directories:
        if (directory / JSON_HEADER).is_file():
            return directory / JSON_HEADER.parent
    raise MissingToolError(
        f"the C++ header {JSON_HEADER} is not installed", hint=f"sudo apt-get install -y {JSON_PACKAGE}"
    )


def missing_tools() -> tuple[tuple[str, str], ...]:
    """Return what ``build`` needs and this host lacks, each with its Debian package.

    Returns:
        For example ``(("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"),)``; empty when all is there.
    """
    missing = [(tool.program, tool.apt_package) for tool in TOOLS if _locate(tool.program) is None]
    try:
        find_json_headers()
    except MissingToolError:
        missing.append((str(JSON_HEADER), JSON_PACKAGE))
    return tuple(missing)


def _locate(program: str) -> Path | None:
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(program)
    return Path(found).absolute() if found else None


def _package_of(program: str) -> str:
    return next((tool.apt_package for tool in (*TOOLS, HOST_COMPILER) if tool.program == program), program)
