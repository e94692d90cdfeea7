"""The built-in networks held against the converter's: the published definitions in torch, and PP-OCR's models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgedeploy.cli.builtin_nets import build_builtin
from edgedeploy.cli.builtin_ocr import OCR_NETS, page_windows
from edgedeploy.convert.pnnx_tool import run_pnnx
from edgedeploy.cycles.nets import REFERENCE_NAMES, reference_net
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph, Layer, check_graph, read_graph
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT
from edgedeploy.quantize.evaluator import INT8_TASK_OPTIONS

HANDS_ON = 100
CHAINED = {"ppocr_det": 21, "ppocr_rec": 12}
UNSEEN = range(96, 102)
"""Windows that calibration has not: they begin or end within a letter, which the networks are unsure about."""
OUTPUTS = {"ppocr_det": (1, 480, 480), "ppocr_rec": (40, 6625)}


def filtered(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class Shortcut(nn.Module):
    """A branch added to its input, or to what a second one makes of it."""

    def __init__(self, branch: nn.Module, other: nn.Module | None = None) -> None:
        super().__init__()
        self.branch, self.other = branch, other

    def forward(self, image: Tensor) -> Tensor:
        return self.branch(image) + (image if self.other is None else self.other(image))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inputs, squeezed, 1), nn.ReLU())
        self.narrow = nn.Sequential(nn.Conv2d(squeezed, expanded, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(squeezed, expanded, 3, padding=1), nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        squeezed = self.squeeze(image)
        return torch.cat([self.narrow(squeezed), self.wide(squeezed)], 1)


def mobilenet_v1() -> nn.Module:
    layers = [*filtered(3, 32, 3, 2), nn.ReLU()]
    channels = 32
    for outputs, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2)]:
        layers += [*filtered(channels, channels, 3, stride, channels), nn.ReLU()]
        layers += [*filtered(channels, outputs, 1, 1), nn.ReLU()]
        channels = outputs
    layers += [*filtered(1024, 1024, 3, 1, 1024), nn.ReLU(), *filtered(1024, 1024, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))


def mobilenet_v2() -> nn.Module:
    layers = [*filtered(3, 32, 3, 2), nn.ReLU6()]
    channels = 32
    settings = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expansion, outputs, count, first in settings:
        for index in range(count):
            stride, wide = first if index == 0 else 1, channels * expansion
            expand = [*filtered(channels, wide, 1, 1), nn.ReLU6()] if expansion > 1 else []
            block = nn.Sequential(
                *expand, *filtered(wide, wide, 3, stride, wide), nn.ReLU6(), *filtered(wide, outputs, 1, 1)
            )
            layers.append(Shortcut(block) if index else block)
            channels = outputs
    layers += [*filtered(320, 1280, 1, 1), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


def resnet18() -> nn.Module:
    layers = [*filtered(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for outputs, first in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        for stride in (first, 1):
            branch = [*filtered(channels, outputs, 3, stride), nn.ReLU(), *filtered(outputs, outputs, 3, 1)]
            other = None if channels == outputs else nn.Sequential(*filtered(channels, outputs, 1, stride))
            layers += [Shortcut(nn.Sequential(*branch), other), nn.ReLU()]
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def squeezenet() -> nn.Module:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    fires = [Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128), Fire(256, 32, 128), pool()]
    fires += [Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
    last = [nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), *fires, *last)


DEFINITIONS = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
    "squeezenet": squeezenet,
}


def description(layer: Layer, graph: Graph) -> tuple[object, ...]:
    """A layer without names: its type and parameters, and the types of those that it reads from."""
    producers = wiring_of(graph).producers
    params = sorted((item.key, item.value) for item in layer.params)
    return layer.type, tuple(params), tuple(sorted(producers[blob].type for blob in layer.inputs))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_reference_networks_are_what_the_converter_makes(name: str, tmp_path: Path) -> None:
    net = reference_net(name)
    shape = (1, *net.input_shape)
    with torch.no_grad():
        torch.jit.trace(DEFINITIONS[name]().eval(), torch.zeros(shape)).save(str(tmp_path / "net.pt"))
    converted = read_graph(*run_pnnx(tmp_path / "net.pt", [shape], hint=""))
    wanted = Counter(description(layer, converted) for layer in converted.layers)
    assert Counter(description(layer, net.graph) for layer in net.graph.layers) == wanted
    assert [layer.type for layer in net.graph.layers if layer.weights] == [
        layer.type for layer in converted.layers if layer.weights
    ]


@pytest.mark.parametrize("name", ["ppocr_rec", pytest.param("ppocr_det", marks=pytest.mark.nightly)])
def test_ocr_network_answers_alike_in_float_and_int8(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = page_windows(OCR_NETS[name], progress=SILENT)
    windows = [data.tensor(index) for index in UNSEEN]
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    outputs = []
    for int8 in (False, True):
        net = build_builtin(name, int8=int8, progress=SILENT)
        assert net.inputs == {"in0": OCR_NETS[name].shape}
        assert net.outputs == {"out0": OUTPUTS[name]}
        engine = Engine(net.param, net.weights, options=INT8_TASK_OPTIONS)
        outputs.append(np.stack([engine.run(["out0"], {"in0": window})["out0"] for window in windows]))
        assert np.isfinite(outputs[-1]).all()
    real, quantized = outputs
    assert (real * quantized).sum() / np.linalg.norm(real) / np.linalg.norm(quantized) > 0.95
    graph = read_graph(net.param, net.weights)
    check_graph(graph)
    convolutions = [layer for layer in graph.layers if layer.type in CONVOLUTIONS_2D]
    assert sum(layer.integer(8, 0) > HANDS_ON for layer in convolutions) == CHAINED[name]


@pytest.mark.nightly
def test_ocr_network_made_anew_has_the_same_bytes(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for directory in (cache, tmp_path):
        monkeypatch.setenv(CACHE_VARIABLE, str(directory))
        net = build_builtin("ppocr_rec", int8=True, progress=SILENT)
        found.append((net.param.parent.name, file_sha256(net.param), file_sha256(net.weights)))
    assert found[0] == found[1]
