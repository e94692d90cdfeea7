"""Folds Scale, Bias, and BinaryOp with a constant into the convolution or inner product before it.

Through a fused ReLU goes what is positive and has no shift; through a fused Clip what has one positive number for all
channels, with its bounds changed.
"""

from __future__ import annotations

from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.fold_back import fold_back
from edgedeploy.graph.passes.protocol import Pass, until_stable

_TYPES = frozenset({"Scale", "Bias", "BinaryOp"})


def _step(graph: Graph) -> Graph | None:
    return fold_back(graph, _TYPES)


FOLD_CONSTANTS = Pass("fold-constants", until_stable(_step))
