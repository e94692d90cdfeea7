"""Removes layers that hand on what they read: provably, whatever the input's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.affine import affine_of, number
from edgedeploy.graph.passes.edits import Wiring, bypass, wiring_of
from edgedeploy.graph.passes.protocol import Pass, until_stable
from edgedeploy.graph.passes.ranks import ranks_of

_RESHAPE_SIZE_KEYS = (0, 1, 11, 2)
_BATCH_KEYS = (12, 13)
_EXPRESSION_KEY = 6
_ABSENT = -233
_PADDING_SIZE_KEYS = (0, 1, 2, 3, 7, 8)


def _step(graph: Graph) -> Graph | None:
    wiring, ranks = wiring_of(graph), ranks_of(graph)
    for layer in graph.layers:
        source = _handed_on(layer, wiring, ranks)
        changed = bypass(graph, layer, source) if source is not None else None
        if changed is not None:
            return changed
    return None


def _handed_on(layer: Layer, wiring: Wiring, ranks: Mapping[str, int]) -> str | None:
    """Return the input that the layer's only output equals, or None."""
    if len(layer.outputs) != 1 or not layer.inputs:
        return None
    first = layer.inputs[0]
    if len(layer.inputs) == 1 and _is_noop(layer, ranks.get(first)):
        return first
    affine = affine_of(layer, wiring)
    if affine is None or not affine.is_identity:
        return None
    own_numbers = affine.constant_shape is None
    return affine.data if own_numbers or (affine.is_scalar and affine.fits(ranks.get(affine.data), None)) else None


def _is_noop(layer: Layer, rank: int | None) -> bool:
    """Whether a layer of one input and one output hands its input on."""
    rule = _RULES.get(layer.type)
    return rule is not None and rule(layer, rank)


def _keeps_shape(layer: Layer, rank: int | None) -> bool:
    """Whether a Reshape names as many sizes as its input has, each copied (0), but one that is what remains (-1)."""
    if layer.param(_EXPRESSION_KEY) is not None or any(layer.param(key) is not None for key in _BATCH_KEYS):
        return False
    sizes = [size for key in _RESHAPE_SIZE_KEYS if (size := layer.integer(key, _ABSENT)) != _ABSENT]
    return len(sizes) == rank and sizes.count(-1) <= 1 and set(sizes) <= {0, -1}


_RULES: Mapping[str, Callable[[Layer, int | None], bool]] = {
    "Noop": lambda layer, rank: True,
    "Split": lambda layer, rank: True,
    "Concat": lambda layer, rank: True,
    "Dropout": lambda layer, rank: number(layer, 0, 1.0) == 1.0,
    "Permute": lambda layer, rank: layer.integer(0, 0) == 0 or rank == 1,
    "Flatten": lambda layer, rank: rank == 1,
    "Padding": lambda layer, rank: not any(layer.integer(key, 0) for key in _PADDING_SIZE_KEYS),
    "Reshape": _keeps_shape,
}
"""For a layer of one input and one output, and the rank of its input where known."""

REMOVE_NOOPS = Pass("remove-noops", until_stable(_step))
