"""Text boxes of a differentiable-binarisation (DB) detector, drawn on the image that it saw.

Source: M. Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (AAAI 2020), section 3.5: the
probability map is binarised, each region's minimum-area rectangle is scored by its mean probability, and grown by
``area * unclip_ratio / perimeter`` because the network was trained on shrunk regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import ShapeMismatchError
from edgedeploy.report.images import check_bgr

# Regions below this many map pixels across are noise (the DB reference drops them too).
MIN_SIDE_PIXELS = 3.0
_BOX_COLOR_BGR = (52, 92, 232)
_PIXELS_PER_LINE_WIDTH = 450

ByteImage = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class TextBox:
    """Four corners in image pixels, float32 ``(4, 2)`` as x, y; ``score`` is the mean probability inside."""

    corners: FloatArray
    score: float


def draw_text_boxes(
    image_bgr: NDArray[Any],
    probability: FloatArray,
    *,
    threshold: float,
    box_threshold: float,
    unclip_ratio: float,
) -> tuple[ByteImage, tuple[TextBox, ...]]:
    """Find the text boxes and draw them.

    Args:
        image_bgr: uint8 ``(H, W, 3)``.
        probability: float32 ``(1, h, w)``, 0 to 1; any size: the boxes are scaled to the image.
        threshold: Probability from which a map pixel belongs to text.
        box_threshold: Boxes with a lower mean probability are dropped.
        unclip_ratio: How far boxes grow; 0 leaves them as they are.

    Returns:
        A copy of the image with the boxes on it, and the boxes from top to bottom.

    Raises:
        UnreadableInputError: The image is not uint8 ``(H, W, 3)``.
        ShapeMismatchError: The map is not ``(1, h, w)``.
    """
    check_bgr(image_bgr)
    boxes = find_text_boxes(
        probability,
        image_size=(image_bgr.shape[1], image_bgr.shape[0]),
        threshold=threshold,
        box_threshold=box_threshold,
        unclip_ratio=unclip_ratio,
    )
    drawn = np.ascontiguousarray(image_bgr).copy()
    width = max(1, round(max(drawn.shape[:2]) / _PIXELS_PER_LINE_WIDTH))
    outlines = [np.rint(box.corners).astype(np.int32) for box in boxes]
    cv2.polylines(drawn, outlines, isClosed=True, color=_BOX_COLOR_BGR, thickness=width, lineType=cv2.LINE_AA)
    return drawn, boxes


def find_text_boxes(
    probability: FloatArray,
    *,
    image_size: tuple[int, int],
    threshold: float,
    box_threshold: float,
    unclip_ratio: float,
) -> tuple[TextBox, ...]:
    """Return the text boxes in a probability map, in pixels of an image of ``image_size`` (width, height)."""
    if probability.ndim != 3 or probability.shape[0] != 1 or probability.size == 0:
        raise ShapeMismatchError(
            f"a text probability map has the shape (1, height, width), not {probability.shape}",
            hint='set report.overlay to "none" for models that are not text detectors',
        )
    plane = np.ascontiguousarray(probability[0], dtype=np.float32)
    mask = (plane > threshold).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours:
        center, size, angle = _pixel_extent(cv2.minAreaRect(contour))
        if min(size) < MIN_SIDE_PIXELS:
            continue
        score = _mean_inside(plane, contour)
        if score < box_threshold:
            continue
        grown = (center, _unclipped(size, unclip_ratio), angle)
        boxes.append(TextBox(corners=_to_image(cv2.boxPoints(grown), plane.shape, image_size), score=score))
    return tuple(sorted(boxes, key=lambda box: (float(box.corners[:, 1].min()), float(box.corners[:, 0].min()))))


_Rect = tuple[tuple[float, float], tuple[float, float], float]


def _pixel_extent(rect: Any) -> _Rect:
    """Return a rotated rectangle around pixels, given one around pixel centres (half a pixel short on every side)."""
    (x, y), (width, height), angle = rect
    return (float(x), float(y)), (float(width) + 1, float(height) + 1), float(angle)


def _unclipped(size: tuple[float, float], unclip_ratio: float) -> tuple[float, float]:
    """Return a size whose every side is moved out by ``area * unclip_ratio / perimeter``."""
    width, height = size
    distance = width * height * unclip_ratio / (2 * (width + height))
    return width + 2 * distance, height + 2 * distance


def _mean_inside(plane: FloatArray, contour: NDArray[Any]) -> float:
    """Return the mean of the map inside a contour."""
    x, y, width, height = cv2.boundingRect(contour)
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.drawContours(mask, [contour - np.array([x, y])], 0, color=(1,), thickness=cv2.FILLED)
    return float(cv2.mean(plane[y : y + height, x : x + width], mask)[0])


def _to_image(corners: NDArray[Any], map_shape: tuple[int, ...], image_size: tuple[int, int]) -> FloatArray:
    """Return corners scaled from map to image pixels (centre to centre) and kept inside the image."""
    scale = np.array([image_size[0] / map_shape[1], image_size[1] / map_shape[0]], dtype=np.float64)
    scaled = (np.asarray(corners, dtype=np.float64) + 0.5) * scale - 0.5
    return np.clip(scaled, 0, np.array(image_size) - 1).astype(np.float32)
