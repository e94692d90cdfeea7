"""Edits of a graph's wiring that keep it valid: readers, Splits and names of outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgedeploy.graph.model import Graph, Layer


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Who makes and who reads each blob."""

    producers: Mapping[str, Layer]
    readers: Mapping[str, tuple[Layer, ...]]

    def only_reader(self, blob: str) -> Layer | None:
        """Return the blob's reader; None where it has several, or none because it is an output."""
        readers = self.readers.get(blob, ())
        return readers[0] if len(readers) == 1 else None


def wiring_of(graph: Graph) -> Wiring:
    """Return the graph's wiring; layers in it are the graph's own."""
    readers: dict[str, tuple[Layer, ...]] = {}
    for layer in graph.layers:
        for blob in layer.inputs:
            readers[blob] = (*readers.get(blob, ()), layer)
    producers = {blob: layer for layer in graph.layers for blob in layer.outputs}
    return Wiring(producers=producers, readers=readers)


def bypass(graph: Graph, layer: Layer, source: str) -> Graph | None:
    """Take a layer of one output out; who read its output reads ``source``, one of its inputs.

    The names of the network's outputs stay: where the layer made one, ``source`` takes its name.

    Returns:
        The graph, or None where it cannot be: an output would have to be an input's own blob.
    """
    (output,) = layer.outputs
    wiring = wiring_of(graph)
    if wiring.only_reader(source) is None:
        return None
    is_output = output not in wiring.readers
    if is_output and wiring.producers[source].type == "Input":
        return None
    kept = replace(graph, layers=tuple(item for item in graph.layers if item.name != layer.name))
    kept = _renamed(kept, source, output) if is_output else _renamed(kept, output, source)
    for blob in layer.inputs:
        if blob != source:
            kept = release(kept, blob)
    return kept


def release(graph: Graph, blob: str) -> Graph:
    """Take away what made a blob that nobody reads any more, as far as that serves nobody else; inputs stay."""
    producer = wiring_of(graph).producers[blob]
    if producer.type == "Input":
        return graph
    left = tuple(name for name in producer.outputs if name != blob)
    if left:
        # Other layers' outputs have fixed places; only a Split may lose one.
        return graph.with_layer(replace(producer, outputs=left)) if producer.type == "Split" else graph
    graph = replace(graph, layers=tuple(item for item in graph.layers if item.name != producer.name))
    for source in producer.inputs:
        graph = release(graph, source)
    return graph


def _renamed(graph: Graph, old: str, new: str) -> Graph:
    def names(blobs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if blob == old else blob for blob in blobs)

    def renamed(layer: Layer) -> Layer:
        if old not in layer.inputs and old not in layer.outputs:
            return layer
        return replace(layer, inputs=names(layer.inputs), outputs=names(layer.outputs))

    return replace(graph, layers=tuple(renamed(layer) for layer in graph.layers))
