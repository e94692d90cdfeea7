"""Checks that a graph is one the engine runs: what a pass must not break."""

from __future__ import annotations

from collections import Counter

from edgedeploy.errors import ParamSyntaxError
from edgedeploy.graph.layouts import layout_of
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.weights import require_known_types

_HINT = "convert the model again; if a change made here broke the graph, leave that change out"


def check_graph(graph: Graph) -> None:
    """Check wiring, names, layer types and the sizes of weights.

    A blob has one reader at most (the engine frees it after that; Split makes more), every Split has an output, layer
    names differ, and the weights are those that the parameters announce.

    Args:
        graph: With its weights attached.

    Raises:
        ParamSyntaxError: Names the layer that breaks a rule.
        UnsupportedOperatorError: A layer type the engine lacks.
    """
    require_known_types(graph)
    graph.check_wiring()
    _require_single(Counter(layer.name for layer in graph.layers), "layers are named")
    _require_single(Counter(blob for layer in graph.layers for blob in layer.inputs), "layers read blob")
    for layer in graph.layers:
        if layer.type == "Split" and (len(layer.inputs) != 1 or not layer.outputs):
            raise ParamSyntaxError(f"Split {layer.name} needs one input and at least one output", hint=_HINT)
        _check_weights(layer)


def _require_single(counts: Counter[str], what: str) -> None:
    for name, count in counts.items():
        if count > 1:
            raise ParamSyntaxError(f"{count} {what} {name}", hint=_HINT)


def _check_weights(layer: Layer) -> None:
    announced = [(slot.name, slot.shape) for slot in layout_of(layer)]
    found = [(weight.name, weight.shape) for weight in layer.weights]
    if announced != found:
        raise ParamSyntaxError(
            f"layer {layer.name} ({layer.type}) announces the weights {announced} and has {found}", hint=_HINT
        )
