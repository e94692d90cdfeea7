"""A project to quantize: a small network trained here to tell horizontal from vertical bars, and images of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.project import PROJECT_FILE

SIDE = 16
CLASSES = ("horizontal", "vertical")
MODEL = "bars.onnx"
IMAGES = "images"

PROJECT = f"""
samples = ["{IMAGES}/horizontal/000.png", "{IMAGES}/vertical/001.png"]
[app]
name = "bars"
[model]
source = "{MODEL}"
[[model.inputs]]
name = "x"
shape = [1, 1, {SIDE}, {SIDE}]
[model.inputs.preprocessing]
color = "gray"
resize = "none"
mean = [100.0]
scale = [0.02]
[postprocessing]
kind = "argmax"
[quantization]
data = "{IMAGES}"
metric = "top1"
"""


class Net(torch.nn.Module):
    """Convolutions plain, depthwise and 1x1, with ReLU and ReLU6, and an inner product."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.second = torch.nn.Conv2d(8, 16, 3, padding=1)
        self.deep = torch.nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.point = torch.nn.Conv2d(16, 16, 1)
        self.last = torch.nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.max_pool2d(torch.relu(self.first(x)), 2)
        x = torch.relu(self.deep(torch.nn.functional.relu6(self.second(x))))
        x = torch.relu(self.point(x)).mean((2, 3))
        return self.last(x)


def bar_images(count: int, seed: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noisy images of a horizontal (0) or a vertical bar (1): uint8 (N, 16, 16), and the labels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(100, 20, (count, SIDE, SIDE))
    labels = np.arange(count) % 2
    for image, label, place in zip(images, labels, rng.integers(2, SIDE - 2, count), strict=True):
        if label:
            image[:, place] += 90
        else:
            image[place, :] += 90
    return np.clip(images, 0, 255).astype(np.uint8), labels


def trained_model() -> onnx.ModelProto:
    """Train the network for a second and return it as ONNX of opset 13."""
    torch.manual_seed(0)
    # The network is so small that a second thread would only wait.
    torch.set_num_threads(1)
    images, labels = bar_images(256, seed=1)
    inputs = torch.from_numpy((images[:, None].astype(np.float32) - 100) * 0.02)
    net, targets = Net(), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()
    assert (net(inputs).argmax(1) == targets).float().mean() > 0.95
    return _exported({name: value.numpy() for name, value in net.state_dict().items()})


def write_project(directory: Path, model: onnx.ModelProto, *, images: int = 60, text: str = PROJECT) -> Path:
    """Write project file, model and images, one directory a class."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / PROJECT_FILE).write_text(text, encoding="utf-8")
    onnx.save(model, directory / MODEL)
    pictures, labels = bar_images(images)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        place = directory / IMAGES / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{index:03}.png"), picture)
    return directory


def changed_weight(model: onnx.ModelProto, name: str, value: float) -> onnx.ModelProto:
    """Return the model with one element of an initialiser replaced."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0] = value
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return changed


def _exported(weights: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    def conv(name: str, source: str, *, pads: int = 1, group: int = 1) -> onnx.NodeProto:
        names = [source, f"{name}.weight", f"{name}.bias"]
        return helper.make_node("Conv", names, [f"{name}.out"], name, pads=[pads] * 4, group=group)

    nodes = [
        conv("first", "x"),
        helper.make_node("Relu", ["first.out"], ["a"]),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("second", "b"),
        helper.make_node("Clip", ["second.out", "zero", "six"], ["c"]),
        conv("deep", "c", group=16),
        helper.make_node("Relu", ["deep.out"], ["d"]),
        conv("point", "d", pads=0),
        helper.make_node("Relu", ["point.out"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "last.weight", "last.bias"], ["y"], transB=1),
    ]
    constants = {**weights, "zero": np.float32(0), "six": np.float32(6)}
    graph = helper.make_graph(
        nodes,
        "bars",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
