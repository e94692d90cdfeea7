"""Calibration and evaluation data as the stage sees it: numbered items, loaded one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edgedeploy.artifacts import FloatArray


@dataclass(frozen=True, kw_only=True)
class Item:
    """One input set.

    Args:
        name: For people: a file's name relative to the data directory, or a number.
        tensors: The engine's input name (``in0``) -> float32 in the input's full shape, batch 1 first.
        label: Class index, where the data has labels.
    """

    name: str
    tensors: Mapping[str, FloatArray]
    label: int | None = None


class Data(Protocol):
    """A fixed sequence of items. Pickles small: workers in other processes load the items themselves."""

    def __len__(self) -> int:
        """Return the number of items."""

    def item(self, index: int) -> Item:
        """Load one item; the same index always gives the same values."""
