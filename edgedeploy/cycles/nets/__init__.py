"""The reference networks that cycles are counted on: their published layers and sizes, with random weights."""

from __future__ import annotations

from edgedeploy.cycles.nets.builder import ReferenceNet
from edgedeploy.cycles.nets.images import patterned_image
from edgedeploy.cycles.nets.known import REFERENCE_NAMES, reference_net

__all__ = ["REFERENCE_NAMES", "ReferenceNet", "patterned_image", "reference_net"]
