"""One network in PyTorch, run on the emulated core: the program that benchmarks/torch_cycles.py counts.

    python3 torch_guest.py NET.npz MARKS.so RUNS OUTPUT.npy [--mobile]

NET.npz is what ``torch_cycles.py`` writes: the layers as JSON, their weights, the input. Before the first run and after
each of them it marks a boundary for the block counter (docs/cycles-format.md). ``--mobile``: traced and handed to
``optimize_for_mobile``, which packs convolutions for XNNPACK; else eager.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.mobile_optimizer import optimize_for_mobile

BOUNDARY, RUN = 0, 1
_RELU, _CLIP = 1, 3


def _pair(layer: dict[str, Any], wide: int, high: int, default: int) -> tuple[int, int]:
    """Return a parameter's height and width; the height is the width's where it is not given."""
    width = int(layer["params"].get(str(wide), default))
    return int(layer["params"].get(str(high), width)), width


class Network(nn.Module):
    """The layers in their order, batch norms folded and activations fused as the converter left them."""

    def __init__(self, layers: list[dict[str, Any]], weights: dict[str, Tensor]) -> None:
        super().__init__()
        self._layers = layers
        for name, values in weights.items():
            self.register_buffer(name, values)

    def forward(self, image: Tensor) -> Tensor:
        blobs = {"in0": image}
        for layer in self._layers:
            if layer["type"] == "Input":
                continue
            inputs = [blobs.pop(name) for name in layer["inputs"]]
            for name in layer["outputs"]:
                blobs[name] = self._run(layer, inputs)
        (output,) = blobs.values()
        return output

    def _run(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        match layer["type"]:
            case "Convolution" | "ConvolutionDepthWise":
                values = self._activated(layer, self._convolution(layer, inputs[0]))
            case "InnerProduct":
                values = self._activated(layer, functional.linear(inputs[0].flatten(1), *self._weights(layer)))
            case "Pooling":
                values = self._pooling(layer, inputs[0])
            case "BinaryOp":
                values = inputs[0] + inputs[1]
            case "ReLU":
                values = functional.relu(inputs[0])
            case "Concat":
                values = torch.cat(inputs, 1)
            case "Split":
                values = inputs[0]
            case other:
                raise SystemExit(f"no counterpart of {other} in PyTorch is known here")
        return values

    def _weights(self, layer: dict[str, Any]) -> tuple[Tensor, Tensor]:
        return getattr(self, f"{layer['name']}_weight"), getattr(self, f"{layer['name']}_bias")

    def _convolution(self, layer: dict[str, Any], image: Tensor) -> Tensor:
        weight, bias = self._weights(layer)
        groups = int(layer["params"].get("7", 1))
        return functional.conv2d(
            image,
            weight.reshape(weight.shape[0], -1, *weight.shape[-2:]),
            bias,
            stride=_pair(layer, 3, 13, 1),
            padding=_pair(layer, 4, 14, 0),
            groups=groups,
        )

    @staticmethod
    def _activated(layer: dict[str, Any], values: Tensor) -> Tensor:
        match int(layer["params"].get("9", 0)):
            case 0:
                return values
            case kind if kind == _RELU:
                return functional.relu(values)
            case kind if kind == _CLIP:
                return functional.relu6(values)
        raise SystemExit(f"{layer['name']}: an activation without a counterpart here")

    @staticmethod
    def _pooling(layer: dict[str, Any], image: Tensor) -> Tensor:
        params = layer["params"]
        if int(params.get("4", 0)):
            return functional.adaptive_avg_pool2d(image, 1) if int(params.get("0", 0)) else image.amax((2, 3))
        return functional.max_pool2d(
            image,
            _pair(layer, 1, 11, 0),
            _pair(layer, 2, 12, 1),
            _pair(layer, 3, 13, 0),
            ceil_mode=int(params.get("5", 0)) == 0,
        )


def main() -> None:
    net_file, marks_file, runs, output_file, *options = sys.argv[1:]
    mark = ctypes.CDLL(marks_file).mark
    stored = np.load(net_file)
    weights = {name[2:]: torch.from_numpy(stored[name]) for name in stored.files if name.startswith("w:")}
    torch.set_num_threads(1)
    network: Any = Network(json.loads(str(stored["layers"])), weights).eval()
    image = torch.from_numpy(stored["input"])
    with torch.inference_mode(not options):
        if options:
            network = optimize_for_mobile(torch.jit.trace(network, image, check_trace=False))
        mark(BOUNDARY)
        for _ in range(int(runs)):
            mark(RUN)
            output = network(image)
            mark(BOUNDARY)
    np.save(output_file, output.flatten().numpy())
    print(json.dumps({"torch": torch.__version__}))


if __name__ == "__main__":
    main()
