"""What PP-OCR's networks see: pieces of lines for the classifier and the recogniser, parts of pages for detection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.preprocessing import read_image
from edgedeploy.quantize.items import Item
from int8_nets.text_lines import Image, Piece, changed_light, cut

INPUT = "in0"
UPRIGHT = 0
TURNED = 1


@dataclass(frozen=True, kw_only=True)
class LineImages:
    """Every piece in several variants, for networks that read lines.

    Args:
        pieces: Of text lines.
        variants: How often each piece is cut.
        turns: Whether every cut comes upright and turned by 180 degrees; the label says which.
        width: Of the network's input; its height is 48. Shorter lines are filled up with grey on the right, longer ones
            are pressed together, as the networks were trained.
        seed: Of the cuts.
    """

    pieces: tuple[Piece, ...]
    variants: int
    turns: bool
    width: int
    seed: int

    def __len__(self) -> int:
        return len(self.pieces) * self.variants * (2 if self.turns else 1)

    def item(self, index: int) -> Item:
        number, turned = divmod(index, 2) if self.turns else (index, 0)
        variant, which = divmod(number, len(self.pieces))
        piece = self.pieces[which]
        image = cut(piece, np.random.default_rng((self.seed, which, variant)))
        if turned:
            image = np.ascontiguousarray(image[::-1, ::-1])
        label = (TURNED if turned else UPRIGHT) if self.turns else None
        name = f"{piece.line.name}-{piece.left}-{piece.right}-{variant}"
        return Item(name=name, tensors={INPUT: line_tensor(image, self.width)}, label=label)


LINE_HEIGHT = 48


def line_tensor(image: Image, width: int) -> FloatArray:
    """Return float32 ``(1, 3, 48, width)``, -1 to 1, of a BGR image of any size."""
    height, wide = image.shape[:2]
    resized = cv2.resize(image, (min(width, int(np.ceil(LINE_HEIGHT * wide / height))), LINE_HEIGHT))
    tensor = np.zeros((1, 3, LINE_HEIGHT, width), np.float32)
    tensor[0, :, :, : resized.shape[1]] = _scaled(resized)
    return tensor


@dataclass(frozen=True, kw_only=True)
class PageParts:
    """Parts of pages at random places and of random size, each resized to the network's input.

    Args:
        pages: Image files; item ``i`` is of page ``i`` modulo their number.
        count: How many parts.
        shape: Of the network's input, batch 1 first.
        seed: Of the places.
    """

    pages: tuple[Path, ...]
    count: int
    shape: tuple[int, int, int, int]
    seed: int

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        page = self.pages[index % len(self.pages)]
        random = np.random.default_rng((self.seed, index))
        part = changed_light(page_part(_cached_image(page), self.shape[3] / self.shape[2], random), random)
        resized = cv2.resize(part, (self.shape[3], self.shape[2]))
        tensor = np.ascontiguousarray(_scaled(resized)[np.newaxis])
        return Item(name=f"{page.stem}-{index}", tensors={INPUT: tensor})


def page_part(image: Image, aspect: float, random: np.random.Generator) -> Image:
    """Return a part of an image that has half its size or more, up to the whole with a margin of its own edge colours.

    Args:
        aspect: Width by height of the part, varied by up to a tenth.
    """
    height, width = image.shape[:2]
    scale = random.uniform(0.5, 1.1)
    wide = scale * width
    high = min(wide / aspect * random.uniform(0.9, 1.1), 1.1 * height)
    left = random.uniform(min(0.0, width - wide), max(0.0, width - wide))
    top = random.uniform(min(0.0, height - high), max(0.0, height - high))
    columns = (left + np.arange(round(wide))).clip(0, width - 1).astype(int)
    rows = (top + np.arange(round(high))).clip(0, height - 1).astype(int)
    return np.ascontiguousarray(image[rows[:, np.newaxis], columns[np.newaxis]])


def _scaled(image: NDArray[Any]) -> FloatArray:
    """Return float32 ``(3, H, W)``, -1 to 1, of bytes ``(H, W, 3)``."""
    return ((image.astype(np.float32).transpose(2, 0, 1) - 127.5) / 127.5).astype(np.float32)


@lru_cache(maxsize=4)
def _cached_image(path: Path) -> Image:
    return read_image(path)
