"""Each layer's error: its own in int8, fed with the float network's numbers, and the one accumulated up to it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.graph.model import Graph, Layer, Param
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.storage import Storage, make_weight
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.assemble import INT8_OPTIONS
from edgedeploy.quantize.chains import source_blob
from edgedeploy.quantize.choices import Encoding, Int8Model
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.items import Data

MOST_THREADS = 8
"""Items that are worked on at once."""
_CODES = "_codes"


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """A layer's error over some items.

    Args:
        own_sqnr_db: Of its outputs, where its inputs are the float network's; a layer in float has no error of its own.
        own_cosine: The same as a cosine.
        accumulated_sqnr_db: Of its outputs within the int8 network: its own error and that of all layers before it.
        accumulated_cosine: The same as a cosine.
        clipping: Share of its float input's values that lie outside its range, 0 to 1; within half a step of the end
            they are rounded, not clipped. 0 where the engine chooses the range anew for each inference.
    """

    name: str
    own_sqnr_db: float
    own_cosine: float
    accumulated_sqnr_db: float
    accumulated_cosine: float
    clipping: float


@dataclass(frozen=True)
class _Probe:
    """One layer and where its blobs are: in the float network, alone, and in the int8 network.

    Args:
        fed: What it is fed with when alone: input blob of the isolated network -> blob of the float network, and how
            that is encoded first; None: as floats. Nothing: it is in float, and not run alone.
        offer: Of the floats that it reads, where they are counted from the middle of its range; None: plain numbers.
        output: Its first output's name in both networks.
        alone: The name of the same in the isolated network.
        encoding: Of the output; None: floats.
        offered: Of float outputs that are counted from the middle of this range; None: plain numbers.
        range: Of its first input.
    """

    name: str
    fed: Mapping[str, tuple[str, Encoding | None]]
    offer: Encoding | None
    output: str
    alone: str
    encoding: Encoding | None
    offered: Encoding | None
    range: Encoding | None

    @property
    def blobs(self) -> tuple[str, ...]:
        """What is needed of the float network."""
        return (*(source for source, _ in self.fed.values()), self.output)


@dataclass(frozen=True, kw_only=True)
class _Engines:
    """The float network, the int8 one, and one of all int8 layers side by side."""

    float_net: Engine
    int8_net: Engine
    alone: Engine


@dataclass(frozen=True)
class _Compared:
    """One layer on one item: its output in the float network and in the int8 one; in int8 also alone, with what it
    reads there first, as floats."""

    expected: FloatArray
    found: FloatArray
    alone: FloatArray | None = None
    read: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """One layer over one item, or over several."""

    own: ErrorSums
    accumulated: ErrorSums
    clipped: int
    values: int


def layer_errors(
    graph: Graph,
    model: Int8Model,
    data: Data,
    indices: Sequence[int],
    *,
    options: EngineOptions = INT8_OPTIONS,
    progress: Progress = SILENT,
) -> tuple[LayerError, ...]:
    """Measure every layer with weights. Memory is that of the few blobs that wait to be compared.

    Args:
        graph: The float network that the int8 one was made of, with the same blob names.
        indices: Of the items; a few suffice.
        options: For the int8 network.

    Returns:
        One a layer in execution order, for example ``LayerError(name="conv_3", own_sqnr_db=38.1, own_cosine=0.9999,
        accumulated_sqnr_db=27.4, accumulated_cosine=0.9991, clipping=0.0002)``.
    """
    names = [choice.name for choice in model.layers]
    probes = [_probe(graph, model, name, number) for number, name in enumerate(names)]
    if not probes:
        return ()
    one_thread = replace(options, threads=1)
    engines = _Engines(
        float_net=Engine.from_graph(graph, options=one_thread),
        int8_net=Engine.from_graph(model.graph, options=one_thread),
        alone=Engine.from_graph(_isolated(model, probes), options=one_thread),
    )

    def measure(index: int) -> dict[str, _Sums]:
        compared = _compared(graph, engines, probes, data.item(index).tensors)
        return {probe.name: _sums(probe, found) for probe, found in compared}

    items: list[dict[str, _Sums]] = []
    # Items side by side, on a core each: the engine lets other threads work meanwhile.
    with progress.task("Measuring each layer's error") as task, ThreadPoolExecutor(_threads()) as pool:
        for found in pool.map(measure, indices):
            items.append(found)
            task.update(len(items), len(indices))
    return tuple(_result(name, [item[name] for item in items]) for name in names)


def _threads() -> int:
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def _compared(
    graph: Graph, engines: _Engines, probes: Sequence[_Probe], tensors: Mapping[str, FloatArray]
) -> Iterator[tuple[_Probe, _Compared]]:
    """Run one item through all three; yield what there is to compare, layer by layer in execution order."""
    by_output = {probe.output: probe for probe in probes}
    waiting = Counter(blob for probe in probes for blob in probe.blobs)
    # The engine frees what it has used: blobs have to be taken in the order in which they are made.
    float_net = engines.float_net.extractor(tensors, light=True)
    int8_net = engines.int8_net.extractor(tensors, light=True)
    expected: dict[str, FloatArray] = {}
    for blob in graph.blobs:
        if blob in waiting:
            expected[blob] = Engine.extract(float_net, blob)
        if blob not in by_output:
            continue
        probe = by_output[blob]
        found = Engine.extract(int8_net, blob)
        if probe.fed:
            fed = {name: _fed(probe, expected[source], encoding) for name, (source, encoding) in probe.fed.items()}
            alone = engines.alone.run([probe.alone], fed)[probe.alone]
            yield probe, _Compared(expected[blob], found, alone, expected[next(iter(probe.fed.values()))[0]])
        else:
            yield probe, _Compared(expected[blob], found)
        waiting.subtract(probe.blobs)
        expected = {name: values for name, values in expected.items() if waiting[name] > 0}


def _probe(graph: Graph, model: Int8Model, name: str, number: int) -> _Probe:
    layer, written, choice = graph.layer(name), model.graph.layer(name), model.choice(name)
    wiring = wiring_of(graph)
    read_alone = zip(layer.inputs, written.inputs, strict=True) if choice.int8 else ()
    fed = {
        f"fed_{number}_{place}": (source_blob(source, wiring), model.encodings.get(read))
        for place, (source, read) in enumerate(read_alone)
    }
    output = written.outputs[0]
    return _Probe(
        name=name,
        fed=fed,
        offer=model.offers.get(written.inputs[0]),
        output=output,
        alone=f"out_{number}",
        encoding=model.encodings.get(output, choice.output),
        offered=None if choice.int8 else model.offers.get(output),
        range=choice.input,
    )


def _isolated(model: Int8Model, probes: Sequence[_Probe]) -> Graph:
    """Return a network of all the int8 layers side by side, each with inputs of its own.

    The engine takes floats: codes are fed as whole numbers and pass a Quantize layer with the scale 1.
    """
    # The engine refuses a network without layers.
    layers = [Layer(type="Input", name="unused", outputs=("unused",))]
    for probe in (probe for probe in probes if probe.fed):
        read: list[str] = []
        for blob, (_, encoding) in probe.fed.items():
            layers.append(Layer(type="Input", name=blob, outputs=(blob,)))
            if encoding is not None:
                layers.append(_quantize(blob))
            read.append(blob if encoding is None else blob + _CODES)
        layer = model.graph.layer(probe.name)
        outputs = (probe.alone, *(f"{probe.alone}_{place}" for place in range(1, len(layer.outputs))))
        # Named anew: its own name could be one of those made here.
        layers.append(replace(layer, name=f"layer_{probe.alone}", inputs=tuple(read), outputs=outputs))
    return Graph(layers=tuple(layers))


def _quantize(blob: str) -> Layer:
    scale = make_weight("scale", np.ones(1, np.float32), Storage.UNTAGGED)
    return Layer(
        type="Quantize",
        name=blob + _CODES,
        inputs=(blob,),
        outputs=(blob + _CODES,),
        params=(Param(key=0, value=1),),
        weights=(scale,),
    )


def _fed(probe: _Probe, numbers: FloatArray, encoding: Encoding | None) -> FloatArray:
    if encoding is not None:
        return encoding.encode(numbers).astype(np.float32)[np.newaxis]
    return (numbers if probe.offer is None else probe.offer.moved(numbers))[np.newaxis]


def _sums(probe: _Probe, compared: _Compared) -> _Sums:
    accumulated = ErrorSums.of(compared.expected, _numbers(compared.found, probe))
    if compared.alone is None or compared.read is None:
        return _Sums(own=ErrorSums(), accumulated=accumulated, clipped=0, values=0)
    return _Sums(
        own=ErrorSums.of(compared.expected, _numbers(compared.alone, probe)),
        accumulated=accumulated,
        clipped=_outside(compared.read, probe.range) if probe.range is not None else 0,
        values=compared.read.size,
    )


def _numbers(values: FloatArray, probe: _Probe) -> FloatArray:
    """Return what a layer's output stands for."""
    if probe.encoding is not None:
        return probe.encoding.decode(values)
    return values if probe.offered is None else probe.offered.from_middle(values)


def _outside(numbers: NDArray[np.float32], encoding: Encoding) -> int:
    half_step = 0.5 / encoding.scale
    return int(np.count_nonzero((numbers < encoding.lowest - half_step) | (numbers > encoding.highest + half_step)))


def _result(name: str, items: Sequence[_Sums]) -> LayerError:
    own = ErrorSums.total(item.own for item in items)
    accumulated = ErrorSums.total(item.accumulated for item in items)
    return LayerError(
        name=name,
        own_sqnr_db=own.sqnr_db,
        own_cosine=own.cosine,
        accumulated_sqnr_db=accumulated.sqnr_db,
        accumulated_cosine=accumulated.cosine,
        clipping=sum(item.clipped for item in items) / max(1, sum(item.values for item in items)),
    )
