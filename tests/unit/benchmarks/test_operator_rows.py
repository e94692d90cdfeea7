"""The operators' benchmark: rows of counted documents, counts that are kept, and the networks' PyTorch counterparts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import operators
import torch_cycles
import torch_guest
from edgedeploy.cycles.nets import patterned_image, reference_net
from edgedeploy.graph import write_graph
from edgedeploy.graph.engine import FLOAT_OPTIONS, Engine
from operators import Counts


class Documents(Counts):
    """Stands in for the command: documents by name, and which were asked for."""

    def __init__(self, documents: dict[str, dict[str, Any]]) -> None:
        super().__init__(len(documents), None)
        self._documents = documents
        self.asked: dict[str, list[str]] = {}

    def document(self, name: str, command: list[str]) -> dict[str, Any]:
        self.asked[name] = command
        return self._documents[name]


def side(cycles: int, implementation: str = "ncnn", span: int | None = None) -> dict[str, Any]:
    layer = {"name": "conv", "implementation": implementation}
    return {"cycles": cycles, "macs": 640_000_000, "layers": [layer], "span_cycles": span}


DOCUMENTS = {
    "resnet18-cortex-a76-int8": {"ours": side(60_000_000, "edgedeploy"), "stock": side(80_000_000), "ratio": 0.75},
    "resnet18-cortex-a76-int8-two": {"ours": side(61_000_000, span=31_000_000), "stock": side(1, span=42_000_000)},
    "resnet18-cortex-a76-float-stock": {"ours": side(66_000_000, "edgedeploy"), "stock": side(67_000_000)},
    "resnet18-cortex-a76-torch": {"rows": [{"cycles": 170_000_000}]},
}


def test_a_row_is_made_of_four_counts() -> None:
    documents = Documents(DOCUMENTS)
    row = operators.row_for("resnet18", "cortex-a76", documents, with_torch=True)
    assert (row.ours, row.stock, row.ratio, row.limit) == (60_000_000, 80_000_000, 0.75, 0.78)
    assert (row.bound, row.float_stock, row.torch) == (20_000_000, 67_000_000, 170_000_000)
    assert (row.two_threads.ours, row.two_threads.stock) == (31_000_000, 42_000_000)
    assert documents.asked["resnet18-cortex-a76-float-stock"][-3:] == ["--against", "stock", "--json"]
    assert "--threads" not in documents.asked["resnet18-cortex-a76-int8"]
    without = Documents(DOCUMENTS)
    assert operators.row_for("resnet18", "cortex-a76", without, with_torch=False).torch is None
    assert "resnet18-cortex-a76-torch" not in without.asked
    table = operators.table([row])
    assert "60.0M" in table and "170.0M" in table and "31.0M" in table


def test_counts_are_kept_by_the_sources_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = tmp_path / "calls"
    program = f"print('[1]'); open({str(calls)!r}, 'a').write('x')"
    command = [sys.executable, "-c", program]
    for _ in range(2):
        assert Counts(2, tmp_path / "kept").document("one", command) == [1]
    assert calls.read_text(encoding="utf-8") == "x"
    assert "1/2 one: 0 s" in capsys.readouterr().err
    monkeypatch.setattr(operators, "sources_digest", lambda: "of other sources")
    Counts(2, tmp_path / "kept").document("one", command)
    assert calls.read_text(encoding="utf-8") == "xx"
    Counts(1, None).document("one", command)
    assert calls.read_text(encoding="utf-8") == "xxx"


def test_a_count_that_fails_ends_the_benchmark_and_is_not_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no emulator')"]
    with pytest.raises(SystemExit, match="no emulator"):
        Counts(1, tmp_path).document("one", command)
    assert not list(tmp_path.rglob("*.json"))


def test_the_digest_is_of_all_that_counts_depend_on() -> None:
    kernels, cycles = operators.sources_digest().split("-")
    assert kernels != cycles and len(kernels) == len(cycles) == 16


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet"])
def test_networks_in_pytorch_give_the_engines_outputs(name: str, tmp_path: Path) -> None:
    net = reference_net(name)
    image = patterned_image(net.input_shape, 0)
    param, weights = tmp_path / "model.param", tmp_path / "model.bin"
    write_graph(net.graph, param, weights)
    expected = Engine(param, weights, options=FLOAT_OPTIONS).run(("out0",), {"in0": image})["out0"]
    torch_cycles.store_net(net.graph, image, tmp_path / "net.npz")
    stored = np.load(tmp_path / "net.npz")
    tensors = {key: torch.from_numpy(stored[key]) for key in stored.files if key.startswith("w")}
    with torch.inference_mode():
        found = torch_guest.Network(json.loads(str(stored["layers"])), tensors).eval()(torch.from_numpy(image))
    np.testing.assert_allclose(found.numpy().ravel(), expected.ravel(), rtol=1e-3, atol=1e-3)
