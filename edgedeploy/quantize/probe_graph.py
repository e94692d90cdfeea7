"""Builds the probes into a network: layers that take the range of its blobs while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.model import Graph, Layer, Param, ParamValue
from edgedeploy.quantize.signs import keeps_finite, never_negative

VECTOR, MATRIX, IMAGE = 1, 2, 3
"""Dimensions of a blob."""

BLOBS_A_PART = 4
"""The engine computes what is asked for and no more: probes asked for late find their blob out of the cache."""

_SIZE_KEYS = {VECTOR: (0,), MATRIX: (1, 0), IMAGE: (2, 1, 0)}
"""Of an Input layer, in the order of the array's axes."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a blob's values lie in the vector of ranges.

    Args:
        maximum: Of each channel.
        minimum: Of each channel; None: nothing is negative.
        negated: Whether what lies there for the minimum is the maximum of the negated blob.
        all: From the first to the last value that tells something about the blob.
    """

    maximum: slice
    minimum: slice | None
    negated: bool
    all: slice


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A network with probes.

    Args:
        graph: The network.
        kinds: Blob -> what of it lies in the vector of ranges, in order.
        parts: The last of some blobs in a row -> the blob that is their part of the vector of ranges.
    """

    graph: Graph
    kinds: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, str]

    def places(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Place]:
        """Return where each blob's values lie.

        Args:
            shapes: Of the blobs, without batch.
        """
        places: dict[str, Place] = {}
        start = 0
        for blob, kinds in self.kinds.items():
            channels = shapes[blob][0]
            parts = {kind: slice(start + i * channels, start + (i + 1) * channels) for i, kind in enumerate(kinds)}
            everything = slice(start, start + len(kinds) * channels)
            start = everything.stop
            if "values" in parts:
                both = parts["values"]
                places[blob] = Place(maximum=both, minimum=both, negated=False, all=everything)
            else:
                negation = parts.get("negation")
                places[blob] = Place(maximum=parts["maximum"], minimum=negation, negated=True, all=everything)
        return places


def with_probes(graph: Graph, ranks: Mapping[str, int]) -> Probed:
    """Return the network with a probe on every blob that can have one.

    Args:
        ranks: Blob -> its dimensions, of the blobs wanted. Vectors and images can have one.
    """
    positive = never_negative(graph)
    builder = _Builder()
    for layer in graph.layers:
        builder.add(layer)
        for blob in layer.outputs:
            kinds = _kinds(ranks.get(blob, 0), signed=blob not in positive, finite=keeps_finite(layer))
            if kinds:
                builder.probe(blob, kinds)
    builder.end_part()
    return Probed(graph=replace(graph, layers=tuple(builder.layers)), kinds=builder.kinds, parts=builder.parts)


class _Builder:
    """Layers with probes so far."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.kinds: dict[str, tuple[str, ...]] = {}
        self.parts: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._last = ""
        self._open: list[str] = []
        self._blobs = 0

    def add(self, layer: Layer) -> None:
        """Add a layer of the network; it reads what goes on behind the probes."""
        self.layers.append(replace(layer, inputs=tuple(self._renamed.get(blob, blob) for blob in layer.inputs)))

    def probe(self, blob: str, kinds: tuple[str, ...]) -> None:
        """Add the probe of a blob that was just made."""
        prefix = f"probe.{len(self.kinds)}"
        taps = tuple(f"{prefix}.{kind}.tap" for kind in kinds)
        self._renamed[blob] = f"{prefix}.on"
        self.layers.append(_layer("Split", f"{prefix}.split", (blob,), (self._renamed[blob], *taps)))
        for kind, tap in zip(kinds, taps, strict=True):
            made = tuple(_probe(kind, tap, f"{prefix}.{kind}"))
            self.layers += made
            self._open.append(made[-1].outputs[0] if made else tap)
        self.kinds[blob] = kinds
        self._last = blob
        self._blobs += 1
        if self._blobs == BLOBS_A_PART:
            self.end_part()

    def end_part(self) -> None:
        """Bring the open ends of probes together."""
        if not self._open:
            return
        part = f"probe.part.{len(self.parts)}"
        self.layers.append(_layer("Concat", part, tuple(self._open), (part,)))
        self.parts[self._last] = part
        self._open, self._blobs = [], 0


def _kinds(rank: int, *, signed: bool, finite: bool) -> tuple[str, ...]:
    if rank == VECTOR:
        return ("values",)
    if rank != IMAGE:
        return ()
    return ("maximum", *(("negation",) if signed else ()), *(() if finite else ("mean",)))


def _probe(kind: str, source: str, name: str) -> Iterator[Layer]:
    if kind == "negation":
        yield _layer("UnaryOp", f"{name}.negated", (source,), (f"{name}.negated",), {0: 1})
        source = f"{name}.negated"
    if kind != "values":
        yield _layer("Pooling", name, (source,), (name,), {0: int(kind == "mean"), 4: 1})


def _layer(
    kind: str,
    name: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    params: Mapping[int, ParamValue] | None = None,
) -> Layer:
    items = tuple(Param(key=key, value=value) for key, value in (params or {}).items())
    return Layer(type=kind, name=name, inputs=inputs, outputs=outputs, params=items)


def with_input_sizes(graph: Graph, tensors: Mapping[str, FloatArray]) -> Graph:
    """The same graph, its Input layers saying how large they are, so that ranks can be derived."""

    def sized(layer: Layer) -> Layer:
        if layer.type != "Input" or layer.outputs[0] not in tensors:
            return layer
        shape = tensors[layer.outputs[0]].shape[1:]
        keys = _SIZE_KEYS.get(len(shape), ())
        return replace(layer, params=tuple(Param(key=key, value=size) for key, size in zip(keys, shape, strict=False)))

    return replace(graph, layers=tuple(sized(layer) for layer in graph.layers))
