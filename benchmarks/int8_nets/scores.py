"""Task scores beyond the stage's own: strings and text boxes against the float network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.metrics import Outputs
from edgedeploy.report.overlay import find_text_boxes

_OUTPUT = "out0"
_THRESHOLD = 0.3
_BOX_THRESHOLD = 0.5
_UNCLIP_RATIO = 1.6
"""As in the detector's example project."""


@dataclass(frozen=True)
class SameText:
    """1 where the recogniser reads the very string that the float network reads, else 0."""

    characters: tuple[str, ...]
    name: str = "same-text"

    def score(self, item: Item, expected: Outputs, found: Outputs) -> float:
        """See ``edgedeploy.quantize.metrics.Metric``."""
        return float(decode_text(expected[_OUTPUT], self.characters) == decode_text(found[_OUTPUT], self.characters))


@dataclass(frozen=True)
class BoxOverlap:
    """Intersection by union of the areas inside text boxes, the detector's and the float network's."""

    name: str = "box-overlap"

    def score(self, item: Item, expected: Outputs, found: Outputs) -> float:
        """See ``edgedeploy.quantize.metrics.Metric``."""
        return overlap(box_mask(expected[_OUTPUT]), box_mask(found[_OUTPUT]))


def decode_text(output: FloatArray, characters: Sequence[str]) -> str:
    """Return the text of a CTC output by its best path: repeats are one, the blank (index 0) separates.

    Args:
        output: float32 ``(T, len(characters))``.
        characters: What each class stands for.
    """
    best = np.argmax(output, axis=1)
    starts = np.concatenate([[True], best[1:] != best[:-1]])
    return "".join(characters[index] for index in best[starts & (best != 0)])


def box_mask(probability: FloatArray) -> NDArray[np.uint8]:
    """Return 1 inside the text boxes of a detector's output, 0 elsewhere.

    Args:
        probability: float32 ``(1, H, W)``.

    Returns:
        uint8 ``(H, W)``.
    """
    height, width = probability.shape[1:]
    boxes = find_text_boxes(
        probability,
        image_size=(width, height),
        threshold=_THRESHOLD,
        box_threshold=_BOX_THRESHOLD,
        unclip_ratio=_UNCLIP_RATIO,
    )
    mask = np.zeros((height, width), np.uint8)
    for box in boxes:
        cv2.fillPoly(mask, [np.rint(box.corners).astype(np.int32)], (1,))
    return mask


def overlap(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return intersection by union of two masks; 1 where both are empty."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0
