"""Which toolchain file and which cross compiler serve a triple, and exactly which compiler this host has."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.build.tools import find_tool
from edgedeploy.errors import BuildFailedError, UnknownTripleError, close_matches
from edgedeploy.files import file_sha256
from edgedeploy.paths import resource_dir

COMPILER_FAMILY = "gcc"
_LINKED_ARCHIVES = ("libc.a", "libm.a", "libgcc.a", "libstdc++.a", "libgomp.a")


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """A triple's CMake toolchain file and the programs it names.

    Args:
        triple: For example ``aarch64-linux-gnu``; also the prefix of the programs.
        file: ``toolchains/<triple>-gcc.cmake``.
        sha256: Of that file.
    """

    triple: str
    file: Path
    sha256: str

    @property
    def cxx(self) -> str:
        return f"{self.triple}-g++"

    @property
    def strip(self) -> str:
        return f"{self.triple}-strip"

    @property
    def nm(self) -> str:
        return f"{self.triple}-nm"


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """The compiler as found.

    Args:
        version: Its own first line, ``aarch64-linux-gnu-g++ (Debian 12.2.0-14) 12.2.0``.
        fingerprint: SHA-256 over that line and the static libraries it links in: a new libc gives new programs.
    """

    version: str
    fingerprint: str


def known_triples(resources: Path | None = None) -> tuple[str, ...]:
    """Return the triples that have a toolchain file, sorted: ``("aarch64-linux-gnu",)``."""
    directory = (resources or resource_dir()) / "toolchains"
    suffix = f"-{COMPILER_FAMILY}.cmake"
    return tuple(sorted(path.name.removesuffix(suffix) for path in directory.glob(f"*{suffix}")))


def toolchain_for(triple: str, *, resources: Path | None = None) -> Toolchain:
    """Return the toolchain of a triple.

    Raises:
        UnknownTripleError: No file in ``toolchains/`` serves it.
    """
    known = known_triples(resources)
    if triple not in known:
        raise UnknownTripleError(
            f"no toolchain builds for the triple {triple!r}",
            hint=f"{close_matches(triple, known)}; a new one is a file toolchains/TRIPLE-{COMPILER_FAMILY}.cmake",
        )
    file = (resources or resource_dir()) / "toolchains" / f"{triple}-{COMPILER_FAMILY}.cmake"
    return Toolchain(triple=triple, file=file, sha256=file_sha256(file))


def inspect_compiler(toolchain: Toolchain) -> Compiler:
    """Ask the cross compiler who it is and hash what it links statically.

    Raises:
        MissingToolError: It is not installed.
        BuildFailedError: It is there and does not run.
    """
    program = find_tool(toolchain.cxx)
    version = _ask(program, "--version").splitlines()[0]
    digest = hashlib.sha256(version.encode())
    for name in _LINKED_ARCHIVES:
        archive = Path(_ask(program, f"-print-file-name={name}"))
        # The compiler answers with the bare name for a library it does not have.
        digest.update(f"\n{name} {file_sha256(archive) if archive.is_file() else 'absent'}".encode())
    return Compiler(version=version, fingerprint=digest.hexdigest())


def static_library(toolchain: Toolchain, name: str) -> Path:
    """Return the path of a static library that comes with the compiler, such as ``libgomp.a``.

    Raises:
        MissingToolError: The compiler is not installed.
        BuildFailedError: It has no such library.
    """
    archive = Path(_ask(find_tool(toolchain.cxx), f"-print-file-name={name}"))
    if not archive.is_file():
        raise BuildFailedError(
            f"{toolchain.cxx} has no {name}", hint="reinstall the cross compiler with its development libraries"
        )
    return archive.resolve()


def _ask(program: Path, option: str) -> str:
    try:
        answer = subprocess.run([program, option], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildFailedError(
            f"{program} {option} does not run: {error}", hint="reinstall the cross compiler; edgedeploy doctor names it"
        ) from error
    return answer.stdout.strip()
