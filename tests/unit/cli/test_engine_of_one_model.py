"""``[build] engine``: which layers and features a release's on-board program is built with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgedeploy.artifacts import ConvertedModel, Postprocessing, Precision, Sample
from edgedeploy.boards.load import load_board
from edgedeploy.build import ToolchainFamily
from edgedeploy.build.engine_parts import EngineParts
from edgedeploy.cli import building, releases
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.project import Project

PARAM = """7767517
3 3
Input data 0 1 data 0=4 1=4 2=1
Convolution conv 1 1 data x 0=1 1=1 6=1
ReLU relu 1 1 x out
"""


class BuildReachedError(Exception):
    """The build was reached."""


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[EngineParts | None]:
    """What each build was asked for; every build ends there."""
    seen: list[EngineParts | None] = []

    def build_runtime(triple: str, *, parts: EngineParts | None, **_: Any) -> None:
        seen.append(parts)
        raise BuildReachedError

    monkeypatch.setattr(building, "build_runtime", build_runtime)
    return seen


def plan(directory: Path, *, slim: bool) -> releases.ReleasePlan:
    param, weights = directory / "m.param", directory / "m.bin"
    param.write_text(PARAM)
    weights.write_bytes(b"")
    model = ConvertedModel(
        param=param,
        weights=weights,
        inputs=(),
        outputs=(),
        source_inputs=(),
        source_sha256="0" * 64,
        converter_version="1",
    )
    return releases.ReleasePlan(
        app="toy",
        model=model,
        reference=None,
        precision=Precision.FP32,
        sample=Sample(name="s", raw={}, tensors={}),
        limits=None,
        postprocessing=Postprocessing(),
        slim=slim,
    )


def make(board: str, directory: Path, *, slim: bool) -> None:
    with pytest.raises(BuildReachedError):
        releases.make_release(
            load_board(board, project_dir=None),
            plan(directory, slim=slim),
            family=ToolchainFamily.ZIG,
            progress=ConsoleProgress(),
        )


def test_a_whole_engine_unless_asked(tmp_path: Path, parts: list[EngineParts | None]) -> None:
    make("rk3399", tmp_path, slim=False)
    assert parts == [None]


def test_the_models_layers_and_what_every_core_of_the_board_has(
    tmp_path: Path, parts: list[EngineParts | None]
) -> None:
    make("rk3399", tmp_path, slim=True)
    make("rpi5", tmp_path, slim=True)
    layers = frozenset({"Input", "Convolution", "ReLU"})
    assert [item and item.layers for item in parts] == [layers, layers]
    features = [item.features if item else frozenset() for item in parts]
    assert "asimdhp" not in features[0]
    assert "asimdhp" in features[1]


def test_the_key_of_the_project_file() -> None:
    model = {"source": "m.onnx", "inputs": [{"name": "x", "shape": [1, 4]}]}
    document = {"app": {"name": "toy"}, "samples": ["a.png"], "model": model}
    assert Project.model_validate(document).build.engine == "whole"
    assert Project.model_validate({**document, "build": {"engine": "model"}}).build.engine == "model"
