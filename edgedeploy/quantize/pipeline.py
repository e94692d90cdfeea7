"""From a converted network and data to an int8 network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import CalibrationDataError
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes import Check, run_passes
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import is_linear
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.assemble import INT8_OPTIONS, Prepared, assemble
from edgedeploy.quantize.blas_threads import one_blas_thread
from edgedeploy.quantize.calibration_data import choose_indices, load_items, spread
from edgedeploy.quantize.candidates import Candidates, find_candidates
from edgedeploy.quantize.chains import find_chains, source_blob
from edgedeploy.quantize.choices import Encoding, Int8Model
from edgedeploy.quantize.decide import Decider, Decision, float_windows
from edgedeploy.quantize.encodings import choose_encodings
from edgedeploy.quantize.equalize import equalize
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.precheck import check_quantizable
from edgedeploy.quantize.prefix import ONE_THREAD
from edgedeploy.quantize.reach import channel_reaches
from edgedeploy.quantize.settings import RangeRule, Settings, Target
from edgedeploy.quantize.statistics import BlobStatistics, collect_statistics
from edgedeploy.quantize.table import CalibrationTable
from edgedeploy.quantize.table_scales import named_by, require_belonging, table_encodings, weight_scales_of

__all__ = ["INT8_OPTIONS", "Prepared", "assemble", "prepare", "quantize"]

CHECK_ITEMS = 2
"""Items that passes are checked on."""
DECISION_ITEMS = 48
"""Items that equalisation, ranges and weights are decided on; the statistics of the blobs are of all."""
NO_DATA = "no data flows through it: its input is zero on all of the data"


def quantize(
    graph: Graph, data: Data, *, target: Target, settings: Settings | None = None, progress: Progress = SILENT
) -> tuple[Prepared, Int8Model]:
    """Quantize a network, all candidates in int8. See ``prepare``."""
    prepared = prepare(graph, data, target=target, settings=settings, progress=progress)
    return prepared, assemble(prepared)


def prepare(
    graph: Graph,
    data: Data,
    *,
    target: Target,
    settings: Settings | None = None,
    table: CalibrationTable | None = None,
    progress: Progress = SILENT,
) -> Prepared:
    """Decide everything about a network that int8 needs. The same input gives the same result, bit for bit.

    Args:
        graph: Converted, with float32 weights.
        data: Calibration data.
        target: The board's CPU.
        settings: None: the defaults.
        table: Scales to take in place of choosing them. Ranges are symmetric then and nothing is equalised, whatever
            the settings say; layers without scales stay in float.

    Raises:
        NonFiniteModelError: Weights that are NaN or infinite.
        AlreadyQuantizedError: The network has int8 layers.
        CalibrationDataError: No data, or data on which the network's blobs are not finite.
        CalibrationTableError: The table belongs to another network.
    """
    settings = settings or Settings()
    if table is not None:
        settings = replace(settings, equalize=False, ranges=RangeRule.SYMMETRIC)
    check_quantizable(graph)
    if len(data) == 0:
        raise CalibrationDataError("there is no calibration data", hint="name a directory of images or arrays")
    indices = choose_indices(len(data), settings.images, settings.seed)
    sample = spread(indices, DECISION_ITEMS)
    items = decision_items(data, settings)
    with one_blas_thread():
        check = _check_on(items[:CHECK_ITEMS])
        with progress.task("Simplifying the network"):
            simplified, passes = run_passes(graph, check)
        equalization = None
        if settings.equalize:
            ranges = _channel_ranges(simplified, data, sample, progress)
            with progress.task("Looking at clipped channels") as task:
                reaches = channel_reaches(simplified, items, settings.seed, task)
            equalization = equalize(simplified, ranges, reaches=reaches, check=check)
        float_graph = equalization.graph if equalization else simplified
        candidates = find_candidates(float_graph)
        if table is not None:
            require_belonging(table, float_graph, candidates)
            candidates = named_by(table, float_graph, candidates)
        statistics = _statistics(float_graph, candidates, data, indices, progress)
        idle = _idle(float_graph, candidates, statistics)
        static = tuple(name for name in candidates.static if name not in idle)
        encodings, decisions = _decide(
            float_graph,
            static,
            statistics=statistics,
            items=items,
            target=target,
            settings=settings,
            table=table,
            progress=progress,
        )
    names = set(static) | set(candidates.dynamic)
    return Prepared(
        source=graph,
        graph=float_graph,
        passes=passes,
        equalization=equalization,
        candidates=tuple(layer.name for layer in float_graph.layers if layer.name in names),
        left={**candidates.left, **idle},
        target=target,
        settings=settings,
        statistics=statistics,
        encodings=encodings,
        decisions=decisions,
        table=table,
    )


def decision_items(data: Data, settings: Settings) -> list[Item]:
    """Return the items that ranges and weights are decided on."""
    indices = choose_indices(len(data), settings.images, settings.seed)
    return load_items(data, spread(indices, DECISION_ITEMS), indices)


def _channel_ranges(graph: Graph, data: Data, indices: Sequence[int], progress: Progress) -> dict[str, FloatArray]:
    """Return the largest magnitude of each channel of what layers put out and of what others read: blob -> it."""
    wiring = wiring_of(graph)
    layers = [layer for layer in graph.layers if is_linear(layer)]
    read = [source_blob(layer.inputs[0], wiring) for layer in layers]
    blobs = tuple(dict.fromkeys([layer.outputs[0] for layer in layers] + read))
    statistics = collect_statistics(graph, blobs, data, indices, progress=progress) if blobs else {}
    return {
        blob: np.maximum(np.abs(found.channel_minimum), np.abs(found.channel_maximum))
        for blob, found in statistics.items()
    }


def _statistics(
    graph: Graph, candidates: Candidates, data: Data, indices: Sequence[int], progress: Progress
) -> dict[str, BlobStatistics]:
    sources = tuple(find_chains(graph, candidates.static).readers)
    return collect_statistics(graph, sources, data, indices, progress=progress) if sources else {}


def _idle(graph: Graph, candidates: Candidates, statistics: Mapping[str, BlobStatistics]) -> dict[str, str]:
    """Return the candidates that nothing reaches, with that as the reason why they stay in float."""
    sources = find_chains(graph, candidates.static).sources
    return {name: NO_DATA for name in candidates.static if statistics[sources[name]].absmax == 0}


def _decide(
    graph: Graph,
    names: Sequence[str],
    *,
    statistics: Mapping[str, BlobStatistics],
    items: Sequence[Item],
    target: Target,
    settings: Settings,
    table: CalibrationTable | None,
    progress: Progress,
) -> tuple[dict[str, Encoding], dict[str, Decision]]:
    """Return the encoding of each source blob, and weights and biases of each layer."""
    with progress.task("Sampling what layers read") as task:
        windows = float_windows(graph, names, items, settings.seed, task)
    chains = find_chains(graph, names)
    if table is not None:
        encodings = table_encodings(table, chains)
    else:
        with progress.task("Choosing ranges") as task:
            encodings = choose_encodings(
                graph, chains, statistics=statistics, windows=windows, settings=settings, task=task
            )
    scales = {name: found for name in names for found in weight_scales_of(table, graph.layer(name)).values()}
    with progress.task("Rounding weights") as task:
        decider = Decider(graph, encodings=encodings, windows=windows, target=target, settings=settings, scales=scales)
        return encodings, decider.run(names, items, task)


def _check_on(items: Sequence[Item]) -> Check:
    def check(graph: Graph) -> Mapping[str, FloatArray]:
        engine = Engine.from_graph(graph, options=ONE_THREAD)
        found: dict[str, FloatArray] = {}
        for index, item in enumerate(items):
            outputs = engine.run(graph.outputs, item.tensors)
            found |= {f"{name} of item {index}": value for name, value in outputs.items()}
        return found

    return check
