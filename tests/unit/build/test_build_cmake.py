"""Running build programs: progress, the log, the quoted lines, the environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgedeploy.build.cmake import (
    BuildTree,
    build,
    build_environment,
    configure,
    parse_ninja_line,
    relevant_lines,
    run_logged,
    single_product,
)
from edgedeploy.build.toolchain import toolchain_for
from edgedeploy.errors import BuildFailedError
from edgedeploy.progress import SILENT


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[3/249] Building CXX object src/CMakeFiles/ncnn.dir/layer/gemm.cpp.o", (3, 249, "gemm.cpp")),
        ("[7/9] Building ASM object csrc/kernels/CMakeFiles/k.dir/g.S.o", (7, 9, "g.S")),
        ("[9/9] Linking CXX executable edgedeploy-runner", (9, 9, "Linking CXX executable edgedeploy-runner")),
        ("FAILED: a.o", None),
        ("", None),
    ],
)
def test_ninja_line(line: str, expected: tuple[int, int, str] | None) -> None:
    assert parse_ninja_line(line) == expected


def test_quotes_from_the_first_error_not_what_finished_after_it() -> None:
    lines = [f"[{n}/90] Building CXX object {n}.cpp.o" for n in range(1, 40)]
    lines[20:20] = ["FAILED: a.cpp.o", "a.cpp:1:1: error: expected ';'"]
    assert relevant_lines(lines) == ["FAILED: a.cpp.o", "a.cpp:1:1: error: expected ';'"]


def test_quotes_the_last_lines_where_no_error_is_marked() -> None:
    lines = [f"line {n}" for n in range(100)]
    assert relevant_lines(lines, limit=3) == ["line 97", "line 98", "line 99"]


def test_long_commands_are_cut() -> None:
    quoted = relevant_lines(["FAILED: runner", "g++ " + "a.o " * 1000, "ld: error: no"])
    assert quoted[0] == "FAILED: runner"
    assert len(quoted[1]) < 400
    assert quoted[2] == "ld: error: no"


def test_environment_drops_what_would_change_products_unseen() -> None:
    inherited = {
        "CXXFLAGS": "-O0", "LDFLAGS": "-lfoo", "CPATH": "/x", "CMAKE_PREFIX_PATH": "/y", "HOME": "/h", "PATH": "/p",
    }  # fmt: skip
    environment = build_environment(inherited)
    assert not {"CXXFLAGS", "LDFLAGS", "CPATH", "CMAKE_PREFIX_PATH"} & environment.keys()
    assert environment["HOME"] == "/h"
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/p"
    assert environment["LC_ALL"] == "C"


def test_failure_quotes_and_names_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    seen: list[str] = []
    with pytest.raises(BuildFailedError, match=r"sh failed with status 3:\nfirst\nsecond") as caught:
        run_logged(["/bin/sh", "-c", "echo first; echo second >&2; exit 3"], log=log, on_line=seen.append)
    assert seen == ["first", "second"]
    assert str(log) in caught.value.hint
    assert log.read_text().splitlines()[1:] == ["first", "second"]


def test_program_that_does_not_start_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(BuildFailedError, match="does not start"):
        run_logged([str(tmp_path / "absent")], log=tmp_path / "x.log", on_line=lambda line: None)


def test_interruption_stops_the_program(tmp_path: Path) -> None:
    pid: list[int] = []

    def interrupt(line: str) -> None:
        pid.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_logged(["/bin/sh", "-c", "echo $$; exec sleep 300"], log=tmp_path / "x.log", on_line=interrupt)
    assert not Path(f"/proc/{pid[0]}").exists()


def test_single_product(tmp_path: Path) -> None:
    with pytest.raises(BuildFailedError, match="made nothing where one runner is expected"):
        single_product(tmp_path, "runner")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "runner").write_text("")
    assert single_product(tmp_path, "runner") == tmp_path / "a" / "runner"
    (tmp_path / "runner").write_text("")
    with pytest.raises(BuildFailedError, match="runner, runner"):
        single_product(tmp_path, "runner")


def test_binaries_do_not_carry_this_hosts_paths(tmp_path: Path) -> None:
    source = tmp_path / "a-telling-name"
    source.mkdir()
    (source / "main.cpp").write_text("#include <cstdio>\nint main() { std::puts(__FILE__); }\n")
    (source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(x CXX)\nadd_executable(x main.cpp)\n"
    )
    tree = BuildTree(source=source, directory=tmp_path / "build", log=tmp_path / "log")
    configure(
        tree,
        toolchain_file=toolchain_for("aarch64-linux-gnu").file,
        defines={"CMAKE_CXX_FLAGS": tree.path_flags()},
        progress=SILENT,
    )
    build(tree, targets=["x"], title="x", progress=SILENT)
    assert b"a-telling-name" not in (tree.directory / "x").read_bytes()


def test_failing_configuration_quotes_cmake(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        'cmake_minimum_required(VERSION 3.24)\nproject(x NONE)\nmessage(FATAL_ERROR "no such thing")\n'
    )
    tree = BuildTree(source=tmp_path, directory=tmp_path / "build", log=tmp_path / "log")
    with pytest.raises(BuildFailedError, match="no such thing"):
        configure(tree, toolchain_file=toolchain_for("aarch64-linux-gnu").file, defines={}, progress=SILENT)
