"""A 32-bit board: convert, build, flash and bench on the twin of a Raspberry Pi 2. Nightly: its engine takes long."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

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
    run = json.loads(Path(document["run"]).read_text(encoding="utf-8"))
    assert run["board"]["facts"]["architecture"] == "armv7l"
    layers = run["measurement"]["layers"]
    assert layers
    assert {layer["implementation"] for layer in layers} == {"ncnn"}, "there are no kernels for 32-bit ARM"
    assert small_board.json("status", *TARGET)["current"] == document["release"]
