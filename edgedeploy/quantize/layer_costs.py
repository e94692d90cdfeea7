"""What a layer in float costs: its multiplications, and the conversions around it where it breaks a chain of codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgedeploy.graph.engine import Engine
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import CONVOLUTIONS, CONVOLUTIONS_2D, DECONVOLUTIONS
from edgedeploy.quantize.chains import find_chains
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.tasks import ONE_THREAD

CONVERSION_MACS = 8
"""Turning one number into a code, or back, is taken to cost as much as so many multiplications."""


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
