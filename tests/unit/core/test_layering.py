"""Imports point one way, in Python and in C++: docs/architecture.md has the picture."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "edgedeploy"

BASE = [
    "errors",
    "files",
    "reading",
    "array_files",
    "paths",
    "progress",
    "publickey",
    "healthfile",
    "artifacts",
    "elffile",
    "latency_stats",
    "assets",
    "preprocessing",
    "runfile",
    "quantfile",
    "cyclesfile",
    "modelcache",
    "project",
    "fleetfile",
]
STAGES = {"convert", "quantize", "build", "bundle", "emulate", "deploy", "bench", "report", "cycles", "fleet", "lab"}
RANK = dict.fromkeys(BASE, 0) | {"graph": 1, "boards": 1, "transport": 2} | dict.fromkeys(STAGES, 3) | {"cli": 4}
USERS_OF_TRANSPORT = {"deploy", "bench", "cli", "transport"}
PROBE = "boards/probe.py"

CPP_RANK = {"plugin": 0, "asm": 0, "kernels": 1, "dispatch": 2, "layers": 3, "runner": 4, "python": 4}


def _python_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_resources" not in path.parts)


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported_parts(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            base = node.module
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "edgedeploy" else {base}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("edgedeploy.")} - {"__version__"}


@pytest.mark.parametrize("path", _python_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_imports_point_down(path: Path) -> None:
    part = _part(path)
    if part == "__main__":
        assert _imported_parts(path) == {"cli"}
        return
    if part == "__init__":
        assert not _imported_parts(path)
        return
    for imported in _imported_parts(path) - {part}:
        if path.relative_to(PACKAGE).as_posix() == PROBE and imported == "transport":
            continue  # the probe is the one part of boards that talks to a board
        assert RANK[imported] < RANK[part] or (RANK[part] == 0 and BASE.index(imported) < BASE.index(part)), (
            f"{path.relative_to(ROOT)} ({part}) imports {imported}"
        )
        if imported == "transport":
            assert part in USERS_OF_TRANSPORT


@pytest.mark.parametrize(
    "path", sorted((ROOT / "csrc").rglob("*.[chS]*")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_cpp_includes_point_down(path: Path) -> None:
    if path.suffix not in {".h", ".cpp", ".S", ".c"}:
        return
    part = path.relative_to(ROOT / "csrc").parts[0]
    text = path.read_text(encoding="utf-8")
    for include in re.findall(r'#\s*include\s+["<]([^">]+)[">]', text):
        top = include.split("/")[0]
        if top in CPP_RANK and top != part:
            assert CPP_RANK[top] < CPP_RANK[part], f"{path.name} includes {include}"
        if CPP_RANK[part] <= CPP_RANK["dispatch"]:
            assert "ncnn" not in include
            assert "pybind11" not in include


def test_every_part_has_a_rank() -> None:
    parts = {_part(path) for path in _python_files()} - {"__init__", "__main__"}
    assert parts == set(RANK)
