"""A 32-bit board: convert, build, flash and bench on the twin of a Raspberry Pi 2. Nightly: its engine takes long."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bars_project import PROJECT, trained_model, write_project
from board_shell import Shell

from edgedeploy.boards.load import load_board
from edgedeploy.build.runtime import build_runtime
from edgedeploy.cli.building import toolchain_of
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.progress import SILENT

pytestmark = [pytest.mark.emulated, pytest.mark.nightly, pytest.mark.timeout(3600)]

BOARD = "rpi2"
TARGET = ("--board", BOARD, "--emulated")


@pytest.fixture(scope="module")
def small_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    directory = tmp_path_factory.mktemp("bars")
    environment = {**os.environ, STATE_VARIABLE: str(tmp_path_factory.mktemp("state")), "COLUMNS": "80"}
    write_project(directory, trained_model(), text=PROJECT)
    board = load_board(BOARD, project_dir=None)
    # Here and not in a command, which has a deadline.
    build_runtime(board.triple, toolchain=toolchain_of(board, progress=SILENT), progress=SILENT)
    here = Shell(directory=directory, environment=environment)
    assert here.json("emulator", "up", BOARD)["core"] == "cortex-a7"
    yield here
    here.run("emulator", "down", BOARD)


def test_the_whole_path_on_32_bits(small_board: Shell) -> None:
    answer = small_board.run("flash", *TARGET, "--json")
    assert "toolchain zig, glibc 2.31" in answer.stderr
    document = json.loads(answer.stdout)
    assert document["verified"] is True
    assert document["golden"]["cosine"] > 0.9999
    run = read_json(document["run"])
    assert run["board"]["facts"]["architecture"] == "armv7l"
    assert_stock_layers(run)
    assert small_board.json("status", *TARGET)["current"] == document["release"]
    manifest = on_board(small_board, f"cat .edgedeploy/bars/releases/{document['release']}/manifest.json")
    requirements = json.loads(manifest)["requirements"]
    assert requirements["architecture"] == "armv7l"
    assert requirements["isa"] == ["neon", "vfpv3"], "something beyond ARMv7-A with NEON runs without a check"
    major, minor = map(int, requirements["glibc"].split("."))
    assert (major, minor) <= (2, 31)


def test_bench_and_report_on_32_bits(small_board: Shell) -> None:
    measured = small_board.json("bench", *TARGET, "--runs", "2")
    run = read_json(measured["run"])
    assert len(run["measurement"]["samples"]) >= 2
    assert_stock_layers(run)
    report = small_board.run("report").stdout
    assert "rpi2" in report and "emulated" in report
    page = Path(measured["report"]).read_text(encoding="utf-8")
    assert "armv7l" in page


def test_int8_on_32_bits_is_the_engines(small_board: Shell) -> None:
    write_project(
        small_board.directory, trained_model(), text=PROJECT.replace("[quantization]", "[quantization]\nenabled = true")
    )
    document = small_board.json("flash", *TARGET)
    assert document["verified"] is True
    assert document["golden"]["cosine"] > 0.99
    run = read_json(document["run"])
    assert_stock_layers(run)
    precisions = {layer["name"]: layer["precision"] for layer in run["measurement"]["layers"]}
    assert {precisions[name] for name in ("convclip_2", "convdwrelu_0", "convrelu_1")} == {"int8"}


def test_instructions_are_counted_on_32_bits(small_board: Shell) -> None:
    small_board.run("emulator", "up", BOARD, "--clock", "instructions")
    counted = small_board.json("bench", *TARGET, "--runs", "2")
    assert counted["clock"] == "instructions"
    first, second = (item["inference_us"] for item in counted["measurement"]["samples"])
    assert first == pytest.approx(second, rel=1e-2), "a count of instructions repeats"


def read_json(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def on_board(shell: Shell, command: str) -> str:
    return shell.run("emulator", "ssh", BOARD, "--", command).stdout


def assert_stock_layers(run: dict[str, Any]) -> None:
    layers = run["measurement"]["layers"]
    assert layers
    assert {layer["implementation"] for layer in layers} == {"ncnn"}, "there are no kernels for 32-bit ARM"
