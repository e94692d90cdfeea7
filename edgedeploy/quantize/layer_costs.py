"""What a layer in float costs: its multiplications, and the conversions around it where it breaks a chain of codes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgedeploy.graph.engine import Engine
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import CONVOLUTIONS, CONVOLUTIONS_2D, DECONVOLUTIONS
from edgedeploy.quantize.chains import find_chains
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.tasks import ONE_THREAD

CONVERSION_MACS = 8
"""Turning one number into a code, or back, is taken to cost as much as so many multiplications lose in float: a cycle
or so, where a multiplication loses 0.1 (Cortex-A76: some 28 a cycle in int8, 7 in float) to 0.2 (A72: 7.5 and 3)."""
_CHAINED = CONVOLUTIONS_2D | {"InnerProduct"}


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What a layer does in one inference.

    Args:
        macs: Its multiplications.
        conversions: Numbers that it gets or hands on as codes with everything in int8: where it alone is in float, they
            have to be converted.
    """

    macs: int
    conversions: int

    @property
    def total(self) -> int:
        """In multiplications."""
        return self.macs + CONVERSION_MACS * self.conversions


def layer_costs(graph: Graph, names: Sequence[str], item: Item) -> dict[str, LayerCost]:
    """Return what each of the layers costs.

    Args:
        graph: The float network.
        names: Layers with weights, in execution order.
        item: Any: its shapes decide.
    """
    layers = [graph.layer(name) for name in names]
    chains = find_chains(graph, [layer.name for layer in layers if layer.type in CONVOLUTIONS_2D])
    wanted = dict.fromkeys(_counted(layer) for layer in layers) | dict.fromkeys(chains.handed_on)
    blobs = Engine.from_graph(graph, options=ONE_THREAD).run(list(wanted), item.tensors)
    sizes = {blob: int(blobs[blob].size) for blob in chains.handed_on}
    return {
        layer.name: LayerCost(
            macs=_macs(layer, blobs[_counted(layer)].shape),
            conversions=sizes.get(layer.outputs[0], 0) + sizes.get(chains.sources.get(layer.name, ""), 0),
        )
        for layer in layers
    }


class FloatCosts:
    """What sets of layers cost in float: neighbours in float need no conversion between them.

    Args:
        graph: The float network.
        names: Layers with weights that can be int8, in execution order.
        item: Any: its shapes decide.
    """

    def __init__(self, graph: Graph, names: Sequence[str], item: Item) -> None:
        self._costs = layer_costs(graph, names, item)
        layers = [graph.layer(name) for name in names]
        chains = find_chains(graph, [layer.name for layer in layers if layer.type in _CHAINED])
        sizes = Engine.from_graph(graph, options=ONE_THREAD).run(list(chains.readers), item.tensors)
        makers = {layer.outputs[0]: layer.name for layer in layers}
        self._blobs = tuple(
            _Read(
                size=int(sizes[source].size),
                maker=makers[source] if source in chains.handed_on else None,
                readers=frozenset(readers),
            )
            for source, readers in chains.readers.items()
        )
        self.all_macs = sum(cost.macs for cost in self._costs.values())

    def of(self, keep_float: Collection[str]) -> int:
        """Return the multiplications of a set, and its conversions more than there are with everything in int8."""
        return sum(self._costs[name].macs for name in keep_float) + self._conversions(
            self._blobs, frozenset(keep_float)
        )

    def added(self, name: str, keep_float: Collection[str]) -> int:
        """Return what one more layer adds to a set: its multiplications at least, though it may save conversions."""
        macs, kept = self._costs[name].macs, frozenset(keep_float)
        touched = [blob for blob in self._blobs if blob.maker == name or name in blob.readers]
        return max(macs, macs + self._conversions(touched, kept | {name}) - self._conversions(touched, kept))

    def _conversions(self, blobs: Sequence[_Read], kept: frozenset[str]) -> int:
        return CONVERSION_MACS * sum(blob.conversions(kept) - blob.conversions(frozenset()) for blob in blobs)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A blob that layers read which can be int8: how many numbers it has, and who makes it where that may be codes."""

    size: int
    maker: str | None
    readers: frozenset[str]

    def conversions(self, kept: frozenset[str]) -> int:
        """Return how many numbers become codes, or floats, on the way from the maker to the readers."""
        in_int8 = self.readers - kept
        if self.maker is None or self.maker in kept:
            return self.size if in_int8 else 0
        return self.size if in_int8 != self.readers else 0


def int8_macs(graph: Graph, model: Int8Model, item: Item) -> float:
    """Return the share of a network's multiplications with weights that is done in int8, 0 to 1.

    Args:
        graph: The float network that the int8 one was made of.
        item: Any: its shapes decide.
    """
    costs = layer_costs(graph, [choice.name for choice in model.layers], item)
    total = sum(cost.macs for cost in costs.values())
    return sum(costs[choice.name].macs for choice in model.layers if choice.int8) / total if total else 0.0


def _counted(layer: Layer) -> str:
    """Return the blob at each of whose places a layer uses its weights once."""
    return layer.inputs[0] if layer.type in DECONVOLUTIONS else layer.outputs[0]


def _macs(layer: Layer, shape: tuple[int, ...]) -> int:
    """A place is a pixel of an image, or a row of a matrix. Embed only looks up."""
    if layer.type == "Embed":
        return 0
    places = math.prod(shape[1:] if layer.type in CONVOLUTIONS | DECONVOLUTIONS else shape[:-1])
    matrices = [weight.elements for weight in layer.weights if len(weight.shape) > 1]
    return places * sum(matrices)
