"""Which blobs can be handed from layer to layer as int8 codes.

The engine hands codes on from a convolution to convolutions, directly or through a Split, whose readers then share one
encoding. Source: ``int8_scale_term > 100`` in the engine's src/layer/convolution.cpp and convolutiondepthwise.cpp.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.edits import Wiring, wiring_of
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D, Activation, activation_of, activation_params_of


@dataclass(frozen=True, kw_only=True)
class Chains:
    """How int8 layers hang together.

    Args:
        sources: int8 layer -> the blob it reads, before any Split.
        readers: Source blob -> int8 layers that read it, in execution order.
        handed_on: Source blobs that only int8 convolutions make and read: they can hold codes.
        offered: Source blobs that only int8 convolutions read, and that a float convolution makes: its bias can move
            its numbers to the middle of the readers' range.
    """

    sources: Mapping[str, str]
    readers: Mapping[str, tuple[str, ...]]
    handed_on: frozenset[str]
    offered: frozenset[str]


def find_chains(graph: Graph, int8: Collection[str]) -> Chains:
    """Return how these layers, in int8, would hang together.

    Args:
        graph: The float network; a Split of a Split does not occur after the passes, but is followed.
        int8: Names of convolutions and inner products.
    """
    wiring = wiring_of(graph)
    chosen = set(int8)
    sources: dict[str, str] = {}
    readers: dict[str, tuple[str, ...]] = {}
    for layer in graph.layers:
        if layer.name in chosen:
            source = source_blob(layer.inputs[0], wiring)
            sources[layer.name] = source
            readers[source] = (*readers.get(source, ()), layer.name)
    made = [
        source for source in readers if _made_by_convolution(source, wiring) and _read_in_int8(source, wiring, chosen)
    ]
    return Chains(
        sources=sources,
        readers=readers,
        handed_on=frozenset(source for source in made if wiring.producers[source].name in chosen),
        offered=frozenset(source for source in made if wiring.producers[source].name not in chosen),
    )


def source_blob(blob: str, wiring: Wiring) -> str:
    """Follow Splits upwards to the blob that they copy."""
    producer = wiring.producers[blob]
    while producer.type == "Split":
        blob = producer.inputs[0]
        producer = wiring.producers[blob]
    return blob


def copies_of(blob: str, wiring: Wiring) -> tuple[str, ...]:
    """Return a blob and all that Splits make of it."""
    found = [blob]
    for name in found:
        for reader in wiring.readers.get(name, ()):
            if reader.type == "Split":
                found.extend(reader.outputs)
    return tuple(found)


def can_shift(maker: Layer) -> bool:
    """Whether a layer's outputs are never negative and clamping codes can stand for its activation."""
    kind, params = activation_of(maker), activation_params_of(maker)
    return kind is Activation.RELU or (kind is Activation.CLIP and params[0] == 0)


def _made_by_convolution(blob: str, wiring: Wiring) -> bool:
    return wiring.producers[blob].type in CONVOLUTIONS_2D


def _read_in_int8(blob: str, wiring: Wiring, chosen: Collection[str]) -> bool:
    readers: list[Layer] = []
    for copy in copies_of(blob, wiring):
        found = wiring.readers.get(copy, ())
        if not found:
            return False  # an output of the network
        readers += [item for item in found if item.type != "Split"]
    return all(item.name in chosen and item.type in CONVOLUTIONS_2D for item in readers)
