"""From a converted network and data to an int8 network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.engine import FLOAT_OPTIONS, Engine
from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes import Check, run_passes
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import Activation, activation_of, activation_params_of, is_linear, output_channels, weight_of
from edgedeploy.progress import SILENT, Progress, Task
from edgedeploy.quantize.assemble import INT8_OPTIONS, Prepared, assemble
from edgedeploy.quantize.blas_threads import one_blas_thread
from edgedeploy.quantize.calibration_data import choose_indices
from edgedeploy.quantize.calibrators import threshold
from edgedeploy.quantize.candidates import find_candidates
from edgedeploy.quantize.chains import Chains, can_shift, find_chains
from edgedeploy.quantize.choices import Encoding, Int8Model
from edgedeploy.quantize.decide import Decider, float_windows
from edgedeploy.quantize.equalize import Equalization
from edgedeploy.quantize.equalize_streams import equalize_streams
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.precheck import check_quantizable
from edgedeploy.quantize.ranges import Reader, encoding_for, search_threshold
from edgedeploy.quantize.settings import Calibrator, RangeRule, Settings, Target
from edgedeploy.quantize.statistics import BlobStatistics, collect_statistics
from edgedeploy.quantize.windows import Windows

__all__ = ["INT8_OPTIONS", "Prepared", "assemble", "prepare", "quantize"]

CHECK_ITEMS = 2
"""Items that passes are checked on."""
DECISION_ITEMS = 48
"""Items that ranges and weights are decided on; the statistics are of all."""
EQUALIZATION_ITEMS = 300


def quantize(
    graph: Graph, data: Data, *, target: Target, settings: Settings | None = None, progress: Progress = SILENT
) -> tuple[Prepared, Int8Model]:
    """Quantize a network, all candidates in int8. See ``prepare``."""
    prepared = prepare(graph, data, target=target, settings=settings, progress=progress)
    return prepared, assemble(prepared)


def prepare(
    graph: Graph, data: Data, *, target: Target, settings: Settings | None = None, progress: Progress = SILENT
) -> Prepared:
    """Decide everything about a network that int8 needs.

    Args:
        graph: Converted, with float32 weights.
        data: Calibration data.
        target: The board's CPU.
        settings: None: the defaults.

    Raises:
        NonFiniteModelError: Weights that are NaN or infinite.
        AlreadyQuantizedError: The network has int8 layers.
        CalibrationDataError: No data, or data on which the network's blobs are not finite.
    """
    with one_blas_thread():
        return _prepare(graph, data, target, settings or Settings(), progress)


def _prepare(graph: Graph, data: Data, target: Target, settings: Settings, progress: Progress) -> Prepared:
    check_quantizable(graph)
    indices = choose_indices(len(data), settings.images, settings.seed)
    check = _check_on([data.item(index) for index in _spread(indices, EQUALIZATION_ITEMS)[:CHECK_ITEMS]])
    simplified, passes = run_passes(graph, check)
    equalization = None
    if settings.equalize:
        equalization = _equalized(simplified, data, _spread(indices, EQUALIZATION_ITEMS), check, progress)
    prepared = equalization.graph if equalization else simplified
    candidates = find_candidates(prepared)
    sources = find_chains(prepared, candidates.static).sources
    statistics = collect_statistics(
        prepared, tuple(dict.fromkeys(sources.values())), data, indices, progress=progress
    )
    left = {name: _NO_DATA for name in candidates.static if statistics[sources[name]].absmax == 0}
    names = tuple(name for name in candidates.static if name not in left)
    chains = find_chains(prepared, names)
    items = [data.item(index) for index in _spread(indices, DECISION_ITEMS)]
    with progress.task("Sampling what layers read") as task:
        windows = float_windows(prepared, names, items, settings.seed, task)
    with progress.task("Choosing ranges") as task:
        encodings = _encodings(prepared, chains, statistics, windows, settings, task)
    with progress.task("Rounding weights") as task:
        decider = Decider(prepared, encodings=encodings, windows=windows, limits=no_limits, settings=settings)
        decisions = decider.run(names, items, task)
    return Prepared(
        source=graph,
        graph=prepared,
        passes=passes,
        equalization=equalization,
        candidates=names,
        left={**candidates.left, **left},
        target=target,
        settings=settings,
        statistics=statistics,
        encodings=encodings,
        decisions=decisions,
    )


_NO_DATA = "no data flows through it: its input is zero on all of the data"


def no_limits(layer, codes, windows, encoding):
    return np.full(len(codes), 8), 0


def _check_on(items: Sequence[Item]) -> Check:
    def check(graph: Graph) -> Mapping[str, FloatArray]:
        engine = Engine.from_graph(graph, options=FLOAT_OPTIONS)
        found: dict[str, FloatArray] = {}
        for index, item in enumerate(items):
            outputs = engine.run(graph.outputs, item.tensors)
            found |= {f"{name} of item {index}": value for name, value in outputs.items()}
        return found

    return check


def _spread(indices: Sequence[int], count: int) -> list[int]:
    """Return at most ``count`` of the indices, evenly spread."""
    step = max(1.0, len(indices) / count)
    return [indices[int(place * step)] for place in range(min(count, len(indices)))]


def _equalized(graph: Graph, data: Data, indices: Sequence[int], check: Check, progress: Progress) -> Equalization:
    """Even out ranges, as a part of the data shows them."""
    makers = [layer.outputs[0] for layer in graph.layers if is_linear(layer)]
    statistics = collect_statistics(graph, makers, data, indices, progress=progress)
    ranges = {
        blob: np.maximum(np.abs(found.channel_minimum), np.abs(found.channel_maximum))
        for blob, found in statistics.items()
    }
    return equalize_streams(graph, ranges, check=check)


def _encodings(
    graph: Graph,
    chains: Chains,
    statistics: Mapping[str, BlobStatistics],
    windows: Mapping[str, Windows],
    settings: Settings,
    task: Task,
) -> dict[str, Encoding]:
    producers = wiring_of(graph).producers
    encodings: dict[str, Encoding] = {}
    for count, (source, readers) in enumerate(chains.readers.items()):
        task.update(count, len(chains.readers), source)
        maker = producers[source]
        shifted = (
            settings.ranges is RangeRule.SHIFTED and source in chains.handed_on and can_shift(maker)
        )
        if settings.calibrator is Calibrator.MSE:
            layers = [graph.layer(name) for name in readers]
            found = search_threshold(
                statistics[source],
                [
                    Reader(windows=windows[layer.name], items=np.arange(len(windows[layer.name]))*min(DECISION_ITEMS,300)//len(windows[layer.name]), weight=weight_of(layer).reshape(output_channels(layer), -1))
                    for layer in layers
                ],
                shifted=shifted,
                limit=_upper_bound(maker),
            )
        else:
            found = threshold(statistics[source], settings.calibrator, settings.percentile)
        encodings[source] = encoding_for(found, shifted=shifted)
    return encodings


def _upper_bound(maker) -> float:
    clips = maker.name and activation_of(maker) is Activation.CLIP if maker.type in ("Convolution", "ConvolutionDepthWise", "InnerProduct") else False
    return float(activation_params_of(maker)[1]) if clips else float("inf")
