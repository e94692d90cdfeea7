"""Layers that compute ``scale * x + shift`` with constants: BatchNorm, Scale, Bias, and BinaryOp with a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.edits import Wiring
from edgedeploy.graph.passes.linear import Values

_TINY_DEVIATION = 1e-4
"""What the engine divides by where variance and epsilon are both zero."""


class Operation(IntEnum):
    """The operations of BinaryOp that are affine in one operand (src/layer/binaryop.h)."""

    ADD = 0
    SUB = 1
    MUL = 2
    DIV = 3
    RSUB = 7
    RDIV = 8


@dataclass(frozen=True, kw_only=True)
class Affine:
    """One such layer.

    Args:
        data: The blob it works on.
        scale: float64 ``(1,)`` for all elements, or ``(channels,)``.
        shift: As ``scale``, of the same length.
        constant_shape: Shape of the constant blob it reads, outermost first; None where the numbers are its own and
            run along a vector as well as along channels.
    """

    data: str
    scale: Values
    shift: Values
    constant_shape: tuple[int, ...] | None = None

    @property
    def is_scalar(self) -> bool:
        return self.scale.size == 1

    @property
    def is_identity(self) -> bool:
        return bool(np.all(self.scale == 1) and np.all(self.shift == 0))

    def fits(self, rank: int | None, channels: int | None) -> bool:
        """Whether the engine applies the constants to a blob of that rank channel by channel, and keeps its shape.

        Args:
            rank: None: unknown.
            channels: Of the blob; None asks for a single number.
        """
        if not self.is_scalar and self.scale.size != channels:
            return False
        if self.constant_shape is None:
            return self.is_scalar or rank in (1, 3)
        dimensions = len(self.constant_shape)
        if self.is_scalar:
            return dimensions == 1 or (rank is not None and dimensions <= rank)
        # A vector as long as the blob has channels is laid along them; else it would run along the width.
        along_channels = self.constant_shape[0] == channels and self.scale.size == channels
        return along_channels and ((rank == 3 and dimensions <= 3) or rank == dimensions == 1)


def affine_of(layer: Layer, wiring: Wiring) -> Affine | None:
    """Return what the layer computes, or None if it is no such layer or its numbers are not finite."""
    if len(layer.outputs) != 1:
        return None
    reader = _READERS.get(layer.type)
    found = reader(layer, wiring) if reader else None
    if found is None or not (np.isfinite(found.scale).all() and np.isfinite(found.shift).all()):
        return None
    return found


def number(layer: Layer, key: int, default: float) -> float:
    """Return a parameter that may be written as integer or float."""
    value = layer.param(key)
    return float(value) if isinstance(value, int | float) else default


def _values(array: NDArray[Any]) -> Values:
    return np.asarray(array, dtype=np.float64).reshape(-1)


def _batch_norm(layer: Layer, _: Wiring) -> Affine | None:
    slope, mean, variance, bias = (_values(layer.weight(name).array) for name in ("slope", "mean", "variance", "bias"))
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt(variance + number(layer, 1, 0.0))
    deviation = np.where(deviation == 0, _TINY_DEVIATION, deviation)
    scale = slope / deviation
    return Affine(data=layer.inputs[0], scale=scale, shift=bias - scale * mean)


def _scale(layer: Layer, _: Wiring) -> Affine | None:
    if not layer.weights:  # the scale is the second input
        return None
    scale = _values(layer.weight("scale").array)
    shift = _values(layer.weight("bias").array) if layer.integer(1, 0) else np.zeros_like(scale)
    return Affine(data=layer.inputs[0], scale=scale, shift=shift)


def _bias(layer: Layer, _: Wiring) -> Affine | None:
    shift = _values(layer.weight("bias").array)
    # Of a vector or a matrix the engine takes the whole for channel 0, as it would with a blob of this shape.
    return Affine(data=layer.inputs[0], scale=np.ones_like(shift), shift=shift, constant_shape=(shift.size, 1, 1))


def _binary(layer: Layer, wiring: Wiring) -> Affine | None:
    if layer.integer(1, 0):
        return _with_constant(layer, layer.inputs[0], np.array([number(layer, 2, 0.0)]), None, constant_first=False)
    if len(layer.inputs) != 2:
        return None
    first, second = (_constant(blob, wiring) for blob in layer.inputs)
    if (first is None) == (second is None):
        return None
    if second is not None:
        return _with_constant(layer, layer.inputs[0], second, second.shape, constant_first=False)
    assert first is not None
    return _with_constant(layer, layer.inputs[1], first, first.shape, constant_first=True)


def _constant(blob: str, wiring: Wiring) -> NDArray[Any] | None:
    producer = wiring.producers[blob]
    while producer.type == "Split":
        producer = wiring.producers[producer.inputs[0]]
    if producer.type != "MemoryData" or not producer.weights:
        return None
    return producer.weights[0].array


def _with_constant(
    layer: Layer, data: str, constant: NDArray[Any], shape: tuple[int, ...] | None, *, constant_first: bool
) -> Affine | None:
    values = _values(constant)
    ones, zeros = np.ones_like(values), np.zeros_like(values)
    match layer.integer(0, 0), constant_first:
        case (Operation.ADD, _):
            scale, shift = ones, values
        case (Operation.SUB, False) | (Operation.RSUB, True):
            scale, shift = ones, -values
        case (Operation.SUB, True) | (Operation.RSUB, False):
            scale, shift = -ones, values
        case (Operation.MUL, _):
            scale, shift = values, zeros
        case (Operation.DIV, False) | (Operation.RDIV, True):
            with np.errstate(divide="ignore"):
                scale, shift = 1 / values, zeros
        case _:
            return None
    return Affine(data=data, scale=scale, shift=shift, constant_shape=shape)


_READERS: dict[str, Callable[[Layer, Wiring], Affine | None]] = {
    "BatchNorm": _batch_norm,
    "Scale": _scale,
    "Bias": _bias,
    "BinaryOp": _binary,
}
