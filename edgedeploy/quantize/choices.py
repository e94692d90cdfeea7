"""What was decided for each layer and each int8 blob of a quantized network."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.model import Graph

LARGEST_CODE = 127
"""The engine clamps to +-127; -128 is never used."""


def round_to_codes(values: NDArray[Any]) -> NDArray[np.int8]:
    """Round float32 half away from zero and clamp to +-127.

    Example:
        >>> round_to_codes(np.array([0.5, -2.5, 300], np.float32))
        array([  1,  -3, 127], dtype=int8)
    """
    # In float64 the half can be added without rounding: 0.49999997 + 0.5 would be 1 in float32.
    exact = np.asarray(values, dtype=np.float64)
    rounded = np.trunc(exact + np.copysign(0.5, exact))
    return np.clip(rounded, -LARGEST_CODE, LARGEST_CODE).astype(np.int8)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How an int8 blob's codes stand for numbers: ``number = direction * code / scale + middle``.

    Args:
        scale: Codes a unit.
        direction: -1 for a mirrored range: the lowest number has the code 127.
        middle: The number whose code is 0; 0 for a symmetric range.
    """

    scale: float
    direction: int = 1
    middle: float = 0.0

    def decode(self, codes: NDArray[Any]) -> FloatArray:
        """Return the numbers, float32, of codes of any shape."""
        values = self.direction * np.asarray(codes, dtype=np.float64) / self.scale + self.middle
        return values.astype(np.float32)

    def encode(self, numbers: NDArray[Any]) -> NDArray[np.int8]:
        """Return the codes: rounded half away from zero and clamped, as the engine does it."""
        return round_to_codes(self.direction * (np.asarray(numbers, dtype=np.float64) - self.middle) * self.scale)

    def moved(self, numbers: NDArray[Any]) -> FloatArray:
        """Return the numbers, float32, from the middle of the range in its direction: as codes, but not rounded."""
        return (self.direction * (np.asarray(numbers, dtype=np.float64) - self.middle)).astype(np.float32)

    def from_middle(self, moved: NDArray[Any]) -> FloatArray:
        """Return the numbers, float32, that ``moved`` made these of."""
        return (self.direction * np.asarray(moved, dtype=np.float64) + self.middle).astype(np.float32)

    @property
    def lowest(self) -> float:
        """The smallest number there is a code for."""
        return self.middle - LARGEST_CODE / self.scale

    @property
    def highest(self) -> float:
        """The largest number there is a code for."""
        return self.middle + LARGEST_CODE / self.scale


class Winograd(str, Enum):
    """Whether the engine's F(4,3) computes the layer: it needs smaller accumulators."""

    NOT_USED = "not used"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """One layer with weights.

    Args:
        int8: False: it stays in float, and ``reason`` says why.
        input: How the codes that it multiplies stand for numbers.
        output: How the codes that it hands on do; None where it hands on floats.
        weight_scales: Codes a unit, float32: one an output channel, or one a group; of layers that scale their inputs
            themselves those of all matrices.
        weight_bits: Of each output channel (or group): 8, or fewer for the accumulators' sake.
        accumulator_bound: Largest magnitude that calibration leads one to expect; None where it was not looked at.
        accumulator_limit: Largest that the target's code computes exactly.
        accumulator_reason: What that led to, in a sentence.
        bias_correction: Largest change of a bias, relative to the largest magnitude of the layer's outputs.
    """

    name: str
    type: str
    int8: bool
    reason: str = ""
    input: Encoding | None = None
    output: Encoding | None = None
    weight_scales: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    weight_bits: tuple[int, ...] = ()
    winograd: Winograd = Winograd.NOT_USED
    accumulator_bound: int | None = None
    accumulator_limit: int | None = None
    accumulator_reason: str = ""
    bias_correction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Int8Model:
    """A quantized network.

    Args:
        graph: As the engine runs it.
        layers: One choice for every layer of the float network that has weights it multiplies with, in order.
        encodings: Of each blob that holds codes between layers.
        offers: Of each float blob that does not hold its numbers but what ``Encoding.moved`` makes of them.
    """

    graph: Graph
    layers: tuple[LayerChoice, ...]
    encodings: dict[str, Encoding]
    offers: dict[str, Encoding] = field(default_factory=dict)

    def choice(self, name: str) -> LayerChoice:
        """Return a layer's choice.

        Raises:
            KeyError: There is none of that name.
        """
        for item in self.layers:
            if item.name == name:
                return item
        raise KeyError(f"no choice was made for a layer {name}")
