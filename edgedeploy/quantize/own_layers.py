"""Which layers this project's Winograd computes in place of the engine's, so that their sums may be of any size.

Source: ``ConvolutionS8::covers`` in csrc/layers/convolution_s8.cpp and ``winograd_fits`` in winograd_convolution.cpp.
"""

from __future__ import annotations

from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.linear import Activation, activation_of, activation_params_of
from edgedeploy.quantize.settings import Target

CHANNEL_GROUP = 8
"""Channels in and out come in whole groups of so many."""


def winograd_is_ours(layer: Layer, target: Target) -> bool:
    """Whether the runner's own Winograd computes an int8 layer that the engine would compute by F(4,3).

    Args:
        layer: One that suits F(4,3): a 3x3 window with stride and dilation 1. In float or int8.
        target: Who runs the network. Where floats are halves, a layer that hands on floats stays with the engine, and
            any layer may come to that with others put back to float.
    """
    if not target.own_layers or target.half_floats or layer.type != "Convolution":
        return False
    inputs, outputs = layer.weight("weight").shape[1], layer.integer(0, 0)
    return inputs % CHANNEL_GROUP == outputs % CHANNEL_GROUP == 0 and _is_in_registers(layer)


def _is_in_registers(layer: Layer) -> bool:
    """Whether the kernel's limits can be the activation, or its gate."""
    kind, params = activation_of(layer), activation_params_of(layer)
    first = params[0] if params else 0.0
    match kind:
        case Activation.CLIP:
            lowest, highest = params
            return lowest <= highest and highest != 0
        case Activation.LEAKY_RELU:
            return first >= 0
        case Activation.HARD_SWISH:
            return first > 0
        case _:
            return kind in (Activation.NONE, Activation.RELU, Activation.SIGMOID, Activation.MISH)
