"""TorchScript models through the whole conversion: a network trained here, and archives that must fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from model_conversion import (
    HALF,
    TIGHT,
    Array,
)

from edgedeploy.artifacts import InputSpec, Sample
from edgedeploy.convert import pipeline
from edgedeploy.convert.engine import run_converted
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.errors import (
    ComparisonError,
    ConversionError,
    CorruptModelError,
    ShapeMismatchError,
)
from edgedeploy.graph import format_param, read_graph, weights_bytes


class DigitNet(torch.nn.Module):
    """A small convolutional classifier with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, padding=1),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(8, 16, 3, padding=1),
            torch.nn.Hardswish(),
            torch.nn.AdaptiveAvgPool2d(2),
        )
        self.head = torch.nn.Linear(64, 4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.head(torch.flatten(self.features(image), 1))
        return torch.softmax(scores, dim=1), scores


def drawn_shapes(count: int, seed: int) -> tuple[Array, Array]:
    """Noisy 16x16 drawings of four kinds: horizontal bar, vertical bar, disc, ring. Returns images and labels."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:16, 0:16]
    images, labels = [], generator.integers(0, 4, count)
    for label in labels:
        y, x, radius = generator.uniform(5, 11), generator.uniform(5, 11), generator.uniform(3, 5)
        distance = np.hypot(rows - y, columns - x)
        drawing = (abs(rows - y) < 1.5, abs(columns - x) < 1.5, distance < radius, abs(distance - radius) < 1)[label]
        images.append(drawing.astype(np.float32) + generator.normal(0, 0.2, (16, 16)).astype(np.float32))
    return np.stack(images)[:, np.newaxis], labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DigitNet, Path]:
    """The classifier, trained here, and its TorchScript file."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = DigitNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    images, labels = (torch.from_numpy(item) for item in drawn_shapes(512, seed=1))
    for _ in range(12):
        for start in range(0, len(images), 64):
            optimizer.zero_grad()
            scores = network(images[start : start + 64])[1]
            torch.nn.functional.cross_entropy(scores, labels[start : start + 64]).backward()
            optimizer.step()
    path = tmp_path_factory.mktemp("torch") / "digits.pt"
    torch.jit.trace(network.eval(), torch.zeros(1, 1, 16, 16)).save(str(path))
    return network, path


def shape_samples(count: int) -> tuple[tuple[Sample, ...], Array]:
    images, labels = drawn_shapes(count, seed=2)
    samples = tuple(
        Sample(name=f"drawing {index}", raw={"in0": image[np.newaxis]}, tensors={"in0": image[np.newaxis]})
        for index, image in enumerate(images)
    )
    return samples, labels


IMAGE = (InputSpec(name="in0", shape=(1, 1, 16, 16)),)


@pytest.mark.parametrize("fp16", [False, True])
def test_a_trained_network_keeps_its_answers(trained: tuple[DigitNet, Path], model_cache: Path, fp16: bool) -> None:
    samples, labels = shape_samples(40)
    limits = HALF if fp16 else TIGHT
    model = convert_model(trained[1], IMAGE, samples, fp16=fp16, limits=limits)
    assert model.comparison is not None
    assert model.comparison.reference == f"torch {torch.__version__}"
    assert [(item.name, item.source_name, item.shape) for item in model.outputs] == [
        ("out0", "out0", (4,)),
        ("out1", "out1", (4,)),
    ]
    answers = [run_converted(model, sample) for sample in samples]
    assert np.mean([np.argmax(item["out0"]) for item in answers] == labels) > 0.9, "the training taught something"
    for item in answers:
        assert item["out0"].sum() == pytest.approx(1.0, abs=1e-3), "out0 is the softmax, out1 the scores"
    graph = read_graph(model.param, model.weights)
    assert format_param(graph).encode() == model.param.read_bytes()
    assert weights_bytes(graph) == model.weights.read_bytes()


def test_a_scripted_module_fails_with_the_way_out(
    trained: tuple[DigitNet, Path], tmp_path: Path, empty_cache: Path
) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.script(trained[0].eval()).save(str(path))
    with pytest.raises(ConversionError, match="the converter failed with status") as caught:
        convert_model(path, IMAGE, shape_samples(1)[0], fp16=False, limits=TIGHT)
    assert "torch.jit.trace" in caught.value.hint


def test_a_state_dict_is_no_model(trained: tuple[DigitNet, Path], tmp_path: Path, empty_cache: Path) -> None:
    torch.save(trained[0].state_dict(), tmp_path / "weights.pt")
    with pytest.raises(CorruptModelError, match="no code"):
        convert_model(tmp_path / "weights.pt", IMAGE, shape_samples(1)[0], fp16=False, limits=TIGHT)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_torchscript_archive_is_corrupt(
    trained: tuple[DigitNet, Path], tmp_path: Path, empty_cache: Path, share: float
) -> None:
    whole = trained[1].read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CorruptModelError):
        convert_model(tmp_path / "cut.pt", IMAGE, shape_samples(1)[0], fp16=False, limits=TIGHT)


def test_torchscript_inputs_have_their_names(trained: tuple[DigitNet, Path], empty_cache: Path) -> None:
    image = shape_samples(1)[0][0].tensors["in0"]
    with pytest.raises(ShapeMismatchError, match="are called in0"):
        convert_model(
            trained[1],
            (InputSpec(name="image", shape=(1, 1, 16, 16)),),
            (Sample(name="s", raw={}, tensors={"image": image}),),
            fp16=False,
            limits=TIGHT,
        )
    two = (*IMAGE, InputSpec(name="in1", shape=(1, 1, 16, 16)))
    sample = Sample(name="s", raw={}, tensors={"in0": image, "in1": image})
    with pytest.raises(ShapeMismatchError, match="forward takes 1 inputs"):
        convert_model(trained[1], two, (sample,), fp16=False, limits=TIGHT)


def test_without_torch_there_is_no_silent_pass(
    trained: tuple[DigitNet, Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "torch_is_installed", lambda: False)
    samples, _ = shape_samples(1)
    with pytest.raises(ComparisonError, match="torch is not installed"):
        convert_model(trained[1], IMAGE, samples, fp16=False, limits=TIGHT)
    model = convert_model(trained[1], IMAGE, samples, fp16=False, limits=TIGHT, accept_differences=True)
    assert model.comparison is None
    assert model.warnings
