"""Which kernels a runner has."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgedeploy.build.kernel_list import kernels_in_bytes, kernels_in_probe, list_kernels
from edgedeploy.errors import BuildFailedError


def test_probe_document() -> None:
    document = '{"schema": 1, "kernels": [{"op": "b", "name": "b_ref"}, {"op": "a", "name": "a_neon"}]}'
    assert kernels_in_probe(document) == ("a_neon", "b_ref")


@pytest.mark.parametrize("document", ["", "{}", "[]", '{"kernels": [1]}', "not json"])
def test_other_document_is_a_typed_error(document: str) -> None:
    with pytest.raises(BuildFailedError, match="probe answered"):
        kernels_in_probe(document)


def test_names_in_the_binary_are_whole_strings_and_stems_of_files(tmp_path: Path) -> None:
    for name in ("gemm_s8_ref.cpp", "gemm_s8_8x8_neondot.S", "gemm_s8_pack.cpp", "gemm_s8.h", "table.cpp"):
        (tmp_path / name).write_text("")
    behind_a_float = b"\x80?gemm_s8_8x8_neondot\0"
    binary = b"\x7fELF\0gemm_s8_ref\0" + behind_a_float + b"gemm_s8_packed\0no_gemm_s8_pack\0gemm_s8\0no table\0"
    assert kernels_in_bytes(binary, tmp_path) == ("gemm_s8_8x8_neondot", "gemm_s8_ref")


def runner(directory: Path, script: str) -> Path:
    path = directory / "edgedeploy-runner"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_runner_of_this_architecture_is_asked_itself(tmp_path: Path) -> None:
    program = runner(tmp_path, """[ "$1" = probe ] && echo '{"kernels": [{"name": "x_ref"}]}'""")
    assert list_kernels(program, architecture=platform.machine(), kernel_sources=tmp_path) == ("x_ref",)


def test_runner_that_fails_its_probe(tmp_path: Path) -> None:
    program = runner(tmp_path, "echo 'error: no table' >&2; exit 8")
    with pytest.raises(BuildFailedError, match="status 8: error: no table"):
        list_kernels(program, architecture=platform.machine(), kernel_sources=tmp_path)


def test_runner_without_kernels(tmp_path: Path) -> None:
    program = runner(tmp_path, """echo '{"kernels": []}'""")
    with pytest.raises(BuildFailedError, match="without kernels"):
        list_kernels(program, architecture=platform.machine(), kernel_sources=tmp_path)


def test_without_an_emulator_the_bytes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "x_neon.S").write_text("")
    program = tmp_path / "edgedeploy-runner"
    program.write_bytes(b"\x7fELF\0x_neon\0")
    assert list_kernels(program, architecture="foreign", kernel_sources=tmp_path) == ("x_neon",)


def test_one_that_needs_the_boards_c_library_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "x_neon.cpp").touch()
    program = tmp_path / "runner"
    program.write_bytes(b"\x7fELF\0x_neon\0")
    names = list_kernels(program, architecture=platform.machine(), kernel_sources=tmp_path, static=False)
    assert names == ("x_neon",)
