"""Every input of a product changes its key, so that a stale product is never taken for a fresh one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.build import engine, plugin, runtime, wheel
from edgedeploy.build.engine import Engine, engine_key
from edgedeploy.build.plugin import plugin_key
from edgedeploy.build.runtime import runtime_key
from edgedeploy.build.sources import sources_digest
from edgedeploy.build.toolchain import Compiler, Toolchain
from edgedeploy.build.wheel import PythonTarget, wheel_key
from edgedeploy.errors import BuildFailedError

TOOLCHAIN = Toolchain(triple="aarch64-linux-gnu", file=Path("/toolchains/a.cmake"), sha256="1" * 64)
COMPILER = Compiler(version="g++ 12.2.0", fingerprint="2" * 64)
ENGINE = Engine(triple="aarch64-linux-gnu", version="1", key="3" * 64, directory=Path("/engine"))


def test_engine_key_changes_with_each_input(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        engine_key(TOOLCHAIN, COMPILER),
        engine_key(replace(TOOLCHAIN, sha256="f" * 64), COMPILER),
        engine_key(TOOLCHAIN, replace(COMPILER, fingerprint="f" * 64)),
        engine_key(TOOLCHAIN, COMPILER, source_sha256="f" * 64),
    ]
    monkeypatch.setattr(engine, "ENGINE_OPTIONS", {**engine.ENGINE_OPTIONS, "NCNN_OPENMP": "OFF"})
    keys.append(engine_key(TOOLCHAIN, COMPILER))
    assert len(set(keys)) == len(keys)


def test_engine_key_ignores_where_the_toolchain_lies() -> None:
    assert engine_key(TOOLCHAIN, COMPILER) == engine_key(replace(TOOLCHAIN, file=Path("/elsewhere")), COMPILER)


def test_runtime_key_changes_with_each_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(
        *,
        sources: str = "s",
        toolchain: Toolchain = TOOLCHAIN,
        compiler: Compiler = COMPILER,
        engine: Engine = ENGINE,
    ) -> str:
        return runtime_key(sources=sources, toolchain=toolchain, compiler=compiler, engine=engine)

    keys = [
        key(),
        key(sources="t"),
        key(toolchain=replace(TOOLCHAIN, sha256="f" * 64)),
        key(compiler=replace(COMPILER, fingerprint="f" * 64)),
        key(engine=replace(ENGINE, key="f" * 64)),
    ]
    monkeypatch.setattr(runtime, "RUNTIME_OPTIONS", {**runtime.RUNTIME_OPTIONS, "CMAKE_EXE_LINKER_FLAGS": ""})
    keys.append(key())
    monkeypatch.setattr(runtime, "JSON_SOURCE", replace(runtime.JSON_SOURCE, sha256="f" * 64))
    keys.append(key())
    monkeypatch.setattr(runtime, "SODIUM_SOURCE", replace(runtime.SODIUM_SOURCE, sha256="f" * 64))
    keys.append(key())
    monkeypatch.setattr(runtime, "ZSTD_SOURCE", replace(runtime.ZSTD_SOURCE, sha256="f" * 64))
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_plugin_key_changes_with_each_input(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        plugin_key(sources="s", compiler="c"),
        plugin_key(sources="t", compiler="c"),
        plugin_key(sources="s", compiler="d"),
    ]
    monkeypatch.setattr(plugin, "COMPILER_OPTIONS", ("-O3",))
    keys.append(plugin_key(sources="s", compiler="c"))
    assert len(set(keys)) == len(keys)


def test_wheel_key_changes_with_each_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = PythonTarget(triple="aarch64-linux-gnu", version="3.11", headers=tmp_path)
    common, own = target.include_directories
    for directory in (common, own):
        directory.mkdir(parents=True)
        (directory / "pyconfig.h").write_text("")

    def key(*, sources: str = "s", toolchain: Toolchain = TOOLCHAIN, compiler: Compiler = COMPILER) -> str:
        return wheel_key(sources=sources, toolchain=toolchain, compiler=compiler, target=target)

    keys = [
        key(),
        key(sources="t"),
        key(toolchain=replace(TOOLCHAIN, sha256="f" * 64)),
        key(compiler=replace(COMPILER, fingerprint="f" * 64)),
    ]
    (own / "pyconfig.h").write_text("#define X")
    keys.append(key())
    monkeypatch.setattr(wheel, "__version__", "9.9.9")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_sources_are_the_top_file_and_all_of_csrc(tmp_path: Path) -> None:
    (tmp_path / "csrc" / "kernels").mkdir(parents=True)
    (tmp_path / "CMakeLists.txt").write_text("project(x)")
    seen = {sources_digest(tmp_path, without=())}
    (tmp_path / "csrc" / "kernels" / "a.S").write_text("ret")
    seen.add(sources_digest(tmp_path, without=()))
    (tmp_path / "CMakeLists.txt").write_text("project(y)")
    seen.add(sources_digest(tmp_path, without=()))
    (tmp_path / "README.md").write_text("not compiled")
    seen.add(sources_digest(tmp_path, without=()))
    assert len(seen) == 3


def test_directories_left_out_of_a_build_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "csrc" / "python").mkdir(parents=True)
    (tmp_path / "CMakeLists.txt").write_text("project(x)")
    before = sources_digest(tmp_path, without=("python",))
    (tmp_path / "csrc" / "python" / "module.cpp").write_text("int x;")
    assert sources_digest(tmp_path, without=("python",)) == before
    assert sources_digest(tmp_path, without=()) != before


def test_resources_without_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(BuildFailedError, match=r"CMakeLists\.txt does not exist"):
        sources_digest(tmp_path, without=())
