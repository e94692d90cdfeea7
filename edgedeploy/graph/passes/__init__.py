"""Rewrites of a network that leave its float outputs the same: one file a pass."""

from __future__ import annotations

from edgedeploy.graph.passes.fold_batch_norm import FOLD_BATCH_NORM
from edgedeploy.graph.passes.fold_constants import FOLD_CONSTANTS
from edgedeploy.graph.passes.fold_forward import FOLD_FORWARD
from edgedeploy.graph.passes.fuse_activations import FUSE_ACTIVATIONS
from edgedeploy.graph.passes.fuse_hard_swish import FUSE_HARD_SWISH
from edgedeploy.graph.passes.gemm_to_inner_product import GEMM_TO_INNER_PRODUCT
from edgedeploy.graph.passes.merge_splits import MERGE_SPLITS
from edgedeploy.graph.passes.protocol import Pass
from edgedeploy.graph.passes.remove_noops import REMOVE_NOOPS
from edgedeploy.graph.passes.run import (
    DEFAULT_PASSES,
    DEFAULT_TOLERANCE,
    Check,
    PassRecord,
    largest_difference,
    run_passes,
)

__all__ = [
    "DEFAULT_PASSES",
    "DEFAULT_TOLERANCE",
    "FOLD_BATCH_NORM",
    "FOLD_CONSTANTS",
    "FOLD_FORWARD",
    "FUSE_ACTIVATIONS",
    "FUSE_HARD_SWISH",
    "GEMM_TO_INNER_PRODUCT",
    "MERGE_SPLITS",
    "REMOVE_NOOPS",
    "Check",
    "Pass",
    "PassRecord",
    "largest_difference",
    "run_passes",
]
