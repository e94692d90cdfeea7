"""Fuses activations into the convolution or inner product before them: those that the engine has a number for.

Swish has none and stays a layer.
"""

from __future__ import annotations

import numpy as np

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.affine import number
from edgedeploy.graph.passes.edits import bypass, wiring_of
from edgedeploy.graph.passes.linear import Activation, activation_of, is_linear, with_activation
from edgedeploy.graph.passes.protocol import Pass, until_stable

_LARGEST = float(np.finfo(np.float32).max)


def _step(graph: Graph) -> Graph | None:
    wiring = wiring_of(graph)
    for layer in graph.layers:
        found = fused_form(layer)
        if found is None:
            continue
        (source,) = layer.inputs
        host = wiring.producers[source]
        if is_linear(host) and activation_of(host) is Activation.NONE and wiring.only_reader(source) is not None:
            changed = bypass(graph.with_layer(with_activation(host, *found)), layer, source)
            if changed is not None:
                return changed
    return None


def fused_form(layer: Layer) -> tuple[Activation, tuple[float, ...]] | None:
    """Return an activation layer's number and parameters as a fused one; None where there is none."""
    match layer.type:
        case "ReLU":
            slope = number(layer, 0, 0.0)
            return (Activation.LEAKY_RELU, (slope,)) if slope else (Activation.RELU, ())
        case "Clip":
            return Activation.CLIP, (number(layer, 0, -_LARGEST), number(layer, 1, _LARGEST))
        case "Sigmoid":
            return Activation.SIGMOID, ()
        case "Mish":
            return Activation.MISH, ()
        case "HardSwish" if number(layer, 0, 0.2) > 0:
            return Activation.HARD_SWISH, (number(layer, 0, 0.2), number(layer, 1, 0.5))
        case _:
            return None


FUSE_ACTIVATIONS = Pass("fuse-activations", until_stable(_step))
