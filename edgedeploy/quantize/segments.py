"""Which int8 layers are kept or put back to float together, and what that costs.

A layer put back in the middle of a chain makes its neighbours decode and encode again, and takes the shifted range from
the blobs around it; so chains are the units, and only long ones are cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgedeploy.graph.engine import Engine
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D
from edgedeploy.quantize.chains import find_chains
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.tasks import ONE_THREAD

LONGEST_SEGMENT = 6
"""Longer chains are cut."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Layers that go back to float together.

    Args:
        layers: In execution order.
        macs: Multiplications of one inference that they do.
    """

    layers: tuple[str, ...]
    macs: int


def find_segments(
    graph: Graph,
    int8: Sequence[str],
    *,
    gains: Mapping[str, float],
    macs: Mapping[str, int],
    longest: int = LONGEST_SEGMENT,
) -> tuple[Segment, ...]:
    """Return the segments, in the order of their first layers.

    Args:
        graph: The float network.
        int8: Layers that are int8, in execution order.
        gains: Layer -> how much better the outputs are with it alone in float: long chains are cut at the largest.
        macs: Layer -> multiplications.
        longest: Layers of a segment at most.
    """
    pieces = [piece for chain in _joined(graph, int8) for piece in _cut(chain, gains, longest)]
    order = {name: place for place, name in enumerate(int8)}
    pieces.sort(key=lambda piece: order[piece[0]])
    return tuple(Segment(layers=piece, macs=sum(macs[name] for name in piece)) for piece in pieces)


def count_macs(graph: Graph, names: Sequence[str], item: Item) -> dict[str, int]:
    """Return the multiplications of one inference: layer -> count.

    Args:
        item: Any: its shapes decide.
    """
    layers = [graph.layer(name) for name in names]
    blobs = Engine.from_graph(graph, options=ONE_THREAD).run([layer.outputs[0] for layer in layers], item.tensors)
    return {layer.name: _macs(layer, blobs[layer.outputs[0]].shape) for layer in layers}


def _macs(layer: Layer, shape: tuple[int, ...]) -> int:
    """Each weight is used once at every place of the output: a pixel of an image, a row of a matrix."""
    places = math.prod(shape[1:]) if layer.type in CONVOLUTIONS_2D else math.prod(shape[:-1])
    matrices = [weight.elements for weight in layer.weights if len(weight.shape) > 1]
    return places * sum(matrices)


def _joined(graph: Graph, int8: Sequence[str]) -> list[tuple[str, ...]]:
    """Join layers that hand codes on to each other."""
    chains = find_chains(graph, int8)
    makers = {blob: layer.name for layer in graph.layers for blob in layer.outputs}
    members = {name: [name] for name in int8}
    for source in chains.handed_on:
        for reader in chains.readers[source]:
            first, second = members[makers[source]], members[reader]
            if first is not second:
                first += second
                members |= dict.fromkeys(second, first)
    order = {name: place for place, name in enumerate(int8)}
    joined = {id(group): tuple(sorted(group, key=order.__getitem__)) for group in members.values()}
    return sorted(joined.values(), key=lambda group: order[group[0]])


def _cut(chain: tuple[str, ...], gains: Mapping[str, float], longest: int) -> list[tuple[str, ...]]:
    """Cut a long chain at its worst layer, which becomes a segment of its own."""
    if len(chain) <= longest:
        return [chain] if chain else []
    worst = max(range(len(chain)), key=lambda place: (gains[chain[place]], -place))
    before, after = chain[:worst], chain[worst + 1 :]
    return [*_cut(before, gains, longest), (chain[worst],), *_cut(after, gains, longest)]
