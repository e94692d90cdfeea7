"""Calibration data from tensors in memory, and a progress that remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.quantize.items import Item


@dataclass(frozen=True)
class ListedData:
    """Item ``i`` is the i-th of the sets of tensors."""

    sets: Sequence[Mapping[str, FloatArray]]

    def __len__(self) -> int:
        return len(self.sets)

    def item(self, index: int) -> Item:
        return Item(name=f"item-{index}", tensors=self.sets[index])


def normal_data(count: int, *shape: int, inputs: Sequence[str] = ("x",), seed: int = 0) -> ListedData:
    """Return normal random items; shapes are without batch."""
    random = np.random.default_rng(seed)
    return ListedData(
        [{name: random.normal(size=(1, *shape)).astype(np.float32) for name in inputs} for _ in range(count)]
    )


@dataclass
class RememberedProgress:
    """What a stage said."""

    updates: list[tuple[float, float | None, str]] = field(default_factory=list)

    @contextmanager
    def task(self, title: str) -> Iterator[RememberedProgress]:
        yield self

    def say(self, text: str) -> None:
        pass

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        self.updates.append((done, total, note))
