"""What a network must be before it is quantized: float, and finite."""

from __future__ import annotations

import numpy as np

from edgedeploy.errors import AlreadyQuantizedError, NonFiniteModelError
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.storage import Storage

_INT8_TYPES = frozenset({"Quantize", "Dequantize", "Requantize"})
_INTEGER_STORAGES = frozenset({Storage.INT8, Storage.PACKED})
_SCALES = "_scales"
"""Ends the names of scales, which only layers in integers have; float weights beside them are quantized at load."""


def check_quantizable(graph: Graph) -> None:
    """Check that a network can be quantized.

    Args:
        graph: With its weights attached.

    Raises:
        AlreadyQuantizedError: It has layers with integer weights, or that convert to or from int8; all are listed.
        NonFiniteModelError: Weights that are NaN or infinite; all layers are listed.
    """
    quantized = [layer for layer in graph.layers if _is_quantized(layer)]
    if quantized:
        raise AlreadyQuantizedError(
            f"the model is quantized already:\n{_listed(quantized)}", hint="quantize the float model it was made from"
        )
    broken = [(layer, names) for layer in graph.layers if (names := _non_finite(layer))]
    if broken:
        listed = "\n".join(f"  {layer.name} ({layer.type}): {', '.join(names)}" for layer, names in broken)
        raise NonFiniteModelError(
            f"weights that are NaN or infinite:\n{listed}",
            hint="look at the model's training and at its conversion; float outputs are wrong as well",
        )


def _is_quantized(layer: Layer) -> bool:
    return layer.type in _INT8_TYPES or any(
        weight.storage in _INTEGER_STORAGES or weight.name.endswith(_SCALES) for weight in layer.weights
    )


def _non_finite(layer: Layer) -> list[str]:
    """Name the weights with a value that is not finite."""
    return [weight.name for weight in layer.weights if not np.isfinite(weight.array).all()]


def _listed(layers: list[Layer]) -> str:
    return "\n".join(f"  {layer.name} ({layer.type})" for layer in layers)
