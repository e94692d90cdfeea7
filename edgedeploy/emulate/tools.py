"""Programs of the host that twins need."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgedeploy.errors import MissingToolError

SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"
"""Searched after PATH: mke2fs lies in a directory that ordinary users do not search."""

HOST_TOOLS: tuple[tuple[str, str], ...] = (
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-arm", "qemu-system-arm"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("gpg", "gpg"),
    ("mke2fs", "e2fsprogs"),
    ("tar", "tar"),
    ("fakeroot", "fakeroot"),
    ("setpriv", "util-linux"),
)
"""Programs of the host and the Debian packages (the same on Ubuntu) that bring them."""

ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
KEYRING_PACKAGE = "debian-archive-keyring"


def find_tool(program: str) -> Path | None:
    """Return where a program of the host is, or None."""
    found = shutil.which(program) or shutil.which(program, path=SYSTEM_DIRECTORIES)
    return Path(found) if found else None


def missing_tools() -> tuple[tuple[str, str], ...]:
    """Return what the host lacks for twins.

    Returns:
        Pairs of program and Debian package, such as ``(("mmdebstrap", "mmdebstrap"),)``; empty when all is there.
    """
    missing = [(program, package) for program, package in HOST_TOOLS if find_tool(program) is None]
    if not ARCHIVE_KEYRING.exists():
        missing.append((str(ARCHIVE_KEYRING), KEYRING_PACKAGE))
    return tuple(missing)


def require_tools(*programs: str) -> None:
    """Make sure that programs are there; without names, all that twins need.

    Raises:
        MissingToolError: Lists what is missing; the hint installs it.
    """
    missing = [pair for pair in missing_tools() if not programs or pair[0] in programs]
    if missing:
        names = ", ".join(program for program, _ in missing)
        packages = " ".join(dict.fromkeys(package for _, package in missing))
        raise MissingToolError(f"not installed on this machine: {names}", hint=f"sudo apt-get install -y {packages}")


def tool(program: str) -> str:
    """Return a program's path for a command line.

    Raises:
        MissingToolError: It is not installed.
    """
    found = find_tool(program)
    if found is None:
        require_tools(program)
        raise MissingToolError(f"not installed on this machine: {program}", hint="see edgedeploy doctor")
    return str(found)
