"""The step that folds ``scale * x + shift`` into the convolution or inner product that makes ``x``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.affine import Affine, affine_of
from edgedeploy.graph.passes.edits import Wiring, bypass, wiring_of
from edgedeploy.graph.passes.linear import (
    Activation,
    activation_of,
    activation_params_of,
    is_linear,
    output_channels,
    scale_outputs,
    with_activation,
)
from edgedeploy.graph.passes.ranks import ranks_of


def fold_back(graph: Graph, types: frozenset[str]) -> Graph | None:
    """Fold the first layer of the given types that can be; None if none can."""
    wiring, ranks = wiring_of(graph), ranks_of(graph)
    for layer in graph.layers:
        affine = affine_of(layer, wiring) if layer.type in types else None
        host = _folded(affine, wiring, ranks) if affine is not None else None
        if affine is not None and host is not None:
            changed = bypass(graph.with_layer(host), layer, affine.data)
            if changed is not None:
                return changed
    return None


def _folded(affine: Affine, wiring: Wiring, ranks: Mapping[str, int]) -> Layer | None:
    """Return the layer that makes ``x`` with the constants in it, or None."""
    host = wiring.producers[affine.data]
    if not is_linear(host) or wiring.only_reader(affine.data) is None:
        return None
    if not affine.fits(ranks.get(affine.data), output_channels(host)):
        return None
    activated = _activated(affine, host)
    return scale_outputs(activated, affine.scale, affine.shift) if activated is not None else None


def _activated(affine: Affine, host: Layer) -> Layer | None:
    """Return the layer with an activation such that the constants may go before it; None where there is none."""
    match activation_of(host):
        case Activation.NONE:
            return host
        case Activation.RELU | Activation.LEAKY_RELU if np.all(affine.scale > 0) and not np.any(affine.shift):
            return host
        case Activation.CLIP if affine.is_scalar and affine.scale[0] > 0:
            bounds = np.array(activation_params_of(host)) * affine.scale[0] + affine.shift[0]
            # A bound beyond float32 stands for no bound, and cannot be written.
            if np.abs(bounds).max(initial=0.0) > np.finfo(np.float32).max:
                return None
            return with_activation(host, Activation.CLIP, tuple(float(item) for item in bounds))
        case _:
            return None
