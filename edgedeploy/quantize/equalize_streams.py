"""Evens out the channels of every stream by what calibration saw in it, so that one scale a blob serves all channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes import Check, largest_difference
from edgedeploy.graph.passes.linear import Values, input_ranges, is_depthwise, scale_inputs, scale_outputs
from edgedeploy.quantize.equalize import DEFAULT_TOLERANCE, Equalization, EqualizedPair, SkippedPair
from edgedeploy.quantize.streams import Stream, find_streams, upper_bound

import os; STRENGTH = float(os.environ.get("STRENGTH","0.75"))
"""How much of the difference between a blob's channels goes into the weights that read them; 1 is all of it."""
SMALLEST_SHARE = 2.0**-10
"""A channel's range counts as at least this share of its blob's: below one int8 step nothing is gained."""
import os; MARGIN = float(os.environ.get("MARGIN","1.25"))
"""Behind ReLU6 a channel may grow by this much over what calibration saw before it meets the rescaled bound."""


def equalize_streams(
    graph: Graph,
    ranges: Mapping[str, FloatArray],
    *,
    check: Check | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Equalization:
    """Rescale every stream that allows it.

    Behind ReLU6 channels only grow, at most until they meet the bound of 6: the network's outputs stay the same as long
    as no channel passes ``MARGIN`` times what calibration saw in it.

    Args:
        graph: In float, activations fused.
        ranges: Blob -> largest magnitude of each channel, float32 ``(channels,)``: outputs of layers with weights.
        check: Runs a graph on inputs that the ranges were taken from.
        tolerance: Largest difference of the outputs; beyond it everything is undone.
    """
    layers = {layer.name: layer for layer in graph.layers}
    pairs: list[EqualizedPair] = []
    skipped: list[SkippedPair] = []
    for stream in find_streams(graph):
        obstacle = stream.obstacle or _unknown(stream, layers, ranges)
        if obstacle:
            skipped += [SkippedPair(first=name, reader=stream.readers[0], reason=obstacle) for name in stream.makers]
            continue
        factor = _factor(stream, layers, ranges)
        for name in stream.makers:
            layers[name] = scale_outputs(layers[name], 1 / factor, np.zeros(1))
        for name in stream.readers:
            layers[name] = scale_inputs(layers[name], factor)
        pairs += [_pair(maker, reader, factor) for maker in stream.makers for reader in stream.readers]
    changed = replace(graph, layers=tuple(layers[layer.name] for layer in graph.layers)) if pairs else graph
    difference = largest_difference(check(changed), check(graph)) if check is not None and pairs else None
    kept = difference is None or difference <= tolerance
    return Equalization(
        graph=changed if kept else graph,
        pairs=tuple(pairs) if kept else (),
        skipped=tuple(skipped),
        rounds=1,
        max_difference=difference,
        kept=kept,
    )


def _pair(maker: str, reader: str, factor: Values) -> EqualizedPair:
    return EqualizedPair(
        first=maker,
        second=reader,
        channels=factor.size,
        scale_min=float(factor.min()),
        scale_max=float(factor.max()),
    )


def _unknown(stream: Stream, layers: Mapping[str, Layer], ranges: Mapping[str, FloatArray]) -> str:
    missing = [name for name in stream.makers if layers[name].outputs[0] not in ranges]
    return f"nothing is known of what {missing[0]} puts out" if missing else ""


def _factor(stream: Stream, layers: Mapping[str, Layer], ranges: Mapping[str, FloatArray]) -> Values:
    """Return what each channel is divided by in the stream's blobs."""
    seen = np.max([ranges[blob] for blob in stream.blobs if blob in ranges], axis=0).astype(np.float64)
    largest = float(seen.max(initial=0.0))
    if largest == 0:
        return np.ones(stream.channels)
    floored = np.maximum(seen, largest * SMALLEST_SHARE)
    wanted = floored**STRENGTH * _read_range(stream, layers) ** (STRENGTH - 1)
    if all(is_depthwise(layers[name]) for name in stream.readers):
        wanted = floored  # each channel's weights have a scale of their own
    alive = seen > 0
    wanted = np.where(alive, wanted, wanted[alive].max())
    return _bounded(wanted, stream, layers, ranges)


def _read_range(stream: Stream, layers: Mapping[str, Layer]) -> Values:
    """Return the largest weight on each channel over the readers, each reader's brought to a mean of one."""
    found = []
    for name in stream.readers:
        largest = input_ranges(layers[name])
        known = np.where(largest > 0, largest, largest[largest > 0].min(initial=1.0))
        found.append(known / np.exp(np.log(known).mean()))
    return np.asarray(np.max(found, axis=0))


def _bounded(
    wanted: Values, stream: Stream, layers: Mapping[str, Layer], ranges: Mapping[str, FloatArray]
) -> Values:
    """Return factors around one; behind ReLU6 at most one, and none that pushes a channel past the bound."""
    bounds = [(layers[name], upper_bound(layers[name])) for name in stream.makers]
    bounds = [(maker, bound) for maker, bound in bounds if np.isfinite(bound)]
    if not bounds:
        return np.asarray(wanted / np.exp(np.log(wanted).mean()))
    FL=float(os.environ.get("FLOOR","0.5"))
    needed = np.max([np.maximum(MARGIN * ranges[maker.outputs[0]], FL*bound) / bound for maker, bound in bounds], axis=0)
    return np.asarray(np.minimum(np.maximum(wanted / wanted.max(), needed), 1.0))
