"""Runs passes over a graph, each held against the float outputs that the graph gave before them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import EdgedeployError
from edgedeploy.graph.check import check_graph
from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.fold_batch_norm import FOLD_BATCH_NORM
from edgedeploy.graph.passes.fold_constants import FOLD_CONSTANTS
from edgedeploy.graph.passes.fold_forward import FOLD_FORWARD
from edgedeploy.graph.passes.fuse_activations import FUSE_ACTIVATIONS
from edgedeploy.graph.passes.fuse_hard_swish import FUSE_HARD_SWISH
from edgedeploy.graph.passes.gemm_to_inner_product import GEMM_TO_INNER_PRODUCT
from edgedeploy.graph.passes.merge_splits import MERGE_SPLITS
from edgedeploy.graph.passes.protocol import Pass
from edgedeploy.graph.passes.remove_noops import REMOVE_NOOPS

Check = Callable[[Graph], Mapping[str, FloatArray]]
"""Runs a graph on fixed inputs: output name -> float32."""

DEFAULT_TOLERANCE = 1e-4

DEFAULT_PASSES: tuple[Pass, ...] = (
    MERGE_SPLITS,
    REMOVE_NOOPS,
    GEMM_TO_INNER_PRODUCT,
    FOLD_BATCH_NORM,
    FOLD_CONSTANTS,
    FUSE_HARD_SWISH,
    FUSE_ACTIVATIONS,
    FOLD_FORWARD,
)
"""In order: constants before the activations that would keep them out, and forward what then still stands."""


@dataclass(frozen=True, kw_only=True)
class PassRecord:
    """What one pass did.

    Args:
        name: The pass's.
        layers_before: Layers it was given.
        layers_after: Layers in what it made, also where that was undone.
        layers_changed: Layers it was given that are not in what it made as they were: removed or rewritten.
        max_difference: Largest difference of any output from the graph before all passes, relative to the largest
            magnitude of that output; infinite where shapes differ, values are not finite or the engine refused the
            graph; None where nothing was run.
        kept: False: undone.
    """

    name: str
    layers_before: int
    layers_after: int
    layers_changed: int
    max_difference: float | None
    kept: bool


def run_passes(
    graph: Graph,
    check: Check | None,
    tolerance: float = DEFAULT_TOLERANCE,
    passes: Sequence[Pass] = DEFAULT_PASSES,
) -> tuple[Graph, tuple[PassRecord, ...]]:
    """Run the passes in order; undo each whose result differs by more than the tolerance.

    Args:
        graph: With its weights attached.
        check: Runs a graph on real inputs; None trusts the passes.
        tolerance: Largest ``PassRecord.max_difference``.

    Returns:
        The graph, and one record a pass, for example ``PassRecord(name="fuse-activations", layers_before=144,
        layers_after=127, layers_changed=33, max_difference=2e-7, kept=True)``.

    Raises:
        ParamSyntaxError: The graph given is not valid.
        EdgedeployError: What ``check`` raises on the graph given.
    """
    check_graph(graph)
    expected = check(graph) if check is not None else None
    records: list[PassRecord] = []
    for item in passes:
        changed = item.apply(graph)
        before, after = len(graph.layers), len(changed.layers)
        touched = len(_signatures(graph) - _signatures(changed))
        difference = None
        if changed is not graph and check is not None and expected is not None:
            difference = _difference(changed, check, expected)
        kept = difference is None or difference <= tolerance
        if kept and changed is not graph:
            check_graph(changed)
        records.append(
            PassRecord(
                name=item.name,
                layers_before=before,
                layers_after=after,
                layers_changed=touched,
                max_difference=difference,
                kept=kept,
            )
        )
        graph = changed if kept else graph
    return graph, tuple(records)


def largest_difference(found: Mapping[str, FloatArray], expected: Mapping[str, FloatArray]) -> float:
    """Return the largest difference of any output, relative to the largest magnitude of that output.

    Where both hold the same value that is not finite, they agree. Infinite where outputs or shapes differ.

    Example:
        >>> largest_difference({"out0": np.float32([1.0, 4.1])}, {"out0": np.float32([1.0, 4.0])})
        0.025
    """
    if found.keys() != expected.keys():
        return math.inf
    return max((_relative(found[name], expected[name]) for name in expected), default=0.0)


def _relative(found: FloatArray, expected: FloatArray) -> float:
    if found.shape != expected.shape:
        return math.inf
    left, right = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(right)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True) or not np.isfinite(left[finite]).all():
        return math.inf
    magnitude = float(np.abs(right[finite]).max(initial=0.0))
    difference = float(np.abs(left[finite] - right[finite]).max(initial=0.0))
    return difference / magnitude if magnitude > 0 else difference


def _difference(graph: Graph, check: Check, expected: Mapping[str, FloatArray]) -> float:
    try:
        check_graph(graph)
        return largest_difference(check(graph), expected)
    except EdgedeployError:
        # A graph that is broken, or that the engine refuses, is the worst difference there is; the pass is undone.
        return math.inf


def _signatures(graph: Graph) -> set[tuple[object, ...]]:
    """What a layer is, apart from the names of its blobs."""
    return {(layer.name, layer.type, layer.params, layer.weights, len(layer.outputs)) for layer in graph.layers}
