"""Toolchain files serve the boards' triples and know no board; the compiler is identified by what it links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from edgedeploy.build.toolchain import inspect_compiler, known_triples, toolchain_for
from edgedeploy.errors import MissingToolError, UnknownTripleError
from edgedeploy.paths import resource_dir


def test_every_board_has_a_toolchain() -> None:
    triples = set(_strings_under("triple"))
    assert triples, "the boards name no triple"
    assert triples <= set(known_triples())


def test_no_toolchain_file_names_a_board_or_a_core() -> None:
    boards = {path.stem for path in (resource_dir() / "boards").glob("*.toml")}
    for file in (resource_dir() / "toolchains").glob("*.cmake"):
        words = set(re.findall(r"[a-z0-9-]+", file.read_text().lower()))
        assert not words & boards
        assert not [word for word in words if word.startswith("cortex")]


def test_toolchain_of_a_triple() -> None:
    toolchain = toolchain_for("aarch64-linux-gnu")
    assert toolchain.file == resource_dir() / "toolchains" / "aarch64-linux-gnu-gcc.cmake"
    assert toolchain.cxx == "aarch64-linux-gnu-g++"


def test_toolchain_sets_no_march() -> None:
    """CMake puts such a flag after those of a compile check, and the engine's checks for instruction sets fail."""
    for file in (resource_dir() / "toolchains").glob("*.cmake"):
        code = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in code if "-march" in line or "-mcpu" in line]


def test_unknown_triple_names_the_near_one() -> None:
    with pytest.raises(UnknownTripleError, match="aarch64-linux-gnux") as caught:
        toolchain_for("aarch64-linux-gnux")
    assert "did you mean aarch64-linux-gnu?" in caught.value.hint


@pytest.mark.parametrize("triple", ["", "../toolchains/aarch64-linux-gnu", "*"])
def test_triple_is_a_name_and_no_path(triple: str) -> None:
    with pytest.raises(UnknownTripleError):
        toolchain_for(triple)


def test_compiler_is_identified() -> None:
    compiler = inspect_compiler(toolchain_for("aarch64-linux-gnu"))
    assert compiler.version.startswith("aarch64-linux-gnu-g++")
    assert re.fullmatch(r"[0-9a-f]{64}", compiler.fingerprint)
    assert inspect_compiler(toolchain_for("aarch64-linux-gnu")) == compiler


def test_fingerprint_follows_version_and_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    libc = tmp_path / "libc.a"
    fingerprints = set()
    for version, content in (("12.2.0", "a"), ("12.2.0", "b"), ("13.1.0", "b")):
        libc.write_text(content)
        program = tmp_path / "aarch64-linux-gnu-g++"
        program.write_text(
            f'#!/bin/sh\ncase "$1" in --version) echo "g++ {version}"; echo more;; *libc.a) echo {libc};; '
            "*) echo ${1#*=};; esac\n"
        )
        program.chmod(0o755)
        compiler = inspect_compiler(toolchain_for("aarch64-linux-gnu"))
        assert compiler.version == f"g++ {version}"
        fingerprints.add(compiler.fingerprint)
    assert len(fingerprints) == 3


def test_missing_compiler_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"aarch64-linux-gnu-g\+\+") as caught:
        inspect_compiler(toolchain_for("aarch64-linux-gnu"))
    assert caught.value.hint == "sudo apt-get install -y g++-aarch64-linux-gnu"


def _strings_under(key: str) -> list[str]:
    """Return every value of ``key`` at any depth of the board files."""
    found: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            found.extend(value for name, value in node.items() if name == key and isinstance(value, str))
            for value in node.values():
                walk(value)

    for file in (resource_dir() / "boards").glob("*.toml"):
        walk(tomllib.loads(file.read_text()))
    return found
