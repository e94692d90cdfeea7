"""Blobs whose channels can only be rescaled together: a residual stream with all that is added to it and reads it.

A positive factor a channel passes through Splits, additions, pooling and ReLU, so what the makers' outputs are divided
by, all readers' inputs are multiplied with. Source: Nagel et al., Data-Free Quantization Through Weight Equalization
and Bias Correction, 2019, section 4.1, whose pairs of layers are streams of one maker and one reader.

ReLU6 hands a factor on up to its bound, which is the same number for all channels: such a stream says where it is. It
counts only in front of depthwise layers: what these put out is rare and large on data that calibration did not see, and
other readers gain little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import (
    Activation,
    activation_of,
    activation_params_of,
    input_channels,
    is_depthwise,
    is_linear,
    output_channels,
    pad_value_of,
)

_THROUGH = frozenset({"Split", "ReLU", "PReLU", "Dropout", "Pooling", "Interp"})
"""Layers of one input that hand a positive factor a channel on."""
_FREE = frozenset({Activation.NONE, Activation.RELU, Activation.LEAKY_RELU})


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Args:
    makers: Layers whose outputs are its blobs, in execution order.
    readers: Layers with weights that read its blobs.
    blobs: All of them.
    channels: Of each.
    obstacle: Why it cannot be rescaled; empty if it can.
    """

    makers: tuple[str, ...]
    readers: tuple[str, ...]
    blobs: frozenset[str]
    channels: int
    bound: float = math.inf
    obstacle: str = ""


def find_streams(graph: Graph) -> tuple[Stream, ...]:
    """Return the streams of a float network that convolutions or inner products make."""
    joined = _Joined()
    obstacles: dict[str, str] = {}
    for layer in graph.layers:
        if _is_through(layer) or _is_addition(layer):
            first, *others = (*layer.inputs, *layer.outputs)
            for blob in others:
                joined.join(first, blob)
        elif is_linear(layer):
            _note_limits(layer, obstacles)
        else:
            kind = "the network's input" if layer.type == "Input" else f"{layer.type} {layer.name}"
            obstacles |= dict.fromkeys((*layer.inputs, *layer.outputs), f"{kind} does not take factors")
    obstacles |= dict.fromkeys(graph.outputs, "it is the network's output")
    members = joined.groups(graph.blobs)
    streams = (_stream(graph, blobs, obstacles) for blobs in members)
    return tuple(item for item in streams if item.makers and item.readers)


def _is_through(layer: Layer) -> bool:
    return layer.type in _THROUGH and len(layer.inputs) == 1


def _is_addition(layer: Layer) -> bool:
    if layer.type == "Eltwise":
        return layer.integer(0, 0) == 1 and layer.param(1) is None
    return layer.type == "BinaryOp" and layer.integer(0, 0) == 0 and len(layer.inputs) == 2


def _note_limits(layer: Layer, obstacles: dict[str, str]) -> None:
    if pad_value_of(layer) != 0:
        obstacles[layer.inputs[0]] = f"{layer.name} pads with a number that is the same for all channels"
    kind = activation_of(layer)
    if kind not in _FREE and _upper_bound(layer) is None:
        name = kind.name.lower().replace("_", " ")
        obstacles[layer.outputs[0]] = f"the activation of {layer.name} ({name}) does not scale"


def _upper_bound(layer: Layer) -> float | None:
    """Return what a layer's activation clips at, where it is a ReLU below that."""
    if activation_of(layer) is not Activation.CLIP:
        return None
    lowest, highest = activation_params_of(layer)
    return highest if lowest == 0 else None


def _stream(graph: Graph, blobs: frozenset[str], obstacles: Mapping[str, str]) -> Stream:
    makers = [layer for layer in graph.layers if is_linear(layer) and layer.outputs[0] in blobs]
    readers = [layer for layer in graph.layers if is_linear(layer) and layer.inputs[0] in blobs]
    channels = output_channels(makers[0]) if makers else 0
    obstacle = next((obstacles[blob] for blob in sorted(blobs) if blob in obstacles), "")
    same = all(output_channels(maker) == channels for maker in makers)
    if not obstacle and not (same and all(input_channels(reader) == channels for reader in readers)):
        obstacle = "its layers have different numbers of channels"
    bounds = {layer.name: bound for layer in makers if (bound := _upper_bound(layer)) is not None}
    if not obstacle and bounds and not all(is_depthwise(reader) for reader in readers):
        obstacle = f"the activation of {next(iter(bounds))} (clip) does not scale"
    return Stream(
        makers=tuple(layer.name for layer in makers),
        readers=tuple(layer.name for layer in readers),
        blobs=blobs,
        channels=channels,
        bound=min(bounds.values(), default=math.inf),
        obstacle=obstacle,
    )


class _Joined:
    """Sets of blobs that belong together (union-find)."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def root(self, blob: str) -> str:
        while (parent := self._parents.get(blob, blob)) != blob:
            blob = parent
        return blob

    def join(self, left: str, right: str) -> None:
        self._parents[self.root(right)] = self.root(left)

    def groups(self, blobs: tuple[str, ...]) -> list[frozenset[str]]:
        found: dict[str, set[str]] = {}
        for blob in blobs:
            found.setdefault(self.root(blob), set()).add(blob)
        return [frozenset(items) for items in found.values()]
