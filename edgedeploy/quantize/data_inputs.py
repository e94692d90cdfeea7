"""From arrays to what the engine is fed: with the preprocessing of the project file where they are images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgedeploy.artifacts import FloatArray, InputSpec
from edgedeploy.errors import CalibrationDataError, ShapeMismatchError, UnreadableInputError
from edgedeploy.preprocessing import to_tensor

_COLORS = 3
_IMAGE_DIMENSIONS = 3
_NUMBERS = "fiub"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model's inputs.

    Args:
        specs: As the project file has them.
        engine_names: The engine's name of each, in the same order.
    """

    specs: tuple[InputSpec, ...]
    engine_names: tuple[str, ...]

    @property
    def only(self) -> InputSpec:
        """The one input.

        Raises:
            CalibrationDataError: There are several.
        """
        if len(self.specs) != 1:
            names = ", ".join(spec.name for spec in self.specs)
            raise CalibrationDataError(
                f"the model has the inputs {names}, and the data only one array an item",
                hint="give .npz files or dictionaries with one array an input",
            )
        return self.specs[0]

    def tensors(self, values: object, where: str) -> dict[str, FloatArray]:
        """Return one item as the engine takes it.

        Args:
            values: Source name -> array; or an array, where the model has one input.
            where: The item, for messages.

        Returns:
            Engine name -> float32 in the input's shape.

        Raises:
            UnreadableInputError: An input is missing, or its values are no finite numbers.
            ShapeMismatchError: An array of another shape.
        """
        arrays = values if isinstance(values, Mapping) else {self.only.name: values}
        missing = [spec.name for spec in self.specs if spec.name not in arrays]
        if missing:
            raise UnreadableInputError(
                f"{where} has no array for the input {missing[0]!r}",
                hint=f"it has {', '.join(map(str, arrays)) or 'none'}",
            )
        return {
            name: input_tensor(arrays[spec.name], spec, where)
            for spec, name in zip(self.specs, self.engine_names, strict=True)
        }


def input_tensor(value: object, spec: InputSpec, where: str) -> FloatArray:
    """Return the tensor of one input.

    Args:
        value: For an input with preprocessing uint8 ``(H, W, 3)`` in BGR order or grey ``(H, W)``: it is preprocessed.
            Else, or where it is not uint8, numbers in the input's shape, with or without batch: taken as they are.
        where: The item, for messages.

    Raises:
        UnreadableInputError: No numbers, or NaN or infinity.
        ShapeMismatchError: Another shape.
    """
    array = np.asarray(value)
    problem = shape_problem(array.shape, array.dtype, spec)
    if problem:
        raise ShapeMismatchError(f"{where} {problem}", hint=f"the input's shape is {list(spec.shape)}")
    if _is_image(array.dtype, spec):
        grey = array.ndim < _IMAGE_DIMENSIONS
        return to_tensor(cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_GRAY2BGR) if grey else array, spec)
    if array.dtype.kind not in _NUMBERS:
        raise UnreadableInputError(
            f"{where} holds {array.dtype} for the input {spec.name!r}, not numbers", hint="give uint8 or float32"
        )
    with np.errstate(over="ignore"):
        tensor = np.ascontiguousarray(array, dtype=np.float32).reshape(spec.shape)
    if not np.isfinite(tensor).all():
        raise UnreadableInputError(
            f"{where} holds NaN or infinity for the input {spec.name!r}", hint="remove it, or save it again"
        )
    return tensor


def shape_problem(shape: tuple[int, ...], dtype: np.dtype[Any], spec: InputSpec) -> str | None:
    """Say what is wrong with an array of this shape for the input; None: nothing."""
    if _is_image(dtype, spec):
        color = len(shape) == _IMAGE_DIMENSIONS and shape[2] == _COLORS
        if (color or len(shape) == _IMAGE_DIMENSIONS - 1) and all(shape):
            return None
        return f"is uint8 of the shape {list(shape)}; an image is (height, width, 3) in BGR order, or (height, width)"
    if shape in (spec.shape, spec.shape[1:]):
        return None
    return f"has the shape {list(shape)} for the input {spec.name!r}, not {list(spec.shape)}"


def _is_image(dtype: np.dtype[Any], spec: InputSpec) -> bool:
    return spec.preprocessing is not None and dtype == np.uint8
