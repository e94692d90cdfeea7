"""Which kernels a built runner has: asked of the runner itself, or read from its bytes where it cannot run."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

from edgedeploy.errors import BuildFailedError
from edgedeploy.reading import load_json

_PROBE_DEADLINE_S = 60.0
_KERNEL_SUFFIXES = frozenset({".cpp", ".S"})
_TABLE = "table.cpp"
_ROW_NAME = re.compile(r'"([a-z0-9_]+)"')


def list_kernels(runner: Path, *, architecture: str, kernel_sources: Path, static: bool = True) -> tuple[str, ...]:
    """Return the names of the table's rows in the runner, sorted.

    Args:
        runner: The on-board program.
        architecture: What it is for, ``aarch64``.
        kernel_sources: The directory ``csrc/kernels``.
        static: One that needs the board's C library does not run here.

    Returns:
        For example ``("gemm_s8_ref", "preprocess_u8f32_1x8_neon", "preprocess_u8f32_ref")``.

    Raises:
        BuildFailedError: The runner does not answer, or has no kernels.
    """
    launcher = _launcher(architecture) if static else None
    if launcher is None:
        names = kernels_in_bytes(runner.read_bytes(), kernel_sources)
    else:
        names = kernels_in_probe(_probe([*launcher, str(runner), "probe"]))
    if not names:
        raise BuildFailedError(
            f"{runner.name} was built without kernels", hint="check csrc/kernels/table.cpp and csrc/CMakeLists.txt"
        )
    return names


def kernels_in_probe(document: str) -> tuple[str, ...]:
    """Return the kernel names of the runner's ``probe`` document.

    Raises:
        BuildFailedError: It is not that document.
    """
    try:
        return tuple(sorted(str(kernel["name"]) for kernel in load_json(document)["kernels"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BuildFailedError(
            f"the runner's probe answered {document[:200]!r}", hint="csrc/runner and docs/contracts.md disagree"
        ) from error


def kernels_in_bytes(binary: bytes, kernel_sources: Path) -> tuple[str, ...]:
    """Return the kernels whose name the binary's table holds.

    A row's name is stored as a C string, behind another or behind constants of any bytes. It is its file's stem, or,
    where variants share one, named by the table alone; stems of files without a row do not occur as strings in a
    stripped program.
    """
    sources = (path for path in kernel_sources.rglob("*") if path.suffix in _KERNEL_SUFFIXES and path.name != _TABLE)
    names = {path.stem for path in sources}
    for table in kernel_sources.glob(_TABLE):
        names.update(_ROW_NAME.findall(table.read_text(encoding="utf-8")))
    whole = {name: re.compile(rb"(?<![a-z0-9_])" + name.encode() + rb"\0") for name in names}
    return tuple(sorted(name for name, pattern in whole.items() if pattern.search(binary)))


def _launcher(architecture: str) -> list[str] | None:
    """Return what to put before the program, or None where this host cannot run it."""
    if platform.machine() == architecture:
        return []
    emulator = shutil.which(f"qemu-{architecture}") or shutil.which(f"qemu-{architecture}-static")
    return [emulator, "-cpu", "max"] if emulator else None


def _probe(command: list[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_DEADLINE_S, check=True)
    except subprocess.CalledProcessError as error:
        raise BuildFailedError(
            f"the runner just built fails its probe with status {error.returncode}: {error.stderr.strip()[-500:]}",
            hint=f"run it by hand: {' '.join(command)}",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailedError(
            f"the runner just built does not answer its probe: {error}", hint=f"run it by hand: {' '.join(command)}"
        ) from error
    return answer.stdout
