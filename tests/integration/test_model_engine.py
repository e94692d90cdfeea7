"""The engine of one model against the whole one, of the same compiler: the same bits. Nightly: engines are compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from code_nets import Scales
from int8_branches import branches, geometry_lines
from runner_models import classifier
from runner_program import Runner
from runner_release import float_input, golden_outputs, write_release
from test_int8_engine import ACTIVATIONS, noise, product_lines

from edgedeploy.boards.load import load_board
from edgedeploy.build import ToolchainFamily
from edgedeploy.cli.building import runtime_of
from edgedeploy.graph import parse_param
from edgedeploy.progress import SILENT

pytestmark = [pytest.mark.cross, pytest.mark.nightly, pytest.mark.timeout(3600)]

Programs = tuple[str, Runner, Runner]


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Releases of layers side by side: int8 that hands on codes or floats, and a float classifier."""
    scales = Scales(weights=(100.0, 200.0), input=40.0, output=9.0)
    found = {}
    for term, more in ((100, {}), (0, product_lines())):
        lines = geometry_lines(term, bias=1, activations=ACTIVATIONS) | more
        made = branches(tmp_path_factory.mktemp("net"), lines, scales=scales, tensors=noise())
        found["codes" if term else "floats"] = made.release
    rng = np.random.default_rng(7)
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    directory, net = tmp_path_factory.mktemp("classifier"), classifier(rng)
    outputs = golden_outputs(directory, net, {"in0": array}, ["out0"])
    write_release(directory, net, inputs={"in0": float_input(array)}, outputs=outputs)
    return found | {"classifier": directory}


@pytest.fixture(
    scope="module",
    params=[
        ("rk3399", "cortex-a72", ToolchainFamily.DEBIAN),
        ("rpi5", "cortex-a76", ToolchainFamily.DEBIAN),
        ("rk3399", "cortex-a72", ToolchainFamily.ZIG),
    ],
    ids=lambda way: f"{way[0]}-{way[2].value}",
)
def programs(request: pytest.FixtureRequest, nets: dict[str, Path]) -> Programs:
    """A core, and the program for its board with the whole engine and with what the nets need of it."""
    name, core, family = request.param
    board = load_board(name, project_dir=None)
    texts = [(release / "model" / "model.param").read_text(encoding="utf-8") for release in nets.values()]
    layers = {layer.type for text in texts for layer in parse_param(text).layers}
    whole, own = (runtime_of(board, family=family, layers=needed, progress=SILENT).runner for needed in (None, layers))
    assert whole.stat().st_size > 1.5 * own.stat().st_size
    return core, Runner(program=whole), Runner(program=own)


@pytest.mark.parametrize("options", [(), ("--disable-layers",)], ids=["ours", "engine's"])
@pytest.mark.parametrize("name", ["codes", "floats", "classifier"])
def test_outputs_are_the_same_bit_for_bit(
    programs: Programs, nets: dict[str, Path], tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    core, *both = programs
    release = nets[name]
    given = [part for path in (release / "golden").glob("[ix]*.npy") for part in ("--input", f"{path.stem}={path}")]
    made = []
    for number, runner in enumerate(both):
        directory = tmp_path / str(number)
        runner.document("infer", "--release", release, *given, "--output-dir", directory, *options, core=core)
        made.append({path.name: path.read_bytes() for path in directory.iterdir()})
    assert len(made[0]) == len(list((release / "golden").glob("out*.npy")))
    assert made[0] == made[1]
    assert all(np.load(tmp_path / "0" / name).any() for name in made[0]), "outputs of zeros agree always"
