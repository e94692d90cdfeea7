"""Calibration data from a Python function of the user's."""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from edgedeploy.errors import CalibrationDataError, UnreadableInputError
from edgedeploy.quantize.data_inputs import Inputs
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.user_function import UserFunction, UserFunctionError, described, find_function

MOST_ITEMS = 100_000
"""A function that goes on for ever is noticed here."""

_HINT = "it takes no arguments and returns an iterable of arrays, of dictionaries of arrays, or of pairs with a label"


class _Items(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class FunctionData:
    """What the function returns: elements of a sequence one at a time, those of any other iterable from a file.

    The user's code is never called from two threads at once. Another process calls the function itself.

    Args:
        function: Where it is.
        count: Of the items, where it is known.
    """

    def __init__(self, function: UserFunction, inputs: Inputs, count: int | None = None) -> None:
        self._function = function
        self._inputs = inputs
        self._count = count
        self._items: _Items | None = None
        self._lock = threading.RLock()

    def __len__(self) -> int:
        if self._count is None:
            self._count = len(self._loaded())
        return self._count

    def __reduce__(self) -> tuple[Any, ...]:
        return FunctionData, (self._function, self._inputs, self._count)

    def item(self, index: int) -> Item:
        """Return one item.

        Raises:
            CalibrationDataError: The function fails.
            UnreadableInputError: The element is not what the model takes.
            ShapeMismatchError: An array of another shape than the input's.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"there is no item {index}")
        with self._lock:
            try:
                element = self._loaded()[index]
            except Exception as error:
                raise CalibrationDataError(
                    f"{self._function.spec} fails on item {index}: {described(error)}", hint=_HINT
                ) from error
        values, label = _divided(element)
        name = f"item {index}"
        tensors = self._inputs.tensors(values, f"{name} of {self._function.spec}")
        return Item(name=name, tensors=tensors, label=label)

    def _loaded(self) -> _Items:
        with self._lock:
            if self._items is None:
                self._items = _items_of(self._function)
            return self._items


def open_function(spec: str, inputs: Inputs, directory: Path) -> FunctionData:
    """Call the function and return its data.

    Raises:
        CalibrationDataError: It cannot be loaded, fails, or returns nothing to calibrate with.
    """
    try:
        function = find_function(spec, directory)
        # Without this a fault in the module would look like one in the call.
        function.load()
    except UserFunctionError as error:
        raise CalibrationDataError(f"no calibration data: {error}", hint=error.hint or _HINT) from error
    data = FunctionData(function, inputs)
    if not len(data):
        raise CalibrationDataError(f"{spec} returns no items", hint=_HINT)
    return data


class _Spool:
    """Elements of an iterable, in a file: memory stays flat, and any can be had again."""

    def __init__(self, elements: Iterable[Any], spec: str) -> None:
        # Lives as long as the data do, and has no name that could be left behind.
        self._stream = tempfile.TemporaryFile()  # noqa: SIM115
        self._offsets: list[int] = []
        for element in elements:
            if len(self._offsets) == MOST_ITEMS:
                raise CalibrationDataError(
                    f"{spec} yields more than {MOST_ITEMS} items", hint="end it, or return a sequence"
                )
            self._offsets.append(self._stream.tell())
            pickle.dump(element, self._stream, protocol=pickle.HIGHEST_PROTOCOL)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int, /) -> Any:
        self._stream.seek(self._offsets[index])
        # Only this object can have written into a file without a name.
        return pickle.load(self._stream)


def _items_of(function: UserFunction) -> _Items:
    try:
        found = function.load()()
        if not isinstance(found, Mapping | str | bytes):
            if hasattr(found, "__len__") and hasattr(found, "__getitem__"):
                return found  # type: ignore[no-any-return]
            if isinstance(found, Iterable):
                return _Spool(found, function.spec)
    except CalibrationDataError:
        raise
    except Exception as error:
        raise CalibrationDataError(f"{function.spec} fails: {described(error)}", hint=_HINT) from error
    raise CalibrationDataError(f"{function.spec} returns {type(found).__name__}", hint=_HINT)


def _divided(element: Any) -> tuple[Any, int | None]:
    """Take an element apart into values and label."""
    if not isinstance(element, tuple):
        return element, None
    if len(element) != 2:
        raise UnreadableInputError(f"an element is a tuple of {len(element)}", hint="a pair is (values, label)")
    values, label = element
    if label is None:
        return values, None
    try:
        return values, int(label)
    except (TypeError, ValueError):
        raise UnreadableInputError(f"the label {label!r} is no number", hint="a pair is (values, label)") from None
