"""Runs int8 variants of a float network on items, in tasks: what is scored, and what a worker keeps between tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.model import Graph
from edgedeploy.quantize.assemble import INT8_OPTIONS
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.metrics import Metric

INT8_TASK_OPTIONS = replace(INT8_OPTIONS, threads=1)
"""For networks in tasks; the float one too, so that what stays in float loses nothing by another order of additions."""
KEPT_BYTES = 128 << 20
"""How much of inputs and float outputs a worker keeps for the next variant; the rest is computed again."""
TASK_ITEMS = 16
"""Items of one task at most."""

KeepFloat = tuple[str, ...]
"""Names of the layers that a variant leaves in float, sorted."""
Biases = tuple[tuple[str, tuple[float, ...]], ...]
"""Names of layers, each with its bias."""


@dataclass(frozen=True)
class Variant:
    """One int8 network of those that can be made.

    Args:
        keep_float: What it leaves in float.
        biases: In place of those that were decided with everything in int8.
    """

    keep_float: KeepFloat = ()
    biases: Biases = ()


MakeVariant = Callable[[Variant], Graph]
"""Makes the network. Pickles."""


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """One item.

    Args:
        index: In the data.
        float_score: Of the float network, 0 to 1.
        int8_score: Of the int8 network.
        outputs: The int8 network's error of each output, in the order of the graph's outputs.
    """

    index: int
    name: str
    float_score: float
    int8_score: float
    outputs: tuple[ErrorSums, ...]

    @property
    def sqnr_db(self) -> float:
        """The worst output's."""
        return min((output.sqnr_db for output in self.outputs), default=0.0)


@dataclass(frozen=True)
class VariantTask:
    """A variant to be run on items of the data."""

    variant: Variant
    indices: tuple[int, ...]


@dataclass(frozen=True)
class _Reference:
    """What an int8 network is held against on one item."""

    item: Item
    outputs: dict[str, FloatArray]
    score: float

    @property
    def size_bytes(self) -> int:
        arrays = [*self.item.tensors.values(), *self.outputs.values()]
        return sum(array.nbytes for array in arrays)


class Evaluator:
    """Holds int8 variants against one float network. What it keeps does not travel to other processes.

    Args:
        graph: The float network.
        make_variant: Makes int8 networks with the same outputs.
        kept_bytes: How much of inputs and float outputs stays in memory for the next variant.
    """

    def __init__(
        self, graph: Graph, make_variant: MakeVariant, data: Data, metric: Metric, *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._graph = graph
        self._make_variant = make_variant
        self._data = data
        self._metric = metric
        self._kept_bytes = kept_bytes
        self._forget()

    def run(self, task: VariantTask) -> list[ItemResult]:
        """Run a variant on items.

        Raises:
            MetricError: An item cannot be scored.
        """
        engine = self._variant(task.variant)
        return [self._run(engine, index) for index in task.indices]

    def __getstate__(self) -> dict[str, Any]:
        kept = {"_engine", "_variant_engine", "_references", "_used_bytes", "_lock"}
        return {name: value for name, value in self.__dict__.items() if name not in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        # Several threads of a worker may share this object.
        self._lock = Lock()
        self._engine: Engine | None = None
        self._variant_engine: tuple[Variant, Engine] | None = None
        self._references: dict[int, _Reference] = {}
        self._used_bytes = 0

    def _variant(self, variant: Variant) -> Engine:
        """Load a variant; the tasks of one come one after the other, so the last one is kept."""
        with self._lock:
            loaded = self._variant_engine
        if loaded is None or loaded[0] != variant:
            loaded = (variant, Engine.from_graph(self._make_variant(variant), options=INT8_TASK_OPTIONS))
        with self._lock:
            self._variant_engine = loaded
        return loaded[1]

    def _run(self, int8: Engine, index: int) -> ItemResult:
        reference = self._reference(index)
        item, expected = reference.item, reference.outputs
        found = int8.run(list(expected), item.tensors)
        return ItemResult(
            index=index,
            name=item.name,
            float_score=reference.score,
            int8_score=self._metric.score(item, expected, found),
            outputs=tuple(ErrorSums.of(expected[name], found[name]) for name in expected),
        )

    def _reference(self, index: int) -> _Reference:
        with self._lock:
            kept = self._references.get(index)
            if kept is not None:
                return kept
            engine = self._engine = self._engine or Engine.from_graph(self._graph, options=INT8_TASK_OPTIONS)
        item = self._data.item(index)
        outputs = engine.run(self._graph.outputs, item.tensors)
        for values in outputs.values():
            values.flags.writeable = False  # a metric that changes them would spoil the next comparison
        reference = _Reference(item, outputs, self._metric.score(item, outputs, outputs))
        with self._lock:
            if index not in self._references and self._used_bytes + reference.size_bytes <= self._kept_bytes:
                self._references[index] = reference
                self._used_bytes += reference.size_bytes
        return reference


def run_task(evaluator: Evaluator, task: VariantTask) -> list[ItemResult]:
    """Run a task: what workers are given."""
    return evaluator.run(task)


def tasks_of(variant: Variant, indices: Sequence[int]) -> list[VariantTask]:
    """Cut a variant's items into tasks.

    Example:
        >>> [len(task.indices) for task in tasks_of(Variant(), range(40))]
        [16, 16, 8]
    """
    starts = range(0, len(indices), TASK_ITEMS)
    return [VariantTask(variant, tuple(indices[start : start + TASK_ITEMS])) for start in starts]
