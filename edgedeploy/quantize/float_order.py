"""In which order layers go back to float: those first whose error goes away for the least.

The errors of layers in int8 add up, since they hardly depend on each other, so what a set of layers takes away is known
from each layer alone. What a set costs is not so simple: a layer beside one that is in float already costs fewer
conversions, so the order is found one layer at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgedeploy.quantize.layer_costs import FloatCosts
from edgedeploy.quantize.sensitivity import LayerSensitivity


@dataclass(frozen=True, kw_only=True)
class FloatPlan:
    """Layers in the order in which they go back to float.

    Args:
        layers: The first wins most for what it costs.
        costs: What each adds to those before it, as a share of all multiplications of layers that can be int8.
        left: Share of the error that is left with so many of them in float; the first entry is 1.
    """

    layers: tuple[LayerSensitivity, ...]
    costs: tuple[float, ...]
    left: tuple[float, ...]

    def count_for(self, share: float) -> int:
        """Return how many of the first layers leave no more than a share of the error, by prediction."""
        return next((count for count, left in enumerate(self.left) if left <= share), len(self.layers))


def plan_of(layers: Sequence[LayerSensitivity], costs: FloatCosts) -> FloatPlan:
    """Order layers by the error that goes away for what is added to the cost.

    Args:
        layers: Each measured alone, in execution order, which decides where two are alike.
    """
    rest = list(layers)
    chosen: list[LayerSensitivity] = []
    added: list[float] = []
    left = [1.0]
    while rest:
        kept = frozenset(layer.name for layer in chosen)
        prices = {layer.name: costs.added(layer.name, kept) for layer in rest}
        best = max(rest, key=lambda layer: _merit(layer, prices[layer.name]))
        rest.remove(best)
        chosen.append(best)
        added.append(prices[best.name] / costs.all_macs if costs.all_macs else 0.0)
        left.append(max(0.0, left[-1] - best.noise_share))
    return FloatPlan(layers=tuple(chosen), costs=tuple(added), left=tuple(left))


def _merit(layer: LayerSensitivity, price: int) -> float:
    if price == 0:
        return math.inf if layer.noise_share else 0.0
    return layer.noise_share / price
