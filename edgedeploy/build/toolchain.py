"""Which toolchain file and which cross compiler serve a triple, and exactly which compiler this host has."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgedeploy.build.tools import find_tool
from edgedeploy.build.zig import DEFAULT_GLIBC, find_zig, zig_programs
from edgedeploy.errors import BuildFailedError, UnknownTripleError, close_matches
from edgedeploy.files import file_sha256
from edgedeploy.paths import resource_dir

_LINKED_ARCHIVES = ("libc.a", "libm.a", "libgcc.a", "libstdc++.a", "libgomp.a")


class ToolchainFamily(str, Enum):
    """Whose compilers: Debian's cross GCC, or the Zig that pip installs."""

    DEBIAN = "debian"
    ZIG = "zig"

    @property
    def file_suffix(self) -> str:
        """How the names of its files in ``toolchains/`` end."""
        return "-gcc.cmake" if self is ToolchainFamily.DEBIAN else "-zig.cmake"


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """A triple's CMake toolchain file and the programs it names.

    Args:
        triple: For example ``aarch64-linux-gnu``; also the prefix of GCC's programs.
        file: ``toolchains/<triple>-gcc.cmake`` or ``-zig.cmake``.
        sha256: Of that file.
        glibc: The version that programs are linked against, ``2.28``; None with GCC, whose programs are static.
    """

    triple: str
    file: Path
    sha256: str
    family: ToolchainFamily = ToolchainFamily.DEBIAN
    glibc: str | None = None

    @property
    def is_zig(self) -> bool:
        return self.family is ToolchainFamily.ZIG

    @property
    def cxx(self) -> str:
        return f"{self.triple}-g++"

    @property
    def strip(self) -> str:
        return f"{self.triple}-strip"

    @property
    def nm(self) -> str:
        return f"{self.triple}-nm"

    def defines(self) -> dict[str, str]:
        """Return the CMake variables that the toolchain file needs.

        Raises:
            MissingToolError: Zig is not installed.
        """
        if self.glibc is None:
            return {}
        return {"EDGEDEPLOY_TOOLCHAIN_PROGRAMS": str(zig_programs(self.triple, self.glibc))}


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """The compiler as found.

    Args:
        version: Its own first line, ``aarch64-linux-gnu-g++ (Debian 12.2.0-14) 12.2.0``, or Zig's with its target.
        fingerprint: SHA-256 over that line and the static libraries it links in: a new libc gives new programs.
    """

    version: str
    fingerprint: str


def known_triples(resources: Path | None = None, *, family: ToolchainFamily | None = None) -> tuple[str, ...]:
    """Return the triples that have a toolchain file (of one family where it is given), sorted."""
    directory = (resources or resource_dir()) / "toolchains"
    suffixes = [item.file_suffix for item in ToolchainFamily if family in {None, item}]
    return tuple(
        sorted({path.name.removesuffix(suffix) for suffix in suffixes for path in directory.glob(f"*{suffix}")})
    )


def toolchain_for(
    triple: str,
    *,
    family: ToolchainFamily = ToolchainFamily.DEBIAN,
    glibc: str | None = None,
    resources: Path | None = None,
) -> Toolchain:
    """Return the toolchain of a triple.

    Args:
        glibc: What Zig links against; without it 2.28. GCC links statically and takes no notice.

    Raises:
        UnknownTripleError: No file in ``toolchains/`` serves it.
    """
    known = known_triples(resources, family=family)
    if triple not in known:
        raise UnknownTripleError(
            f"no toolchain of the family {family.value} builds for the triple {triple!r}",
            hint=f"{close_matches(triple, known)}; a new one is a file toolchains/TRIPLE{family.file_suffix}",
        )
    file = (resources or resource_dir()) / "toolchains" / f"{triple}{family.file_suffix}"
    return Toolchain(
        triple=triple,
        file=file,
        sha256=file_sha256(file),
        family=family,
        glibc=(glibc or DEFAULT_GLIBC) if family is ToolchainFamily.ZIG else None,
    )


def inspect_compiler(toolchain: Toolchain) -> Compiler:
    """Ask the cross compiler who it is and hash what it links statically.

    Zig's libraries are sources inside its package, of its version; the program that translates its options counts too.

    Raises:
        MissingToolError: It is not installed.
        BuildFailedError: It is there and does not run.
    """
    if toolchain.is_zig:
        version = f"zig {_ask(find_zig(), 'version')}, glibc {toolchain.glibc}"
        driver = file_sha256(Path(__file__).with_name("zig_driver.py"))
        return Compiler(version=version, fingerprint=hashlib.sha256(f"{version}\n{driver}".encode()).hexdigest())
    program = find_tool(toolchain.cxx)
    version = _ask(program, "--version").splitlines()[0]
    digest = hashlib.sha256(version.encode())
    for name in _LINKED_ARCHIVES:
        archive = Path(_ask(program, f"-print-file-name={name}"))
        # The compiler answers with the bare name for a library it does not have.
        digest.update(f"\n{name} {file_sha256(archive) if archive.is_file() else 'absent'}".encode())
    return Compiler(version=version, fingerprint=digest.hexdigest())


def static_library(toolchain: Toolchain, name: str) -> Path:
    """Return the path of a static library that comes with GCC, such as ``libgomp.a``.

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
