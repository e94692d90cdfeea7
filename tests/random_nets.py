"""Small networks from lines of ``.param`` text, with random weights, and their float outputs in the engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph, Layer, Storage, Weight, make_weight, parse_param
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.graph.layouts import Load, Slot, layout_of
from edgedeploy.graph.storage import TABLE_ENTRIES

ONE_THREAD = EngineOptions(threads=1)


TABLE_TAG = 0x04030201
"""One of the many: whatever is no other storage's tag is a table's."""
_LARGEST_CODE = 127


def random_net(*lines: str, seed: int = 0, storages: tuple[Storage, ...] = (Storage.FP32,)) -> Graph:
    """Return the network of these layers; weights are normal, variances positive.

    Args:
        lines: As in a ``.param`` file, without its first two.
        storages: Of the weights with a tag, one after the other and again from the first.
    """
    blobs = sum(int(line.split()[3]) for line in lines)
    graph = parse_param("\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n")
    random = np.random.default_rng(seed)
    turns = itertools.cycle(storages)
    return replace(graph, layers=tuple(_filled(layer, random, turns) for layer in graph.layers))


def _filled(layer: Layer, random: np.random.Generator, turns: Iterator[Storage]) -> Layer:
    weights: list[Weight] = []
    for slot in layout_of(layer):
        values = random.normal(size=slot.shape)
        if slot.name == "variance":
            values = np.abs(values) + 0.1
        weights.append(_stored(slot, values, turns))
    return replace(layer, weights=tuple(weights))


def _stored(slot: Slot, values: NDArray[np.float64], turns: Iterator[Storage]) -> Weight:
    if slot.load is Load.FLOATS:
        return make_weight(slot.name, values, Storage.UNTAGGED)
    codes = np.clip(np.rint(values * 40), -_LARGEST_CODE, _LARGEST_CODE)
    if slot.load is Load.BYTES:
        return make_weight(slot.name, codes + _LARGEST_CODE, Storage.PACKED)
    storage = next(turns)
    if storage is Storage.INT8:
        return make_weight(slot.name, codes, storage)
    if storage is not Storage.TABLE:
        return make_weight(slot.name, values, storage)
    # The product makes none: 256 values, then which of them each weight is.
    entries = np.linspace(-3, 3, TABLE_ENTRIES).astype("<f4")
    indices = make_weight(slot.name, codes + _LARGEST_CODE, Storage.PACKED)
    return replace(indices, storage=storage, payload=entries.tobytes() + indices.payload, tag=TABLE_TAG)


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
