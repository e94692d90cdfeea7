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
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.mobile_optimizer import optimize_for_mobile

BOUNDARY, RUN = 0, 1
_RELU, _CLIP = 1, 3
_ADD, _MULTIPLY = 0, 2


def _pair(layer: dict[str, Any], wide: int, high: int, default: int) -> tuple[int, int]:
    """Return a parameter's height and width; the height is the width's where it is not given."""
    width = int(layer["params"].get(str(wide), default))
    return int(layer["params"].get(str(high), width)), width


class Network(nn.Module):
    """The layers in their order, batch norms folded and activations fused as the converter left them.

    Blobs of three dimensions have a batch of one before them; of two and one likewise.
    """

    def __init__(self, layers: list[dict[str, Any]], weights: dict[str, Tensor]) -> None:
        super().__init__()
        self._layers = layers
        for name, values in weights.items():
            self.register_buffer(name, values)
        self._runs: dict[str, Callable[[dict[str, Any], list[Tensor]], Tensor]] = {
            "BinaryOp": self._binary,
            "Concat": lambda layer, inputs: torch.cat(inputs, 1),
            "Convolution": self._convolution,
            "ConvolutionDepthWise": self._convolution,
            "Deconvolution": self._deconvolution,
            "Gemm": lambda layer, inputs: functional.linear(
                inputs[0], self._weight(layer, "b"), self._weight(layer, "c").flatten()
            ),
            "HardSigmoid": lambda layer, inputs: functional.hardsigmoid(inputs[0]),
            "HardSwish": lambda layer, inputs: functional.hardswish(inputs[0]),
            "InnerProduct": self._inner_product,
            "Interp": lambda layer, inputs: functional.interpolate(
                inputs[0], scale_factor=(float(layer["params"]["1"]), float(layer["params"]["2"])), mode="nearest"
            ),
            "LayerNorm": self._layer_norm,
            "MultiHeadAttention": self._attention,
            "Permute": lambda layer, inputs: (
                inputs[0].transpose(1, 2) if inputs[0].ndim == 3 else inputs[0].permute(0, 3, 1, 2)
            ),
            "Pooling": self._pooling,
            "ReLU": lambda layer, inputs: functional.relu(inputs[0]),
            "Reshape": self._reshape,
            "Sigmoid": lambda layer, inputs: torch.sigmoid(inputs[0]),
            "Softmax": lambda layer, inputs: inputs[0].softmax(-1),
            "Split": lambda layer, inputs: inputs[0],
            "Squeeze": lambda layer, inputs: inputs[0].squeeze(2),
            "Swish": lambda layer, inputs: functional.silu(inputs[0]),
        }

    def forward(self, image: Tensor) -> Tensor:
        blobs = {"in0": image}
        for layer in self._layers:
            if layer["type"] == "Input":
                continue
            if layer["type"] not in self._runs:
                raise SystemExit(f"no counterpart of {layer['type']} in PyTorch is known here")
            values = self._runs[layer["type"]](layer, [blobs.pop(name) for name in layer["inputs"]])
            for name in layer["outputs"]:
                blobs[name] = values
        (output,) = blobs.values()
        return output

    def _weight(self, layer: dict[str, Any], name: str) -> Tensor:
        weight: Tensor = getattr(self, f"w{layer['index']}_{name}")
        return weight

    def _bias(self, layer: dict[str, Any]) -> Tensor | None:
        return getattr(self, f"w{layer['index']}_bias", None)

    def _convolution(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        weight = self._weight(layer, "weight")
        values = functional.conv2d(
            inputs[0],
            weight.reshape(weight.shape[0], -1, *weight.shape[-2:]),
            self._bias(layer),
            stride=_pair(layer, 3, 13, 1),
            padding=_pair(layer, 4, 14, 0),
            groups=int(layer["params"].get("7", 1)),
        )
        return _activated(layer, values)

    def _deconvolution(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        weight = self._weight(layer, "weight").transpose(0, 1)
        stride, padding = _pair(layer, 3, 13, 1), _pair(layer, 4, 14, 0)
        values = functional.conv_transpose2d(inputs[0], weight, self._bias(layer), stride=stride, padding=padding)
        return _activated(layer, values)

    def _inner_product(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        values = functional.linear(inputs[0].flatten(1), self._weight(layer, "weight"), self._bias(layer))
        return _activated(layer, values)

    def _layer_norm(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        gamma, beta = self._weight(layer, "gamma"), self._weight(layer, "beta")
        return functional.layer_norm(inputs[0], gamma.shape, gamma, beta, float(layer["params"]["1"]))

    def _attention(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        heads = int(layer["params"]["1"])
        width = int(layer["params"]["0"])

        def projected(name: str) -> Tensor:
            weight, bias = self._weight(layer, f"{name}_weight"), self._weight(layer, f"{name}_bias")
            values = functional.linear(inputs[0], weight.reshape(width, width), bias)
            return values.reshape(1, -1, heads, width // heads).transpose(1, 2)

        values = functional.scaled_dot_product_attention(projected("q"), projected("k"), projected("v"))
        joined = values.transpose(1, 2).reshape(1, -1, width)
        weight, bias = self._weight(layer, "out_weight"), self._weight(layer, "out_bias")
        return functional.linear(joined, weight.reshape(width, width), bias)

    @staticmethod
    def _binary(layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        params, left = layer["params"], inputs[0]
        kind = int(params.get("0", 0))
        if kind not in (_ADD, _MULTIPLY):
            raise SystemExit(f"{layer['name']}: an operation without a counterpart here")
        if int(params.get("1", 0)):
            scalar = float(params["2"])
            return left + scalar if kind == _ADD else left * scalar
        left, right = (_as_channels(values, inputs) for values in inputs)
        return left + right if kind == _ADD else left * right

    @staticmethod
    def _pooling(layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        params, image = layer["params"], inputs[0]
        averages = bool(int(params.get("0", 0)))
        if int(params.get("4", 0)):
            return functional.adaptive_avg_pool2d(image, 1) if averages else image.amax((2, 3), keepdim=True)
        window, stride, padding = _pair(layer, 1, 11, 0), _pair(layer, 2, 12, 1), _pair(layer, 3, 13, 0)
        if averages:
            return functional.avg_pool2d(image, window, stride, padding)
        return functional.max_pool2d(image, window, stride, padding, ceil_mode=int(params.get("5", 0)) == 0)

    @staticmethod
    def _reshape(layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        """Reshape to the extents that are given; by an expression only a vector to channels is known."""
        extents = [int(layer["params"][key]) for key in ("2", "1", "0") if key in layer["params"]]
        return inputs[0].reshape(1, *(extents or (-1, 1, 1)))


def _as_channels(values: Tensor, inputs: list[Tensor]) -> Tensor:
    """Return a vector as the engine broadcasts it over images."""
    images = max(other.ndim for other in inputs)
    return values.reshape(1, -1, 1, 1) if values.ndim == 2 and images == 4 else values


def _activated(layer: dict[str, Any], values: Tensor) -> Tensor:
    kind = int(layer["params"].get("9", 0))
    if kind == 0:
        return values
    if kind not in (_RELU, _CLIP):
        raise SystemExit(f"{layer['name']}: an activation without a counterpart here")
    return functional.relu(values) if kind == _RELU else functional.relu6(values)


def main() -> None:
    net_file, marks_file, runs, output_file, *options = sys.argv[1:]
    mark = ctypes.CDLL(marks_file).mark
    stored = np.load(net_file)
    weights = {name: torch.from_numpy(stored[name]) for name in stored.files if name.startswith("w")}
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
