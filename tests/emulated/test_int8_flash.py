"""int8 on the board: the release that flash ships, and the count of instructions beside a twin that is in use."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from bars_project import PROJECT, trained_model, write_project
from board_shell import BOARD, TARGET, Shell

from edgedeploy.boards.load import load_board
from edgedeploy.build import ToolchainFamily
from edgedeploy.cli.building import runtime_of
from edgedeploy.files import file_sha256
from edgedeploy.graph import read_graph
from edgedeploy.progress import SILENT
from edgedeploy.quantfile import read_quantization

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(1200)]

INT8_SCALES = 8
INT8_PROJECT = PROJECT.replace("[quantization]", "[quantization]\nenabled = true")


@pytest.fixture(scope="module")
def bars(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    directory = tmp_path_factory.mktemp("bars")
    write_project(directory, trained_model(), text=INT8_PROJECT)
    return Shell(directory=directory, environment=shell.environment)


@pytest.fixture(scope="module")
def shipped(bars: Shell) -> CompletedProcess[str]:
    return bars.run("flash", *TARGET, "--json")


def test_flash_ships_int8_and_proves_it_there(bars: Shell, shipped: CompletedProcess[str]) -> None:
    assert "[quantization] is enabled" in shipped.stderr
    document = json.loads(shipped.stdout)
    assert document["verified"] is True
    assert document["golden"]["cosine"] > 0.99
    layers = {layer["name"]: layer for layer in json.loads(Path(document["run"]).read_text())["measurement"]["layers"]}
    assert {layers[name]["precision"] for name in ("convclip_2", "convdwrelu_0", "convrelu_1")} == {"int8"}
    active = f".edgedeploy/bars/releases/{document['release']}"
    bars.on_board(f"grep -q ' 8=10[12] ' {active}/model/model.param || grep -q ' 8=10[12]$' {active}/model/model.param")
    limits = json.loads(bars.on_board(f"cat {active}/manifest.json"))["golden"]["limits"]
    assert limits["cosine"] <= 0.999, "limits that int8 can hold, not those of float"


@pytest.mark.timeout(4800)
@pytest.mark.parametrize("engine", ["model", pytest.param("whole", marks=pytest.mark.nightly)])
def test_a_runner_by_zig_uses_the_boards_glibc_and_answers_the_same(
    bars: Shell, shipped: CompletedProcess[str], engine: str, tmp_path: Path
) -> None:
    write_project(tmp_path, trained_model(), text=f'{INT8_PROJECT}[build]\nengine = "{engine}"\n')
    here = Shell(directory=tmp_path, environment=bars.environment)
    by_gcc = json.loads(shipped.stdout)
    param = bars.on_board(f"cat .edgedeploy/bars/releases/{by_gcc['release']}/model/model.param")
    layers = {line.split()[0] for line in param.splitlines()[2:]} if engine == "model" else None
    # Here and not in a command, which has a deadline.
    board = load_board(BOARD, project_dir=None)
    built = runtime_of(board, family=ToolchainFamily.ZIG, layers=layers, progress=SILENT)
    answer = here.run("flash", *TARGET, "--toolchain", "zig", "--no-bench", "--json")
    assert "toolchain zig, glibc 2.28" in answer.stderr
    document = json.loads(answer.stdout)
    assert document["verified"] is True
    assert document["release"] != by_gcc["release"]
    assert document["golden"]["cosine"] == pytest.approx(by_gcc["golden"]["cosine"], abs=1e-6)
    assert document["golden"]["max_abs_error"] == pytest.approx(by_gcc["golden"]["max_abs_error"], abs=1e-5)
    active = f".edgedeploy/bars/releases/{document['release']}"
    runner = bars.on_board(f"sha256sum {active}/bin/edgedeploy-runner").split()[0]
    assert runner == file_sha256(built.runner), "flash built another"
    requirements = json.loads(bars.on_board(f"cat {active}/manifest.json"))["requirements"]
    assert requirements["isa"] == ["asimd", "fp"], "something beyond ARMv8.0-A runs without a check"
    major, minor = map(int, requirements["glibc"].split("."))
    assert (major, minor) <= (2, 28)
    bars.on_board(f"{active}/bin/edgedeploy-runner selftest --release {active}")


def test_quantize_counts_instructions_beside_the_twin_in_use(bars: Shell) -> None:
    before = bars.json("status", *TARGET)["current"]
    document = bars.json("quantize", *TARGET)
    speed = read_quantization(Path(document["paths"]["record"])).speed.measured
    assert speed is not None
    assert speed.unit == "million instructions"
    assert speed.float16 is None, "a Cortex-A72 has no half-precision arithmetic"
    assert 0.1 < speed.int8.value < 100
    assert speed.ratio == pytest.approx(speed.int8.value / speed.float32.value)
    assert (speed.recommended == "int8") == (speed.verdict == "faster")
    page = Path(document["paths"]["report"]).read_text(encoding="utf-8")
    assert "million instructions" in page and " ms<" not in page
    assert bars.json("status", *TARGET)["current"] == before
    assert [item["clock"] for item in bars.json("emulator", "list")] == ["real"]
    graph = read_graph(Path(document["paths"]["param"]))
    assert any(layer.integer(INT8_SCALES, 0) > 0 for layer in graph.layers)
    assert BOARD in document["command"]
