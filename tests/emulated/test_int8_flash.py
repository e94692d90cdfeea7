"""int8 on the board: the release that flash ships, and the count of instructions beside a twin that is in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bars_project import PROJECT, trained_model, write_project
from board_shell import BOARD, TARGET, Shell

from edgedeploy.graph import read_graph
from edgedeploy.quantfile import read_quantization

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(1200)]

INT8_SCALES = 8


@pytest.fixture(scope="module")
def bars(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    directory = tmp_path_factory.mktemp("bars")
    text = PROJECT.replace("[quantization]", "[quantization]\nenabled = true")
    write_project(directory, trained_model(), text=text)
    return Shell(directory=directory, environment=shell.environment)


def test_flash_ships_int8_and_proves_it_there(bars: Shell) -> None:
    answer = bars.run("flash", *TARGET, "--json")
    assert "[quantization] is enabled" in answer.stderr
    document = json.loads(answer.stdout)
    assert document["verified"] is True
    assert document["golden"]["cosine"] > 0.99
    layers = {layer["name"]: layer for layer in json.loads(Path(document["run"]).read_text())["measurement"]["layers"]}
    assert {layers[name]["precision"] for name in ("convclip_2", "convdwrelu_0", "convrelu_1")} == {"int8"}
    active = f".edgedeploy/bars/releases/{document['release']}"
    bars.on_board(f"grep -q ' 8=10[12] ' {active}/model/model.param || grep -q ' 8=10[12]$' {active}/model/model.param")
    limits = json.loads(bars.on_board(f"cat {active}/manifest.json"))["golden"]["limits"]
    assert limits["cosine"] <= 0.999, "limits that int8 can hold, not those of float"


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
