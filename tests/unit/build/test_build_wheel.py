"""What a wheel is for: tags, suffixes, headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.build.wheel import build_wheel, python_target
from edgedeploy.errors import MissingFileError, UnknownTripleError, UsageError
from edgedeploy.progress import SILENT


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    include = tmp_path / "usr" / "include"
    for directory, name in ((include, "Python.h"), (include / "aarch64-linux-gnu", "pyconfig.h")):
        (directory / "python3.11").mkdir(parents=True)
        (directory / "python3.11" / name).write_text("")
    return tmp_path


def test_names_follow_the_interpreter(headers: Path) -> None:
    target = python_target("aarch64-linux-gnu", "3.11", headers)
    assert target.tag == "cp311-cp311-linux_aarch64"
    assert target.suffix == ".cpython-311-aarch64-linux-gnu.so"


@pytest.mark.parametrize("version", ["3", "3.11.2", "311", "3.x", "", "2.7"])
def test_other_versions_are_refused(headers: Path, version: str) -> None:
    with pytest.raises(UsageError, match=r"not like 3\.11"):
        python_target("aarch64-linux-gnu", version, headers)


def test_missing_header_is_named(headers: Path) -> None:
    with pytest.raises(MissingFileError, match=r"python3\.12/Python\.h") as caught:
        python_target("aarch64-linux-gnu", "3.12", headers)
    assert "libpython3.12-dev" in caught.value.hint


def test_unknown_triple(headers: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownTripleError):
        build_wheel("mips-linux-gnu", python_headers=headers, destination=tmp_path, progress=SILENT)
