"""Host tools: where they are looked for, and what is said when they are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgedeploy.build.tools import find_tool, missing_tools
from edgedeploy.errors import MissingToolError


@pytest.fixture
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a Python in an otherwise empty directory, and an empty PATH directory, which is returned."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_all_is_there_on_a_host_that_builds() -> None:
    assert missing_tools() == ()


def test_bare_host_lists_every_tool_with_its_package(bare_host: Path) -> None:
    missing = dict(missing_tools())
    assert missing["aarch64-linux-gnu-g++"] == "g++-aarch64-linux-gnu"
    assert missing["ninja"] == "ninja-build"
    assert missing["cmake"] == "cmake"


def test_the_copy_beside_python_wins(bare_host: Path) -> None:
    _program(bare_host / "bin" / "cmake")
    assert find_tool("cmake") == bare_host / "bin" / "cmake"
    _program(bare_host / "venv" / "cmake")
    assert find_tool("cmake") == bare_host / "venv" / "cmake"


def test_missing_tool_error_has_the_command_that_installs_it(bare_host: Path) -> None:
    with pytest.raises(MissingToolError, match="ninja") as caught:
        find_tool("ninja")
    assert caught.value.hint == "sudo apt-get install -y ninja-build"
    with pytest.raises(MissingToolError, match=r"c\+\+") as caught:
        find_tool("c++")
    assert caught.value.hint == "sudo apt-get install -y g++"


def _program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
