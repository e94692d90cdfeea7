"""Cross-layer equalisation: evens out the channels of every stream, so that one scale a blob serves all of them.

``relu(s * x) = s * relu(x)`` for positive ``s``: what the makers of a stream are divided by, channel by channel, its
readers are multiplied with, and float outputs stay the same. Source: Nagel et al., Data-Free Quantization Through
Weight Equalization and Bias Correction, 2019, section 4.1.

The engine has a weight scale for every output channel, so the range of a channel's weights costs nothing by itself;
what costs is a blob whose channels differ, because it has one scale. So blobs are evened out, by what calibration saw
in them, as far as the weights that read them allow it (Xiao et al., SmoothQuant, 2023, equation 4).

Behind ReLU6 small channels are only made larger, and never so large that its bound comes within their reach, which is
guessed from the spread of the numbers in front of it: a channel that calibration hardly saw may be large on other data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes import Check, largest_difference
from edgedeploy.graph.passes.linear import Values, input_ranges, is_depthwise, scale_inputs, scale_outputs
from edgedeploy.quantize.streams import Stream, find_streams

DEFAULT_TOLERANCE = 1e-4
STRENGTH = 0.5
"""How much of the difference between a blob's channels goes into the weights that read them; 1 is all of it."""
CLIPPED_STRENGTH = 0.7
"""The same behind ReLU6, though depthwise layers, which read it, mind nothing: what is left is room for data that pass
what calibration saw."""
ROOM = 2.0
"""ReLU6's bound stays at least so many times above the largest value that calibration saw of a channel that grows."""
SMALLEST_SHARE = 2.0**-10
"""A channel's range counts as at least this share of its blob's: below one int8 step nothing is gained."""


@dataclass(frozen=True, kw_only=True)
class EqualizedPair:
    """A maker and a reader of a stream whose channels were rescaled.

    Args:
        first: The layer whose output channels were divided.
        second: The layer whose input channels were multiplied.
        channels: How many there are.
        scale_min: Smallest factor.
        scale_max: Largest.
    """

    first: str
    second: str
    channels: int
    scale_min: float
    scale_max: float


@dataclass(frozen=True, kw_only=True)
class SkippedPair:
    """A layer whose output cannot be rescaled, with the first layer that reads it and why."""

    first: str
    reader: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Equalization:
    """What was done.

    Args:
        graph: The equalised one; the one given where ``kept`` is False.
        max_difference: Of the outputs, relative to each one's largest magnitude; None: not checked.
        kept: False: the outputs differed by more than the tolerance, and all was undone.
    """

    graph: Graph
    pairs: tuple[EqualizedPair, ...]
    skipped: tuple[SkippedPair, ...]
    max_difference: float | None
    kept: bool = True


def equalize(
    graph: Graph,
    ranges: Mapping[str, FloatArray],
    *,
    reaches: Mapping[str, Values] | None = None,
    check: Check | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Equalization:
    """Rescale every stream that allows it.

    Args:
        graph: In float, activations fused where they can be, as the passes leave it.
        ranges: Blob -> largest magnitude of each channel over the calibration data, float32 ``(channels,)``: of what
            layers with weights put out, and of what they read, such as sums, where that is another blob.
        reaches: Maker of a stream behind ReLU6 -> how large each channel might become without it, float64
            ``(channels,)``: see ``reach.py``. Streams of which nothing is said are left alone.
        check: Runs a graph on real inputs; None trusts the arithmetic.
        tolerance: Largest difference of the outputs; beyond it everything is undone.

    Returns:
        The graph and the record, for example with ``EqualizedPair(first="conv_1", second="convdw_1", channels=32,
        scale_min=0.2, scale_max=5.1)``.
    """
    layers = {layer.name: layer for layer in graph.layers}
    reaches = reaches or {}
    pairs: list[EqualizedPair] = []
    skipped: list[SkippedPair] = []
    for stream in find_streams(graph):
        clipped = math.isfinite(stream.bound)
        obstacle = stream.obstacle or _unknown(stream, layers, ranges, reaches if clipped else None)
        if obstacle:
            skipped += [SkippedPair(first=name, reader=stream.readers[0], reason=obstacle) for name in stream.makers]
            continue
        seen = _seen(stream, ranges)
        factor = _clipped_factor(stream, seen, reaches) if clipped else _factor(stream, layers, seen)
        _rescale(stream, factor, layers)
        pairs += [_pair(maker, reader, factor) for maker in stream.makers for reader in stream.readers]
    changed = replace(graph, layers=tuple(layers[layer.name] for layer in graph.layers)) if pairs else graph
    difference = largest_difference(check(changed), check(graph)) if check is not None and pairs else None
    kept = difference is None or difference <= tolerance
    return Equalization(
        graph=changed if kept else graph,
        pairs=tuple(pairs) if kept else (),
        skipped=tuple(skipped),
        max_difference=difference,
        kept=kept,
    )


def _rescale(stream: Stream, factor: Values, layers: dict[str, Layer]) -> None:
    for name in stream.makers:
        layers[name] = scale_outputs(layers[name], 1 / factor, np.zeros(1))
    for name in stream.readers:
        layers[name] = scale_inputs(layers[name], factor)


def _pair(maker: str, reader: str, factor: Values) -> EqualizedPair:
    return EqualizedPair(
        first=maker,
        second=reader,
        channels=factor.size,
        scale_min=float(factor.min()),
        scale_max=float(factor.max()),
    )


def _unknown(
    stream: Stream,
    layers: Mapping[str, Layer],
    ranges: Mapping[str, FloatArray],
    reaches: Mapping[str, Values] | None,
) -> str:
    missing = [name for name in stream.makers if layers[name].outputs[0] not in ranges]
    if reaches is not None:
        missing += [name for name in stream.makers if name not in reaches]
    return f"nothing is known of what {missing[0]} puts out" if missing else ""


def _seen(stream: Stream, ranges: Mapping[str, FloatArray]) -> Values:
    """Return the largest magnitude of each channel over the stream's blobs."""
    seen = np.max([ranges[blob] for blob in stream.blobs if blob in ranges], axis=0)
    return np.asarray(seen, dtype=np.float64)


def _clipped_factor(stream: Stream, seen: Values, reaches: Mapping[str, Values]) -> Values:
    """Return what each channel of blobs behind ReLU6 is divided by: at most one."""
    reach = np.maximum(np.max([reaches[name] for name in stream.makers], axis=0), ROOM * seen)
    largest = np.maximum(seen, reach / ROOM)
    if not largest.any():
        return np.ones(stream.channels)
    even = np.maximum(largest / largest.max(), SMALLEST_SHARE) ** CLIPPED_STRENGTH
    return np.asarray(np.where(largest > 0, np.clip(reach / stream.bound, even, 1.0), 1.0))


def _factor(stream: Stream, layers: Mapping[str, Layer], seen: Values) -> Values:
    """Return what each channel of the stream's blobs is divided by: around one."""
    largest = float(seen.max(initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return np.ones(stream.channels)
    floored = np.maximum(seen, largest * SMALLEST_SHARE)
    alive = seen > 0
    read = _read_range(stream, layers)
    if all(is_depthwise(layers[name]) for name in stream.readers):
        wanted = floored  # each channel's weights have a scale of their own
    else:
        wanted = floored**STRENGTH * read ** (STRENGTH - 1)
    centred = wanted / np.exp(np.log(wanted[alive]).mean())
    # Where nothing flows, the reader's weights are brought to the size of the others: they must not set the scale.
    usual = np.median((read * centred)[alive])
    return np.asarray(np.where(alive, centred, usual / read))


def _read_range(stream: Stream, layers: Mapping[str, Layer]) -> Values:
    """Return the largest weight on each channel over the readers, each reader's brought to a mean of one."""
    found = []
    for name in stream.readers:
        largest = input_ranges(layers[name])
        known = np.where(largest > 0, largest, largest[largest > 0].min(initial=1.0))
        found.append(known / np.exp(np.log(known).mean()))
    return np.asarray(np.max(found, axis=0))
