"""Calibration data as arrays of many items: one .npy file an input, or one .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.array_files import ARRAY, read_array, read_arrays
from edgedeploy.errors import CalibrationDataError, UnreadableInputError
from edgedeploy.quantize.data_inputs import Inputs, shape_problem
from edgedeploy.quantize.data_labels import labels_of_numbers
from edgedeploy.quantize.items import Item

LABEL_ARRAYS = ("label", "labels")


@dataclass(frozen=True, kw_only=True)
class StackData:
    """Item ``i`` is element ``i`` of the first axis of each input's array.

    Of .npy files only the item asked for is read; an .npz file is held in memory.

    Args:
        files: Source name of an input -> its .npy file; or ``""`` -> the .npz file with all of them.
        count: Of the items.
        labels: One an item; empty where there are none.
    """

    files: Mapping[str, Path]
    inputs: Inputs
    count: int
    labels: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        """Read one item.

        Raises:
            UnreadableInputError: A file cannot be read any more, or the values are no finite numbers.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"there is no item {index}")
        arrays = self._arrays if "" in self.files else {name: _mapped(path) for name, path in self.files.items()}
        values = {spec.name: np.array(arrays[spec.name][index]) for spec in self.inputs.specs}
        name = f"item {index}"
        tensors = self.inputs.tensors(values, f"{name} of {', '.join(map(str, self.files.values()))}")
        return Item(name=name, tensors=tensors, label=self.labels[index] if self.labels else None)

    def __getstate__(self) -> dict[str, Any]:
        # Without the arrays: another process reads them itself.
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        return _unpacked(self.files[""])


def open_stack(path: Path, inputs: Inputs, labels: Path | None) -> StackData:
    """Open a stack for a model with one input (.npy), or for all inputs (.npz).

    Raises:
        CalibrationDataError: It has no items, or the model has several inputs.
        UnreadableInputError: It cannot be read, or has other shapes than the inputs.
    """
    if path.suffix.lower() == ARRAY:
        return open_stacks({inputs.only.name: path}, inputs, labels)
    arrays = _unpacked(path)
    missing = [spec.name for spec in inputs.specs if spec.name not in arrays]
    if missing:
        raise UnreadableInputError(
            f"{path} has no array for the input {missing[0]!r}", hint=f"it has {', '.join(arrays) or 'none'}"
        )
    count = _count(arrays, inputs, str(path))
    known = labels_of_numbers(count, labels) if labels else _labels(arrays, count, path)
    return StackData(files={"": path.absolute()}, inputs=inputs, count=count, labels=known)


def open_stacks(files: Mapping[str, Path], inputs: Inputs, labels: Path | None) -> StackData:
    """Open one .npy file an input.

    Raises:
        CalibrationDataError: They have no items, or different numbers of them.
        UnreadableInputError: One cannot be read, or has another shape than its input.
    """
    count = _count({name: _mapped(path) for name, path in files.items()}, inputs, ", ".join(map(str, files.values())))
    known = labels_of_numbers(count, labels) if labels else ()
    return StackData(
        files={name: path.absolute() for name, path in files.items()}, inputs=inputs, count=count, labels=known
    )


def _labels(arrays: Mapping[str, NDArray[Any]], count: int, path: Path) -> tuple[int, ...]:
    """Return those that the .npz file has itself."""
    name = next((name for name in LABEL_ARRAYS if name in arrays), None)
    if name is None:
        return ()
    if arrays[name].shape != (count,) or arrays[name].dtype.kind not in "iu":
        raise CalibrationDataError(
            f"{name} in {path} is {arrays[name].dtype} of the shape {list(arrays[name].shape)}",
            hint=f"labels are {count} integers",
        )
    return tuple(int(value) for value in arrays[name])


def _count(arrays: Mapping[str, NDArray[Any]], inputs: Inputs, where: str) -> int:
    for spec in inputs.specs:
        array = arrays[spec.name]
        problem = shape_problem(array.shape[1:], array.dtype, spec) if array.ndim else "is a single number"
        if problem:
            raise UnreadableInputError(f"an item of {where} {problem}", hint="the first axis counts the items")
    counts = {spec.name: len(arrays[spec.name]) for spec in inputs.specs}
    if len(set(counts.values())) != 1:
        raise CalibrationDataError(
            f"the inputs have different numbers of items: {counts}", hint="save as many items for each input"
        )
    if not all(counts.values()):
        raise CalibrationDataError(f"{where} has no items", hint="the first axis counts the items")
    return next(iter(counts.values()))


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return read_array(path, mapped=True)
    except ValueError as error:
        raise UnreadableInputError(f"{path} cannot be read: {error}", hint="save it with numpy.save") from None


def _unpacked(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_arrays(path)
    except ValueError as error:
        raise UnreadableInputError(f"{path} cannot be read: {error}", hint="save it with numpy.savez") from None
