"""Which layers of a float network can compute in int8, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgedeploy.graph.layouts import layout_of
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D, is_depthwise, is_linear, pad_value_of
from edgedeploy.graph.passes.ranks import ranks_of
from edgedeploy.quantize.dynamic import DYNAMIC_TYPES, dynamic_reason

_STATIC_TYPES = CONVOLUTIONS_2D | {"InnerProduct"}
_NO_MULTIPLICATION = frozenset(
    {"BatchNorm", "Bias", "GroupNorm", "InstanceNorm", "LayerNorm", "MemoryData", "Normalize", "PReLU", "Padding"}
    | {"RMSNorm", "Scale"}
)
"""Layers with weights that are no matrix: nothing is said about them."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The layers with weights that a network multiplies with.

    Args:
        static: Convolutions and inner products that can be int8, in execution order.
        dynamic: Layers whose inputs the engine quantizes by itself, in execution order.
        left: Layer -> why it stays in float.
    """

    static: tuple[str, ...]
    dynamic: tuple[str, ...]
    left: Mapping[str, str]


def find_candidates(graph: Graph) -> Candidates:
    """Sort a float network's layers.

    Args:
        graph: With its weights, as the passes leave it.
    """
    ranks = ranks_of(graph)
    left: dict[str, str] = {}
    static: list[str] = []
    dynamic: list[str] = []
    for layer in graph.layers:
        if layer.type in _NO_MULTIPLICATION or not (layout_of(layer) or _has_dynamic_weights(layer)):
            continue
        reason = _reason(layer, ranks)
        if reason is not None:
            left[layer.name] = reason
        elif layer.type in DYNAMIC_TYPES:
            dynamic.append(layer.name)
        else:
            static.append(layer.name)
    return Candidates(static=tuple(static), dynamic=tuple(dynamic), left=left)


def _has_dynamic_weights(layer: Layer) -> bool:
    return layer.type in CONVOLUTIONS_2D and bool(layer.integer(19, 0))


def _reason(layer: Layer, ranks: Mapping[str, int]) -> str | None:
    if layer.type in DYNAMIC_TYPES:
        return dynamic_reason(layer)
    if layer.type not in _STATIC_TYPES:
        return f"the engine has no int8 code for {layer.type}"
    rules: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: not _has_dynamic_weights(layer), "its weights are data"),
        (lambda: is_linear(layer), "its sizes do not describe its weights"),
        (
            lambda: layer.type != "ConvolutionDepthWise" or is_depthwise(layer),
            "it is grouped with several channels a group, whose outputs the engine's int8 code mixes up on some CPUs",
        ),
        (
            lambda: layer.type == "InnerProduct" or ranks.get(layer.inputs[0], 3) == 3,
            "its input is no image: the engine computes it as an inner product",
        ),
        (
            lambda: pad_value_of(layer) >= 0,
            "it pads with a negative number, which the engine's int8 padding gets wrong on some CPUs",
        ),
    )
    return next((reason for holds, reason in rules if not holds()), None)
