"""Folds BatchNorm into the convolution or inner product before it."""

from __future__ import annotations

from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.fold_back import fold_back
from edgedeploy.graph.passes.protocol import Pass, until_stable

_TYPES = frozenset({"BatchNorm"})


def _step(graph: Graph) -> Graph | None:
    return fold_back(graph, _TYPES)


FOLD_BATCH_NORM = Pass("fold-batch-norm", until_stable(_step))
