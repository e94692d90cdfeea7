"""Runs a float network over calibration data and takes the statistics of its blobs, in memory that does not grow.

Two images at a time on two cores are faster than one image on both, so each thread runs the engine on one core. The
engine and numpy leave Python's lock while they compute; what is added up is exact, so neither threads nor the order of
items change the result.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from edgedeploy.errors import CalibrationDataError, ShapeMismatchError, UnreadableInputError
from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.progress import SILENT, Progress, Task, time_left
from edgedeploy.quantize.accumulated import Accumulated
from edgedeploy.quantize.blob_statistics import BlobStatistics
from edgedeploy.quantize.calibration_data import require_readable
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.probes import Observer, ProbedNetwork
from edgedeploy.quantize.variety import Variety

__all__ = ["BlobStatistics", "collect_statistics", "time_left"]

SAMPLE_SIZE = 4096
"""Values of a blob and item that its histogram gets, about."""
SAMPLED_BLOBS = 8
"""Blobs of an item whose histograms get values, about; with few items more."""
ITEMS_A_HISTOGRAM = 64
"""No histogram is of fewer items, where there are as many."""
MOST_THREADS = 8

_REFRESH_S = 0.2


def collect_statistics(
    graph: Graph,
    blobs: Sequence[str],
    data: Data,
    indices: Sequence[int],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, BlobStatistics]:
    """Return the statistics of blobs over items of the data.

    Args:
        graph: With float weights.
        blobs: Names, of any blobs of the graph.
        data: Items may be loaded from several threads at once.
        indices: Of the items.
        threads: Items that are worked on at once; None: one a core, at most 8.
        progress: Is told the number of items done, and the time left.

    Returns:
        Blob -> statistics, for example ``{"conv1": BlobStatistics(blob="conv1", count=401408 * 300, edge=8.0, ...)}``;
        the same for any number of threads.

    Raises:
        CalibrationDataError: No items, or items that say nothing (all the same, or all plain), or a blob that is not
            finite on one: both are named.
        UnreadableInputError: Lists the items that cannot be loaded.
        ConversionError: The engine refuses the network.
    """
    if not len(indices):
        raise CalibrationDataError("there are no calibration data", hint="name a directory with images or .npy files")
    sources = _sources(graph, blobs)
    try:
        first = data.item(indices[0])
        network = ProbedNetwork(graph, set(sources.values()), first.tensors, sample_size=SAMPLE_SIZE)
        with progress.task("Calibrating") as task:
            parts = _Work(network, data, indices).run(min(threads or _default_threads(), len(indices)), task)
    except (UnreadableInputError, ShapeMismatchError):
        # One cannot be loaded: say so of all that cannot.
        require_readable(data, indices)
        raise
    found = _merged(parts)
    return {blob: replace(found[source], blob=blob) for blob, source in sources.items()}


class _Work:
    """The items, handed out to threads."""

    def __init__(self, network: ProbedNetwork, data: Data, indices: Sequence[int]) -> None:
        self._network = network
        self._data = data
        self._indices = indices
        self._groups = _groups(network.blobs, len(indices))
        # Iterators hand every number out once, whichever thread asks.
        self._positions: Iterator[int] = iter(range(len(indices)))
        self._counter: Iterator[int] = itertools.count(1)
        self._done = 0
        self._stop = threading.Event()

    def run(self, threads: int, task: Task) -> list[Accumulated]:
        """Return what each thread has seen."""
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(self._thread) for _ in range(threads)]
            try:
                self._watch(futures, task)
            finally:
                self._stop.set()
        return [future.result() for future in futures]

    def _watch(self, futures: Sequence[Future[Accumulated]], task: Task) -> None:
        start = time.monotonic()
        total = len(self._indices)
        pending = set(futures)
        while pending:
            finished, pending = wait(pending, timeout=_REFRESH_S, return_when=FIRST_EXCEPTION)
            for future in finished:
                future.result()
            task.update(self._done, total, time_left(self._done, total, time.monotonic() - start))

    def _thread(self) -> Accumulated:
        seen, observer = Accumulated(self._network), Observer(self._network)
        for position in self._positions:
            if self._stop.is_set():
                break
            item = self._data.item(self._indices[position])
            sampled = self._groups[position % len(self._groups)]
            seen.add(item, observer.observe(item.tensors, sampled, position // len(self._groups)))
            self._done = next(self._counter)
        return seen


def _merged(parts: Sequence[Accumulated]) -> dict[str, BlobStatistics]:
    variety = Variety()
    found: dict[str, BlobStatistics] = {}
    for part in parts:
        variety.merge(part.variety)
        statistics = part.statistics()
        found = {blob: found[blob].merge(new) if blob in found else new for blob, new in statistics.items()} or found
    variety.require()
    return found


def _default_threads() -> int:
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def _groups(blobs: Sequence[str], items: int) -> list[frozenset[str]]:
    """Divide the blobs among the items: an item of group g gives values to the histograms of group g's blobs."""
    most = max(1, items // ITEMS_A_HISTOGRAM)
    count = min(most, max(1, -(-len(blobs) // SAMPLED_BLOBS)))
    return [frozenset(blobs[group::count]) for group in range(count)]


def _sources(graph: Graph, blobs: Sequence[str]) -> dict[str, str]:
    """Return for each blob the one that holds the same values and that no Split made."""
    producers = wiring_of(graph).producers

    def source(blob: str) -> str:
        layer = producers[blob]
        return source(layer.inputs[0]) if layer.type == "Split" else blob

    return {blob: source(blob) for blob in blobs}
