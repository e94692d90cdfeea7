"""Zig's toolchain out of the Python package ``ziglang``, as the programs that a CMake toolchain file names.

It brings clang, lld, libc++ and the stubs of every glibc, so it needs nothing but pip, and a program is linked against
whichever glibc version the board has.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

from edgedeploy.build import zig_driver
from edgedeploy.build.cache import build_cache_dir, content_key, ensure_entry
from edgedeploy.errors import MissingToolError
from edgedeploy.progress import SILENT

PACKAGE = "ziglang"
INSTALL = "pip install 'edgedeploy[zig]'"
TOOLS = ("cc", "c++", "ar", "ranlib")
# Debian 10 and Raspberry Pi OS "buster" have it; what is older is named by a board's file.
DEFAULT_GLIBC = "2.28"

_SHORT_KEY = 16
_SCRIPT = """\
#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR={cache} ZIG_LOCAL_CACHE_DIR={cache}
exec {python} -I -S {driver} {zig} {tool} {target} "$@"
"""


def find_zig() -> Path:
    """Return the program of the installed package ``ziglang``.

    Raises:
        MissingToolError: It is not installed; the hint installs it.
    """
    program = installed_zig()
    if program is None:
        raise MissingToolError(f"the Python package {PACKAGE} is not installed", hint=INSTALL)
    return program


def installed_zig() -> Path | None:
    """Return the program where the package is installed beside edgedeploy, else None."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    program = Path(spec.submodule_search_locations[0]) / "zig"
    return program if program.is_file() else None


def zig_target(triple: str, glibc: str) -> str:
    """Return Zig's name for a triple with a glibc version.

    Example:
        >>> zig_target("aarch64-linux-gnu", "2.28")
        'aarch64-linux-gnu.2.28'
    """
    architecture, _, system = triple.partition("-")
    return f"{architecture}-{system}.{glibc}"


def zig_programs(triple: str, glibc: str) -> Path:
    """Return a directory of the build cache with ``cc``, ``c++``, ``ar`` and ``ranlib`` for a triple and a glibc.

    Raises:
        MissingToolError: The package is not installed.
        BuildFailedError: The cache cannot be written.
    """
    scripts = {tool: _script(find_zig(), tool, zig_target(triple, glibc)) for tool in TOOLS}
    entry = build_cache_dir() / "toolchains" / f"zig-{triple}-{glibc}-{content_key(scripts)[:_SHORT_KEY]}"

    def make(staging: Path) -> None:
        for name, text in scripts.items():
            (staging / name).write_text(text, encoding="utf-8")
            (staging / name).chmod(0o755)

    return ensure_entry(entry, make, progress=SILENT)


def _script(zig: Path, tool: str, target: str) -> str:
    words = {
        "cache": build_cache_dir() / "zig",
        "python": sys.executable,
        "driver": zig_driver.__file__,
        "zig": zig,
        "tool": tool,
    }
    quoted = {name: shlex.quote(str(word)) for name, word in words.items()}
    return _SCRIPT.format(**quoted, target=f"-target {target}" if tool in zig_driver.COMPILERS else "")
