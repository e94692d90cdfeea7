"""The passes and the equalisation on converted models: PP-OCR, and small nets as the converter writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from torch import nn

from edgedeploy.artifacts import ComparisonLimits, ConvertedModel, FloatArray, InputSpec, Sample
from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.graph import Graph, check_graph, read_graph, write_graph
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.graph.passes import PassRecord, largest_difference, run_passes
from edgedeploy.graph.passes.linear import is_linear
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT
from edgedeploy.quantize.equalize import equalize

Check = Callable[[Graph], Mapping[str, FloatArray]]

LIMITS = ComparisonLimits(max_abs_error=1e-3, cosine=0.99999, sqnr_db=60.0)
TOLERANCE = 1e-4
PP_OCR = {
    "det": (
        "ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        (1, 3, 192, 384),
    ),
    "cls": (
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        (1, 3, 48, 192),
    ),
    "rec": (
        "ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        (1, 3, 48, 320),
    ),
}


class Bottleneck(nn.Module):
    """Expand, filter each channel, gate the channels, project: MobileNetV2's block, with V3's gate on demand."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Callable[[], nn.Module], gate: bool) -> None:
        super().__init__()
        wide = 3 * inputs
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            activation(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            activation(),
        )
        self.gate = (
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, 4, 1), nn.ReLU(), nn.Conv2d(4, wide, 1), nn.Hardsigmoid()
            )
            if gate
            else None
        )
        self.project = nn.Sequential(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.adds = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.expand(x)
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.project(y)
        return x + y if self.adds else y


def mobile_net(activation: Callable[[], nn.Module], *, gate: bool = False) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        activation(),
        Bottleneck(8, 8, 1, activation, gate=False),
        Bottleneck(8, 12, 2, activation, gate=gate),
        Bottleneck(12, 12, 1, activation, gate=gate),
        nn.Conv2d(12, 24, 1, bias=False),
        nn.BatchNorm2d(24),
        activation(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(24, 10),
    )


class Loose(nn.Module):
    """Norms, constants and activations that the converter does not fold by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.factors = nn.Parameter(torch.randn(1, 8, 1, 1))
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.norm = nn.BatchNorm2d(8)
        self.after = nn.Conv2d(8, 6, 3, padding=1)
        self.rows = nn.Linear(6, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x * 0.5 + 0.25) * self.factors + self.factors * 0.5
        y = nn.functional.hardswish(self.norm(self.up(y)) * 0.3 + 0.1)
        y = self.after(nn.functional.silu(y) * 0.4 + 0.2)
        y = y * nn.functional.hardsigmoid(y)
        rows = y.mean(2).permute(0, 2, 1)
        return nn.functional.mish(self.rows(rows))


def _settle(net: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Give the norms statistics of their own."""
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(8, *shape[1:]))
    return net.eval()


def convert_net(net: nn.Module, shape: tuple[int, ...], directory: Path) -> tuple[ConvertedModel, NDArray[np.float32]]:
    source = directory / "net.pt"
    torch.jit.trace(_settle(net, shape), torch.randn(*shape)).save(str(source))
    image = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    samples = (Sample(name="noise", raw={}, tensors={"in0": image}),)
    return convert_model(source, (InputSpec(name="in0", shape=shape),), samples, fp16=False, limits=LIMITS), image


@pytest.fixture(autouse=True)
def _seed(tmp_path: Path) -> None:
    torch.manual_seed(4)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path


def checker(graph: Graph, image: NDArray[np.float32]) -> Check:
    outputs, inputs = graph.outputs, graph.inputs

    def check(changed: Graph) -> Mapping[str, FloatArray]:
        engine = Engine.from_graph(changed, options=EngineOptions(threads=1))
        return engine.run(outputs, dict.fromkeys(inputs, image))

    return check


def simplified(model: ConvertedModel, image: NDArray[np.float32]) -> tuple[Graph, Graph, tuple[PassRecord, ...]]:
    """Run the passes; no pass is undone, and the files written compute what the converted ones do."""
    graph = read_graph(model.param, model.weights)
    check = checker(graph, image)
    changed, records = run_passes(graph, check)
    assert all(record.kept for record in records)
    check_graph(changed)
    param, weights = model.param.with_name("passed.param"), model.param.with_name("passed.bin")
    write_graph(changed, param, weights)
    assert largest_difference(check(read_graph(param, weights)), check(graph)) < TOLERANCE
    return graph, changed, records


def count(graph: Graph) -> Counter[str]:
    return Counter(layer.type for layer in graph.layers)


def page(shape: tuple[int, ...]) -> NDArray[np.float32]:
    image = skimage.data.page()
    image = image[38:60, 10:170] if shape[2] == 48 else image
    sized = cv2.resize(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), (shape[3], shape[2]))
    return np.ascontiguousarray((sized.astype(np.float32).transpose(2, 0, 1)[np.newaxis] - 127.5) / 127.5)


def convert_ocr(key: str, monkeypatch: pytest.MonkeyPatch, directory: Path) -> tuple[ConvertedModel, Any]:
    name, sha256, shape = PP_OCR[key]
    source = fetch_packaged_file(
        PackagedFile(
            package="rapidocr-onnxruntime",
            version="1.4.4",
            path=f"rapidocr_onnxruntime/models/{name}",
            sha256=sha256,
        ),
        progress=SILENT,
    )
    # The download stays in the user's own cache, the conversion does not.
    monkeypatch.setenv(CACHE_VARIABLE, str(directory / "cache"))
    image = page(shape)
    sample = Sample(name="page", raw={}, tensors={"x": image})
    return convert_model(source, (InputSpec(name="x", shape=shape),), (sample,), fp16=False, limits=LIMITS), image


@pytest.mark.parametrize(
    ("key", "binary_ops", "gates"),
    [("det", 23, 10), ("cls", 16, 9), ("rec", 12, 2)],
)
def test_pp_ocr_keeps_no_constant_and_no_activation_outside(
    key: str, binary_ops: int, gates: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = convert_ocr(key, monkeypatch, tmp_path)
    graph, changed, _ = simplified(model, image)
    before, after = count(graph), count(changed)
    assert before["HardSwish"] > 10
    assert (after["HardSwish"], after["ReLU"], after["Sigmoid"], after["Gemm"]) == (0, 0, 0, 0)
    assert after["InnerProduct"] == before["InnerProduct"] + before["Gemm"]
    assert (after["BinaryOp"], after["HardSigmoid"]) == (binary_ops, gates)
    assert after["Convolution"] == before["Convolution"]
    assert after["ConvolutionDepthWise"] == before["ConvolutionDepthWise"]
    assert len(changed.layers) < 0.85 * len(graph.layers)
    done = equalize(changed, ranges_of(changed, image), check=checker(graph, image))
    assert done.kept
    assert done.pairs
    assert done.max_difference is not None
    assert done.max_difference < TOLERANCE


def ranges_of(graph: Graph, image: FloatArray) -> Mapping[str, FloatArray]:
    """Largest magnitude of each channel of what layers with weights put out, on one image."""
    blobs = [layer.outputs[0] for layer in graph.layers if is_linear(layer)]
    found = Engine.from_graph(graph).run(blobs, {graph.inputs[0]: image})
    return {blob: np.abs(values).reshape(len(values), -1).max(axis=1) for blob, values in found.items()}


@pytest.mark.parametrize(
    ("activation", "rescales", "chains"),
    [(nn.ReLU, True, True), (lambda: nn.LeakyReLU(0.1), True, True), (nn.ReLU6, True, False)],
)
def test_a_net_as_mobile_net_v2_is_equalised(
    activation: Callable[[], nn.Module], rescales: bool, chains: bool, own_cache: Path
) -> None:
    model, image = convert_net(mobile_net(activation), (1, 3, 32, 32), own_cache)
    graph, changed, _ = simplified(model, image)
    assert set(count(changed)) == {
        "Input", "Convolution", "Split", "ConvolutionDepthWise", "BinaryOp", "Pooling", "InnerProduct"
    }  # fmt: skip
    check = checker(graph, image)
    done = equalize(changed, ranges_of(changed, image), check=check)
    assert done.kept
    assert bool(done.pairs) == rescales
    assert largest_difference(check(done.graph), check(graph)) < TOLERANCE
    between = {pair.first for pair in done.pairs} & {pair.second for pair in done.pairs}
    assert bool(between) == chains


def test_a_net_as_mobile_net_v3_fuses_every_hard_swish(own_cache: Path) -> None:
    model, image = convert_net(mobile_net(nn.Hardswish, gate=True), (1, 3, 32, 32), own_cache)
    graph, changed, records = simplified(model, image)
    assert count(graph)["HardSwish"] == 8
    assert count(changed)["HardSwish"] == 0
    fused = next(record for record in records if record.name == "fuse-activations")
    assert (fused.layers_before - fused.layers_after, fused.layers_changed) == (8, 16)
    assert sum(layer.integer(9, 0) == 6 for layer in changed.layers if "Conv" in layer.type) == 8
    # The gates themselves have no fused form.
    assert count(changed)["HardSigmoid"] == 2


def test_swish_is_left_alone(own_cache: Path) -> None:
    model, image = convert_net(mobile_net(nn.SiLU), (1, 3, 32, 32), own_cache)
    _, changed, records = simplified(model, image)
    assert count(changed)["Swish"] == 8
    assert not any(record.layers_changed for record in records)


def test_loose_norms_constants_and_gates_all_go(own_cache: Path) -> None:
    model, image = convert_net(Loose(), (1, 3, 16, 16), own_cache)
    graph, changed, _ = simplified(model, image)
    assert count(graph)["BinaryOp"] >= 8
    left = count(changed)
    assert (left["BinaryOp"], left["BatchNorm"], left["MemoryData"], left["HardSigmoid"]) == (0, 0, 0, 0)
    assert (left["HardSwish"], left["Gemm"], left["Mish"]) == (0, 0, 0)
    assert (left["Convolution"], left["Deconvolution"], left["InnerProduct"]) == (2, 1, 1)
