"""Networks of int8 layers from lines of ``.param`` text: random codes for weights, scales of choice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph, Layer, Storage, Weight, make_weight, parse_param
from edgedeploy.graph.layouts import Load, Slot, layout_of
from edgedeploy.quantize.choices import round_to_codes
from edgedeploy.quantize.integer_dynamic import is_dynamic_int8, run_dynamic_int8
from edgedeploy.quantize.integer_layers import run_int8_layer

_TERM_KEYS = {"Gemm": 18, "MultiHeadAttention": 18, "Embed": 18}
_TERM_KEY = 8
_FLOATS = frozenset({"bias_c", "c", "weight_hr"})


@dataclass(frozen=True, kw_only=True)
class Scales:
    """How an int8 layer's scales are drawn: the weights' uniformly between two bounds, the others as they are."""

    weights: tuple[float, float] = (60.0, 140.0)
    input: float = 45.0
    output: float = 0.5


ONES = Scales(weights=(1.0, 1.0), input=1.0, output=1.0)
"""With these a layer without bias and activation gives its accumulators."""


def code_net(*lines: str, seed: int = 0, scales: Scales = Scales(), largest: int = 127) -> Graph:
    """Return the network of these layers.

    Args:
        lines: As in a ``.param`` file, without its first two.
        scales: Of all int8 layers.
        largest: Weights are codes from ``-largest`` to ``largest``.
    """
    blobs = sum(int(line.split()[3]) for line in lines)
    graph = parse_param("\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n")
    random = np.random.default_rng(seed)
    return replace(graph, layers=tuple(_filled(layer, random, scales, largest) for layer in graph.layers))


def with_codes(layer: Layer, codes: NDArray[Any]) -> Layer:
    """Return the layer with its weights replaced."""
    return layer.with_weight(layer.weight("weight").with_array(codes))


def random_codes(shape: tuple[int, ...], seed: int) -> NDArray[np.int8]:
    """Return codes from -127 to 127; as floats they are what an input scale of one leaves as it is."""
    return np.random.default_rng(seed).integers(-127, 128, shape).astype(np.int8)


def emulate(graph: Graph, tensors: dict[str, FloatArray]) -> dict[str, NDArray[Any]]:
    """Run a network of int8 layers, Quantize and Split in the emulator; return every blob.

    Args:
        tensors: Input blob -> array without batch.
    """
    blobs: dict[str, NDArray[Any]] = dict(tensors)
    for layer in graph.layers:
        if layer.type == "Split":
            blobs.update(dict.fromkeys(layer.outputs, blobs[layer.inputs[0]]))
        elif layer.type == "Quantize":
            scale = layer.weight("scale").array.astype(np.float32)
            blobs[layer.outputs[0]] = round_to_codes(blobs[layer.inputs[0]] * scale[0])
        elif is_dynamic_int8(layer):
            blobs[layer.outputs[0]] = run_dynamic_int8(layer, *(blobs[name] for name in layer.inputs))
        elif layer.type != "Input":
            blobs[layer.outputs[0]] = run_int8_layer(layer, blobs[layer.inputs[0]])
    return blobs


def _filled(layer: Layer, random: np.random.Generator, scales: Scales, largest: int) -> Layer:
    is_int8 = bool(layer.integer(_TERM_KEYS.get(layer.type, _TERM_KEY), 0))
    weights = [_weight(slot, random, scales, largest if is_int8 else 0) for slot in layout_of(layer)]
    return replace(layer, weights=tuple(weights))


def _weight(slot: Slot, random: np.random.Generator, scales: Scales, largest: int) -> Weight:
    if slot.name in ("input_scales", "scale"):
        return make_weight(slot.name, np.full(slot.shape, scales.input), Storage.UNTAGGED)
    if slot.name == "output_scales":
        return make_weight(slot.name, np.full(slot.shape, scales.output), Storage.UNTAGGED)
    if slot.name.endswith("_scales"):
        return make_weight(slot.name, random.uniform(*scales.weights, slot.shape), Storage.UNTAGGED)
    if slot.load is Load.TAGGED and largest and slot.name not in _FLOATS:
        return make_weight(slot.name, random.integers(-largest, largest + 1, slot.shape), Storage.INT8)
    storage = Storage.FP32 if slot.load is Load.TAGGED else Storage.UNTAGGED
    return make_weight(slot.name, random.normal(size=slot.shape), storage)
