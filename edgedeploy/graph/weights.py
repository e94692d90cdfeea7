"""Reads and writes ``.bin`` files for a graph whose ``.param`` is known."""

from __future__ import annotations

import math
from dataclasses import replace

from edgedeploy.errors import ParamSyntaxError, TruncatedWeightsError, UnsupportedOperatorError
from edgedeploy.graph.layer_types import known_layer_types
from edgedeploy.graph.layouts import Load, Slot, layout_of
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.storage import Weight, WeightReader

_MOST_ELEMENTS = 2**48


def attach_weights(graph: Graph, data: bytes) -> Graph:
    """Return the graph with every layer's weights read from the bytes of its ``.bin`` file.

    Raises:
        UnsupportedOperatorError: A layer type the engine lacks: nobody knows how many bytes are its own.
        TruncatedWeightsError: The bytes end early, or some are left over.
        ParamSyntaxError: A size in the ``.param`` is negative or beyond all memory.
    """
    require_known_types(graph)
    reader = WeightReader(data)
    layers = tuple(replace(layer, weights=_read_layer(layer, reader)) for layer in graph.layers)
    if reader.remaining_bytes:
        raise TruncatedWeightsError(
            f"{reader.remaining_bytes} of {len(data)} bytes of weights are left over after the last layer",
            hint="the .bin belongs to another .param; convert the model again",
        )
    return replace(graph, layers=layers)


def weights_bytes(graph: Graph) -> bytes:
    """Return the bytes of the ``.bin`` file; the inverse of ``attach_weights``."""
    return b"".join(weight.to_bytes() for layer in graph.layers for weight in layer.weights)


def require_known_types(graph: Graph) -> None:
    """Check that the engine has every layer type.

    Raises:
        UnsupportedOperatorError: Lists all unknown types, each with its layers.
    """
    known = known_layer_types()
    unknown: dict[str, list[str]] = {}
    for layer in graph.layers:
        if layer.type not in known:
            unknown.setdefault(layer.type, []).append(layer.name)
    if unknown:
        listed = "\n".join(f"  {kind}: {', '.join(names)}" for kind, names in sorted(unknown.items()))
        raise UnsupportedOperatorError(
            f"the network has layer types that ncnn lacks:\n{listed}",
            hint="replace these operators in the source model, or cut the model before them",
        )


def _read_layer(layer: Layer, reader: WeightReader) -> tuple[Weight, ...]:
    return tuple(
        _read_slot(slot, f"layer {layer.name} ({layer.type})", reader, layer.line) for slot in layout_of(layer)
    )


def _read_slot(slot: Slot, owner: str, reader: WeightReader, line: int) -> Weight:
    if any(size < 0 for size in slot.shape):
        raise ParamSyntaxError(
            f"line {line}: {slot.name} of {owner} has the shape {slot.shape}",
            hint="a size in this line is negative; convert the model again",
        )
    # Without the zeros: numpy has no array of this shape, not even an empty one.
    if math.prod(size or 1 for size in slot.shape) > _MOST_ELEMENTS:
        raise ParamSyntaxError(
            f"line {line}: {slot.name} of {owner} has the shape {slot.shape}, more than any memory holds",
            hint="a size in this line is damaged; convert the model again",
        )
    match slot.load:
        case Load.TAGGED:
            return reader.tagged(slot.name, slot.shape, owner)
        case Load.BYTES:
            return reader.packed(slot.name, slot.shape, owner)
        case Load.FLOATS:
            return reader.untagged(slot.name, slot.shape, owner)
