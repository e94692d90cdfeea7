"""The block counter: ``csrc/plugin/`` compiled for this host as a plugin of qemu-aarch64."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgedeploy.build.cache import build_cache_dir, content_key, ensure_entry, tree_digest
from edgedeploy.build.cmake import run_logged
from edgedeploy.build.tools import HOST_COMPILER, find_tool
from edgedeploy.errors import BuildFailedError
from edgedeploy.paths import resource_dir
from edgedeploy.progress import Progress

PLUGIN_FILE = "edgedeploy-blocks.so"
# Hidden symbols: the emulator's own must not be taken for this library's, nor the other way round.
COMPILER_OPTIONS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")

_SOURCES = Path("csrc") / "plugin"
_SHORT_KEY = 16


def build_plugin(*, progress: Progress, resources: Path | None = None) -> Path:
    """Return the plugin for this host's qemu-aarch64, compiling it where the cache lacks it.

    Args:
        progress: Shows that the compiler runs, a few seconds.
        resources: The directory with ``csrc``; None means the installed one.

    Returns:
        A shared library for qemu's ``-plugin``; docs/cycles-format.md has its arguments.

    Raises:
        MissingToolError: The host has no C++ compiler.
        BuildFailedError: The sources are missing or do not compile.
    """
    root = resources or resource_dir()
    sources = root / _SOURCES
    if not sources.is_dir():
        raise BuildFailedError(
            f"{sources} does not exist", hint="reinstall edgedeploy, or run it from a whole checkout"
        )
    compiler = find_tool(HOST_COMPILER.program)
    key = plugin_key(sources=tree_digest(sources), compiler=_version_of(compiler))
    entry = build_cache_dir() / "plugins" / key[:_SHORT_KEY]

    def make(staging: Path) -> None:
        log = build_cache_dir() / "logs" / f"plugin-{entry.name}.log"
        log.unlink(missing_ok=True)
        with progress.task("Compiling the block counter"):
            run_logged(_command(compiler, root, staging / PLUGIN_FILE), log=log, on_line=lambda line: None)

    return ensure_entry(entry, make, progress=progress) / PLUGIN_FILE


def plugin_key(*, sources: str, compiler: str) -> str:
    """Return the hash over the sources' digest, the compiler's version and the options."""
    return content_key({"sources": sources, "compiler": compiler, "options": list(COMPILER_OPTIONS)})


def _command(compiler: Path, root: Path, product: Path) -> list[str]:
    files = sorted((root / _SOURCES).glob("*.cpp"))
    return [
        str(compiler), *COMPILER_OPTIONS, f"-ffile-prefix-map={root}=.", f"-I{root / 'csrc'}",
        *(str(file) for file in files), "-o", str(product),
    ]  # fmt: skip


def _version_of(compiler: Path) -> str:
    try:
        answer = subprocess.run([str(compiler), "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildFailedError(f"{compiler} --version does not run: {error}", hint="reinstall the compiler") from error
    return answer.stdout.splitlines()[0]
