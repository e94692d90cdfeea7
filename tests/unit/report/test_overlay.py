"""Text boxes from probability maps whose right answer is known."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import ShapeMismatchError, UnreadableInputError
from edgedeploy.report.images import MAX_SIDE_PIXELS, ReportImage
from edgedeploy.report.overlay import draw_text_boxes, find_text_boxes


def probability(height: int = 60, width: int = 100) -> FloatArray:
    return np.zeros((1, height, width), dtype=np.float32)


def find(plane: FloatArray, **changes: Any) -> Any:
    options: dict[str, Any] = {"threshold": 0.3, "box_threshold": 0.5, "unclip_ratio": 0.0}
    size = (plane.shape[2], plane.shape[1])
    return find_text_boxes(plane, **{"image_size": size, **options, **changes})


def bounds(corners: FloatArray) -> list[float]:
    return [float(value) for value in (*corners.min(axis=0), *corners.max(axis=0))]


def test_box_surrounds_its_pixels() -> None:
    plane = probability()
    plane[0, 20:30, 40:70] = 0.9
    (box,) = find(plane)
    assert bounds(box.corners) == pytest.approx([39.5, 19.5, 69.5, 29.5], abs=0.01)
    assert box.score == pytest.approx(0.9)


def test_unclip_grows_by_area_over_perimeter() -> None:
    plane = probability()
    plane[0, 20:30, 40:70] = 1.0
    (box,) = find(plane, unclip_ratio=1.6)
    distance = 30 * 10 * 1.6 / (2 * (30 + 10))
    expected = [39.5 - distance, 19.5 - distance, 69.5 + distance, 29.5 + distance]
    assert bounds(box.corners) == pytest.approx(expected, abs=0.01)


def test_boxes_are_scaled_to_the_image() -> None:
    plane = probability()
    plane[0, 20:30, 40:70] = 1.0
    (box,) = find(plane, image_size=(400, 120))
    assert bounds(box.corners) == pytest.approx([159.5, 39.5, 279.5, 59.5], abs=0.01)


def test_boxes_stay_inside_the_image() -> None:
    plane = probability()
    plane[0, 0:10, 0:40] = 1.0
    plane[0, 50:60, 60:100] = 1.0
    for box in find(plane, unclip_ratio=3.0):
        left, top, right, bottom = bounds(box.corners)
        assert left >= 0 and top >= 0 and right <= 99 and bottom <= 59


def test_rotated_text_gets_a_rotated_box() -> None:
    canvas = np.zeros((200, 200), dtype=np.uint8)
    corners = cv2.boxPoints(((100.0, 100.0), (120.0, 24.0), 30.0))
    cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], color=(1,))
    (box,) = find(canvas[None].astype(np.float32))
    sides = sorted(float(np.linalg.norm(box.corners[i] - box.corners[(i + 1) % 4])) for i in range(2))
    assert sides == pytest.approx([24, 120], abs=2.5)
    edge = max((box.corners[(i + 1) % 4] - box.corners[i] for i in range(2)), key=lambda side: float(np.hypot(*side)))
    assert abs(math.degrees(math.atan2(edge[1], edge[0]))) % 180 == pytest.approx(30, abs=1.5) or abs(
        math.degrees(math.atan2(edge[1], edge[0]))
    ) == pytest.approx(150, abs=1.5)


def test_weak_and_tiny_regions_are_dropped() -> None:
    plane = probability()
    plane[0, 5:15, 5:40] = 0.4
    plane[0, 30:32, 5:40] = 1.0
    plane[0, 45:55, 5:40] = 0.8
    assert [round(box.score, 2) for box in find(plane)] == [0.8]
    assert len(find(plane, box_threshold=0.35)) == 2
    assert find(plane, threshold=0.9, box_threshold=0.9) == ()


def test_score_is_the_mean_inside_the_region_alone() -> None:
    plane = probability()
    plane[0, 10:20, 10:30] = 0.6
    plane[0, 10:20, 30:50] = 1.0
    (box,) = find(plane)
    assert box.score == pytest.approx(0.8, abs=0.001)


def test_boxes_come_from_top_to_bottom() -> None:
    plane = probability()
    for top in (40, 5, 22):
        plane[0, top : top + 8, 10:60] = 1.0
    tops = [bounds(box.corners)[1] for box in find(plane)]
    assert tops == sorted(tops) and len(tops) == 3


def test_empty_map_has_no_boxes() -> None:
    image = np.full((60, 100, 3), 200, dtype=np.uint8)
    drawn, boxes = draw_text_boxes(image, probability(), threshold=0.3, box_threshold=0.5, unclip_ratio=1.6)
    assert boxes == ()
    assert np.array_equal(drawn, image)


def test_drawing_leaves_the_image_as_it_was() -> None:
    image = np.full((120, 200, 3), 200, dtype=np.uint8)
    before = image.copy()
    plane = probability()
    plane[0, 20:30, 40:70] = 1.0
    drawn, boxes = draw_text_boxes(image[:, ::1], plane, threshold=0.3, box_threshold=0.5, unclip_ratio=1.0)
    assert np.array_equal(image, before)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    changed = np.argwhere((drawn != image).any(axis=2))
    left, top, right, bottom = bounds(boxes[0].corners)
    assert changed[:, 1].min() == pytest.approx(left, abs=2) and changed[:, 1].max() == pytest.approx(right, abs=2)
    assert changed[:, 0].min() == pytest.approx(top, abs=2) and changed[:, 0].max() == pytest.approx(bottom, abs=2)


@pytest.mark.parametrize("shape", [(60, 100), (2, 60, 100), (1, 0, 100), (1, 1, 60, 100)])
def test_map_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatchError) as caught:
        find_text_boxes(
            np.zeros(shape, dtype=np.float32), image_size=(9, 9), threshold=0.3, box_threshold=0.5, unclip_ratio=1.6
        )
    assert str(shape) in caught.value.message


@pytest.mark.parametrize(
    "image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)]
)
def test_image_of_another_kind(image: Any) -> None:
    with pytest.raises(UnreadableInputError):
        draw_text_boxes(image, probability(), threshold=0.3, box_threshold=0.5, unclip_ratio=1.6)


def test_report_image_is_a_png_of_bounded_size() -> None:
    image = np.random.default_rng(1).integers(0, 255, (10, 4000, 3), dtype=np.uint8)
    packed = ReportImage.from_bgr(title="t", caption="c", image=image)
    decoded = cv2.imdecode(np.frombuffer(packed.png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None and max(decoded.shape) == MAX_SIDE_PIXELS
    small = ReportImage.from_bgr(title="t", caption="c", image=image[:, :50])
    exact = cv2.imdecode(np.frombuffer(small.png, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(exact, image[:, :50])
    assert packed.data_uri.startswith("data:image/png;base64,iVBOR")
