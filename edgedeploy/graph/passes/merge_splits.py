"""Merges a Split that reads a Split into it."""

from __future__ import annotations

from dataclasses import replace

from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.protocol import Pass, until_stable


def _step(graph: Graph) -> Graph | None:
    wiring = wiring_of(graph)
    for layer in graph.layers:
        if layer.type != "Split":
            continue
        (source,) = layer.inputs
        parent = wiring.producers[source]
        if parent.type == "Split" and wiring.only_reader(source) is not None:
            place = parent.outputs.index(source)
            merged = replace(parent, outputs=(*parent.outputs[:place], *layer.outputs, *parent.outputs[place + 1 :]))
            without = replace(graph, layers=tuple(item for item in graph.layers if item.name != layer.name))
            return without.with_layer(merged)
    return None


MERGE_SPLITS = Pass("merge-splits", until_stable(_step))
