"""Task metrics: what one item's outputs are worth, 0 to 1. Built in: top-1 and cosine; a user's own by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import MetricError, close_matches
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.user_function import UserFunction, UserFunctionError, described, find_function

FULL_POINTS = 100.0
"""Points of a network whose every item scores 1."""

Outputs = Mapping[str, FloatArray]
"""Output blob -> float32, without batch."""


class Metric(Protocol):
    """Scores one item. Pickles: workers in other processes score too."""

    @property
    def name(self) -> str:
        """As the user wrote it: ``top1``, ``cosine``, ``FILE.py:FUNCTION`` or ``module:function``."""

    def score(self, item: Item, expected: Outputs, found: Outputs) -> float:
        """Return what the outputs found are worth.

        Args:
            item: The input and, where the data has one, its label.
            expected: The float network's outputs.
            found: Those to be judged, in the same shapes; the float network's own where that is judged itself.

        Returns:
            0 to 1.

        Raises:
            MetricError: It cannot be said.
        """


def points(scores: Sequence[float]) -> float:
    """Return 100 times the mean, for example 91.5; 0 of nothing."""
    return FULL_POINTS * math.fsum(scores) / len(scores) if scores else 0.0


@dataclass(frozen=True)
class Top1:
    """Whether the largest value stands in the right place.

    That is the label where the item has one, and else where the float network has its largest value. A matrix is judged
    row by row, an image pixel by pixel over its channels; with several outputs the label belongs to ``out0`` (else to
    the first), and agreement is the mean over all.
    """

    name: str = "top1"

    def score(self, item: Item, expected: Outputs, found: Outputs) -> float:
        """See ``Metric``.

        Raises:
            MetricError: Fewer than two classes, or a label where the output has several rows.
        """
        if item.label is None:
            shares = [self._share(_classes(expected[name], name), found[name], name) for name in expected]
            return float(np.mean(shares))
        name = "out0" if "out0" in found else next(iter(found))
        classes = _classes(found[name], name)
        if classes.size != 1:
            raise MetricError(
                f"top1 has one label for {item.name}, but {name} gives {classes.size} classes, one a row or pixel",
                hint="score the rows with a metric of your own: docs/precision_search.md",
            )
        return self._share(np.full_like(classes, item.label), found[name], name)

    @staticmethod
    def _share(right: NDArray[np.intp], values: FloatArray, name: str) -> float:
        # A row with a value that is not finite is wrong whatever the largest value is.
        usable = np.isfinite(values).all(axis=_class_axis(values))
        return float(np.mean((_classes(values, name) == right) & usable))


def _class_axis(values: FloatArray) -> int:
    """Classes lie along the channels of images, and along the last axis of vectors and matrices."""
    return 0 if values.ndim > 2 else -1


def _classes(values: FloatArray, name: str) -> NDArray[np.intp]:
    axis = _class_axis(values)
    if values.ndim == 0 or values.shape[axis] < 2:
        raise MetricError(
            f"top1 needs two classes or more, and output {name} has the shape {list(values.shape)}",
            hint="metrics for other outputs: cosine, or a function of your own: docs/precision_search.md",
        )
    return np.atleast_1d(np.argmax(values, axis=axis))


@dataclass(frozen=True)
class Cosine:
    """Cosine between the outputs and the float network's, mean over the outputs; negative ones count as 0."""

    name: str = "cosine"

    def score(self, item: Item, expected: Outputs, found: Outputs) -> float:
        """See ``Metric``."""
        cosines = [max(0.0, ErrorSums.of(expected[name], found[name]).cosine) for name in expected]
        return float(np.mean(cosines))


@dataclass(frozen=True, kw_only=True)
class UserMetric:
    """A function of the user's: ``function(item, expected, found) -> number between 0 and 1``.

    Args:
        function: Where it is; it travels to workers with its file's text.
    """

    function: UserFunction

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self.function.spec

    def load(self) -> None:
        """Load the function now; without this the first score does it.

        Raises:
            MetricError: It cannot be loaded.
        """
        _ = self._callable

    def score(self, item: Item, expected: Outputs, found: Outputs) -> float:
        """See ``Metric``.

        Raises:
            MetricError: The function raises, or returns something that is no score.
        """
        function = self._callable
        try:
            value = function(item, expected, found)
        except Exception as error:
            raise MetricError(
                f"the metric {self.name} fails on {item.name}: {described(error)}",
                hint="it is called as function(item, expected, found): docs/precision_search.md",
            ) from error
        return self._checked(value, item)

    def __getstate__(self) -> dict[str, Any]:
        # Without the loaded function, which lives in a module that the other process does not have.
        return {"function": self.function}

    @cached_property
    def _callable(self) -> Callable[[Item, Outputs, Outputs], Any]:
        try:
            return self.function.load()
        except UserFunctionError as error:
            raise _cannot_load(error) from error

    def _checked(self, value: object, item: Item) -> float:
        number = value.item() if isinstance(value, np.generic | np.ndarray) and value.size == 1 else value
        if not isinstance(number, bool | int | float):
            returned = type(value).__name__
        elif not 0.0 <= float(number) <= 1.0:
            returned = f"{float(number):g}"
        else:
            return float(number)
        raise MetricError(
            f"the metric {self.name} returned {returned} for {item.name}",
            hint="it has to return a number from 0 to 1",
        )


_BUILT_IN: Mapping[str, Metric] = {"top1": Top1(), "cosine": Cosine()}


def load_metric(spec: str, directory: Path) -> Metric:
    """Return the metric that a user named.

    Args:
        spec: ``top1``, ``cosine``, ``FILE.py:FUNCTION`` (relative to the directory) or ``module:function``.
        directory: The project's: modules are looked for there too.

    Raises:
        MetricError: There is none of that name, or it cannot be loaded.
    """
    if ":" not in spec:
        if spec in _BUILT_IN:
            return _BUILT_IN[spec]
        near = close_matches(spec, _BUILT_IN)
        raise MetricError(
            f"there is no metric {spec}", hint=f"{near}; your own is written FILE.py:FUNCTION or module:function"
        )
    try:
        metric = UserMetric(function=find_function(spec, directory))
    except UserFunctionError as error:
        raise _cannot_load(error) from error
    metric.load()
    return metric


def _cannot_load(error: UserFunctionError) -> MetricError:
    hint = error.hint or "a metric is written FILE.py:FUNCTION or module:function: docs/precision_search.md"
    return MetricError(f"no metric: {error}", hint=hint)
