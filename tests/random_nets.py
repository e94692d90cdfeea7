"""Small networks from lines of ``.param`` text, with random weights, and their float outputs in the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph, Layer, Storage, Weight, make_weight, parse_param
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.graph.layouts import Load, layout_of

ONE_THREAD = EngineOptions(threads=1)


def random_net(*lines: str, seed: int = 0) -> Graph:
    """Return the network of these layers; weights are normal, variances positive.

    Args:
        lines: As in a ``.param`` file, without its first two.
    """
    blobs = sum(int(line.split()[3]) for line in lines)
    graph = parse_param("\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n")
    random = np.random.default_rng(seed)
    return replace(graph, layers=tuple(_filled(layer, random) for layer in graph.layers))


def _filled(layer: Layer, random: np.random.Generator) -> Layer:
    weights: list[Weight] = []
    for slot in layout_of(layer):
        values = random.normal(size=slot.shape)
        if slot.name == "variance":
            values = np.abs(values) + 0.1
        weights.append(make_weight(slot.name, values, Storage.FP32 if slot.load is Load.TAGGED else Storage.UNTAGGED))
    return replace(layer, weights=tuple(weights))


def with_values(graph: Graph, layer: str, weight: str, values: NDArray[np.float64]) -> Graph:
    """Return the network with one weight's values replaced."""
    owner = graph.layer(layer)
    return graph.with_layer(owner.with_weight(owner.weight(weight).with_array(np.asarray(values))))


def outputs_of(graph: Graph, shape: tuple[int, ...], *, seed: int = 1) -> dict[str, FloatArray]:
    """Run the network on normal random inputs of one shape, without batch; return all outputs."""
    random = np.random.default_rng(seed)
    tensors = {name: random.normal(size=(1, *shape)).astype(np.float32) for name in graph.inputs}
    return Engine.from_graph(graph, options=ONE_THREAD).run(graph.outputs, tensors)


def types_of(graph: Graph) -> list[str]:
    return [layer.type for layer in graph.layers]
