"""A build by Zig on a host without any Debian package: no header directory, no program on PATH."""

from __future__ import annotations

import errno
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgedeploy.build import json_headers, runtime, sodium, source_archives, zstd
from edgedeploy.build.engine import Engine
from edgedeploy.build.runtime import build_runtime
from edgedeploy.build.source_archives import SourceArchive
from edgedeploy.build.toolchain import ToolchainFamily, toolchain_for
from edgedeploy.files import file_sha256
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT

TRIPLE = "aarch64-linux-gnu"
HEADER_DIRECTORIES = ("/usr/include", "/usr/local/include")
# What the index serves, by package: a file of each.
MEMBERS = {
    "nlohmann-json": "nlohmann_json/include/nlohmann/json.hpp",
    "pynacl": f"pynacl-{sodium.SODIUM_SOURCE.version}/src/libsodium/src/libsodium/include/sodium.h",
    "zstandard": f"zstandard-{zstd.ZSTD_SOURCE.version}/zstd/zstd.c",
}


class ConfiguredError(Exception):
    """Ends a build where CMake would start."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index with a small archive in the place of each pinned one, whose hashes are written down instead."""
    archives = {package: _archive(tmp_path, package) for package in MEMBERS}

    def pinned(source: SourceArchive) -> SourceArchive:
        return replace(source, sha256=file_sha256(archives[source.package]))

    def fetch(package: str, version: str, *, kind: str, progress: object) -> Path:
        assert archives[package].suffix == {"wheel": ".whl", "sdist": ".gz"}[kind]
        return archives[package]

    monkeypatch.setattr(json_headers, "JSON_SOURCE", pinned(json_headers.JSON_SOURCE))
    monkeypatch.setattr(sodium, "SODIUM_SOURCE", pinned(sodium.SODIUM_SOURCE))
    monkeypatch.setattr(zstd, "ZSTD_SOURCE", pinned(zstd.ZSTD_SOURCE))
    monkeypatch.setattr(source_archives, "fetch_distribution", fetch)


@pytest.fixture
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where only Zig's package is installed: nothing is on PATH, and the header directories are not there."""
    program = tmp_path / "site" / "ziglang" / "zig"
    program.parent.mkdir(parents=True)
    (program.parent / "__init__.py").touch()
    program.write_text("#!/bin/sh\necho 0.17.1\n")
    program.chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "ziglang", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    genuine = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and os.fsdecode(path).startswith(HEADER_DIRECTORIES):
            raise FileNotFoundError(errno.ENOENT, "of Debian's packages", path)
        return genuine(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)


@pytest.mark.usefixtures("bare_host", "index")
def test_zig_gathers_all_its_inputs_without_a_header_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def configure(tree: object, *, defines: Mapping[str, str], **options: object) -> None:
        seen.update(defines)
        raise ConfiguredError

    def engine(triple: str, **options: object) -> Engine:
        return Engine(triple=triple, version="1", key="3" * 64, directory=tmp_path / "engine")

    monkeypatch.setattr(runtime, "ensure_engine", engine)
    monkeypatch.setattr(runtime, "configure", configure)
    zig = toolchain_for(TRIPLE, family=ToolchainFamily.ZIG, glibc="2.28")
    assert not any(Path(directory).exists() for directory in HEADER_DIRECTORIES)
    with pytest.raises(ConfiguredError):
        build_runtime(TRIPLE, toolchain=zig, progress=SILENT)
    inputs = {
        "EDGEDEPLOY_JSON_INCLUDE": "nlohmann/json.hpp",
        "EDGEDEPLOY_SODIUM_SOURCE": "include/sodium.h",
        "EDGEDEPLOY_ZSTD_SOURCE": "zstd.c",
        "EDGEDEPLOY_TOOLCHAIN_PROGRAMS": "c++",
    }
    for variable, file in inputs.items():
        assert (Path(seen[variable]) / file).is_file()
        assert Path(seen[variable]).is_relative_to(tmp_path / "cache")


def _archive(directory: Path, package: str) -> Path:
    if package == "nlohmann-json":
        with zipfile.ZipFile(directory / f"{package}.whl", "w") as wheel:
            wheel.writestr(MEMBERS[package], "")
        return directory / f"{package}.whl"
    with tarfile.open(directory / f"{package}.tar.gz", "w:gz") as sdist:
        sdist.addfile(tarfile.TarInfo(MEMBERS[package]), io.BytesIO())
    return directory / f"{package}.tar.gz"
