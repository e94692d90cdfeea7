"""Images that a report shows beside the numbers."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.errors import UnreadableInputError

MAX_SIDE_PIXELS = 1600


@dataclass(frozen=True, kw_only=True)
class ReportImage:
    """A picture with its caption. ``png`` is the whole file's bytes."""

    title: str
    caption: str
    png: bytes

    @classmethod
    def from_bgr(cls, *, title: str, caption: str, image: NDArray[Any]) -> ReportImage:
        """Encode a uint8 ``(H, W, 3)`` BGR image, scaled down to at most 1600 pixels a side.

        Raises:
            UnreadableInputError: Not such an array.
        """
        check_bgr(image)
        longest = max(image.shape[:2])
        if longest > MAX_SIDE_PIXELS:
            factor = MAX_SIDE_PIXELS / longest
            image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        encoded, data = cv2.imencode(".png", image)
        if not encoded:
            raise UnreadableInputError(f"the image {title!r} cannot be encoded as PNG", hint="leave it out")
        return cls(title=title, caption=caption, png=data.tobytes())

    @property
    def data_uri(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def check_bgr(image: NDArray[Any]) -> None:
    """Raise :class:`UnreadableInputError` unless ``image`` is uint8 ``(H, W, 3)`` with pixels in it."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise UnreadableInputError(
            f"an image is uint8 (height, width, 3) in BGR, not {image.dtype} {image.shape}",
            hint="read it with cv2.imread",
        )
