"""Builds and runs the C++ test program ``kernel_tests``, for this machine and for aarch64."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.build.tools import find_tool
from edgedeploy.paths import cache_dir

ROOT = Path(__file__).resolve().parents[2]
CROSS = (
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
    "-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc",
    "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one run of ``kernel_tests`` said.

    Args:
        exit_code: 0 when nothing failed.
        text: All of stdout, for messages.
        ran: Cases by kernel.
        refused: Missing features by kernel.
        selected: Kernel that dispatch takes, by op.
    """

    exit_code: int
    text: str
    ran: dict[str, int]
    refused: dict[str, str]
    selected: dict[str, str]


def parse_report(exit_code: int, text: str) -> Report:
    """Read the program's lines ``ran NAME cases=N failures=M``, ``refused NAME missing=F``, ``selected OP NAME``."""
    ran: dict[str, int] = {}
    refused: dict[str, str] = {}
    selected: dict[str, str] = {}
    for line in text.splitlines():
        match line.split():
            case ["ran", name, cases, _]:
                ran[name] = int(cases.removeprefix("cases="))
            case ["refused", name, missing]:
                refused[name] = missing.removeprefix("missing=")
            case ["selected", op, name]:
                selected[op] = name
    return Report(exit_code=exit_code, text=text, ran=ran, refused=refused, selected=selected)


def run_program(command: list[str | Path]) -> Report:
    """Run ``kernel_tests``, on this machine or behind an emulator."""
    words = [str(word) for word in command]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    return parse_report(answer.returncode, answer.stdout + answer.stderr)


def build_program(name: str, options: tuple[str, ...]) -> Path:
    """Return the program of these sources, built where the cache lacks it: whichever checkout they are in."""
    kept = cache_dir() / "kernel-tests" / f"{name}-{_sources_digest(options)}"
    if not kept.is_file():
        built = _build(name, options)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            shutil.copy2(built, Path(scratch) / "program").rename(kept)
    return kept


def _sources_digest(options: tuple[str, ...]) -> str:
    """Hash all that decides what the program is: every C++ source, the build's files and options, the compilers."""
    digest = hashlib.sha256(repr(options).encode())
    for compiler in ("c++", "aarch64-linux-gnu-g++"):
        digest.update(subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout)
    files = [ROOT / "CMakeLists.txt", *(path for path in (ROOT / "csrc").rglob("*") if path.is_file())]
    files += [path for path in Path(__file__).parent.iterdir() if path.suffix != ".py" and path.is_file()]
    for path in sorted(files):
        if "__pycache__" not in path.parts and path.suffix not in (".py", ".pyi", ".so", ".pyc"):
            digest.update(f"{path.relative_to(ROOT)}\n{path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def _build(name: str, options: tuple[str, ...]) -> Path:
    """Configure and build with warnings as errors; unchanged sources cost a second."""
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    directory = cache_dir() / "kernel-tests" / f"{name}-{checkout}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run_tool(
            [
                *(find_tool("cmake"), "-S", ROOT, "-B", directory, "-G", "Ninja"),
                f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
                *("-DEDGEDEPLOY_KERNEL_TESTS=ON", "-DEDGEDEPLOY_WERROR=ON"),
                *options,
            ]
        )
        _run_tool([find_tool("ninja"), "-C", directory, "kernel_tests"])
    return directory / "tests" / "kernels" / "kernel_tests"


def _run_tool(command: list[str | Path]) -> None:
    words = [str(word) for word in command]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert answer.returncode == 0, f"{' '.join(words)}\n{answer.stdout[-4000:]}\n{answer.stderr[-4000:]}"
