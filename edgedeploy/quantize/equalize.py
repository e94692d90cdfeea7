"""Cross-layer equalisation: moves range from channel to channel of neighbouring layers, float outputs staying the same.

``relu(s * x) = s * relu(x)`` for positive ``s``: what one layer's output channel is divided by, the next layer's input
channel is multiplied with. Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
Correction, 2019, section 4.1; for chains through depthwise layers the same with the n-th root of n ranges.

The engine has a weight scale for every output channel, so the range of a channel's weights costs nothing by itself
there; what costs is a blob whose channels differ, because it has one scale. With the blobs' ranges given they are what
is evened out (Xiao et al., SmoothQuant, 2023, equation 4, with one half as the strength).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes import Check, largest_difference
from edgedeploy.graph.passes.affine import number
from edgedeploy.graph.passes.edits import Wiring, wiring_of
from edgedeploy.graph.passes.linear import (
    Activation,
    Values,
    activation_of,
    activation_params_of,
    bias_of,
    input_channels,
    input_ranges,
    is_depthwise,
    is_linear,
    output_channels,
    output_ranges,
    pad_value_of,
    scale_inputs,
    scale_outputs,
    weight_of,
    with_activation,
)

DEFAULT_TOLERANCE = 1e-4
DEFAULT_ROUNDS = 20

_CONVERGED = 0.01
"""A round that changes no channel by more than this (natural logarithm) is the last."""
_ALL_BIAS = 2.0**-10
"""A channel whose weights are smaller than this share of its bias is a constant: its weights' range says nothing."""
_SMALLEST_SHARE = 2.0**-10
"""A channel's range counts as at least this share of its blob's: below one int8 step nothing is gained."""
_LARGEST_FACTOR = 2.0**16
"""No channel is changed by more in one round, so that nothing overflows."""

_HOMOGENEOUS_TYPES = frozenset({"ReLU", "PReLU", "Dropout", "Pooling", "Interp", "Flatten"})
"""Layers that work channel by channel and hand a positive factor on."""
_HOMOGENEOUS = frozenset({Activation.NONE, Activation.RELU, Activation.LEAKY_RELU})


@dataclass(frozen=True, kw_only=True)
class EqualizedPair:
    """Two neighbouring layers whose common channels were rescaled.

    Args:
        first: The layer whose output channels were divided.
        second: The layer whose input channels were multiplied.
        channels: How many there are.
        scale_min: Smallest factor over all rounds.
        scale_max: Largest.
    """

    first: str
    second: str
    channels: int
    scale_min: float
    scale_max: float


@dataclass(frozen=True, kw_only=True)
class SkippedPair:
    """A layer whose output cannot be rescaled, with the layer that reads it and why."""

    first: str
    reader: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Equalization:
    """What was done.

    Args:
        graph: The equalised one; the one given where ``kept`` is False.
        rounds: Until nothing changed much any more, or the limit.
        max_difference: Of the outputs, relative to each one's largest magnitude; None: not checked. With ReLU6 replaced
            it is measured against the graph with ReLU.
        relu6_replaced: Layers whose ReLU6 became ReLU.
        relu6_difference: What that alone changed, measured as ``max_difference``; None: unknown, or nothing replaced.
        kept: False: the outputs differed by more than the tolerance, and all was undone.
    """

    graph: Graph
    pairs: tuple[EqualizedPair, ...]
    skipped: tuple[SkippedPair, ...]
    rounds: int
    max_difference: float | None
    relu6_replaced: tuple[str, ...] = ()
    relu6_difference: float | None = None
    kept: bool = True


@dataclass(frozen=True)
class _Link:
    """Two neighbours: names of the layers, and the blob that the first one makes."""

    first: str
    second: str
    blob: str


def equalize(
    graph: Graph,
    *,
    check: Check | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    ranges: Mapping[str, FloatArray] | None = None,
    replace_relu6: bool = False,
    max_rounds: int = DEFAULT_ROUNDS,
) -> Equalization:
    """Equalise every chain of convolutions and inner products that allows it.

    Args:
        graph: With float weights; activations fused where they can be, as the passes leave it.
        check: Runs a graph on real inputs; None trusts the arithmetic.
        tolerance: Largest ``Equalization.max_difference``; more and nothing is changed.
        ranges: Blob -> largest magnitude of each channel over the calibration data, float32 ``(channels,)``. A blob
            without is evened out by the weights around it alone.
        replace_relu6: Whether a ReLU6 in the way may become ReLU, which changes float outputs where values pass 6.
        max_rounds: Limit of sweeps over all chains.

    Returns:
        The graph and the record, for example with ``EqualizedPair(first="conv_1", second="convdw_1", channels=32,
        scale_min=0.2, scale_max=5.1)``.
    """
    base, replaced = _without_relu6(graph) if replace_relu6 else (graph, ())
    links, skipped = _links(base)
    changed, factors, rounds = _settled(base, _chains(links, base), _as_values(ranges), max_rounds)
    difference, relu6_difference = None, None
    if check is not None and changed is not graph:
        outputs = check(base)
        difference = largest_difference(check(changed), outputs)
        relu6_difference = largest_difference(outputs, check(graph)) if replaced else None
    kept = difference is None or difference <= tolerance
    pairs = tuple(
        EqualizedPair(
            first=link.first,
            second=link.second,
            channels=factors[link].size,
            scale_min=float(factors[link].min()),
            scale_max=float(factors[link].max()),
        )
        for link in links
    )
    return Equalization(
        graph=changed if kept else graph,
        pairs=pairs if kept else (),
        skipped=skipped,
        rounds=rounds,
        max_difference=difference,
        relu6_replaced=replaced if kept else (),
        relu6_difference=relu6_difference,
        kept=kept,
    )


def _as_values(ranges: Mapping[str, FloatArray] | None) -> dict[str, Values]:
    return {blob: np.abs(np.asarray(item, dtype=np.float64)).reshape(-1) for blob, item in (ranges or {}).items()}


# --- which layers ----------------------------------------------------------------------------------------------------


def _links(graph: Graph) -> tuple[list[_Link], tuple[SkippedPair, ...]]:
    wiring = wiring_of(graph)
    links: list[_Link] = []
    skipped: list[SkippedPair] = []
    for layer in graph.layers:
        if not is_linear(layer) or layer.outputs[0] not in wiring.readers:
            continue
        reader, reason = _reader(layer, wiring)
        if reason is None and reader is not None:
            links.append(_Link(layer.name, reader.name, layer.outputs[0]))
        else:
            name = reader.name if reader is not None else None
            skipped.append(SkippedPair(first=layer.name, reader=name, reason=reason or "its output is the network's"))
    return links, tuple(skipped)


def _reader(layer: Layer, wiring: Wiring) -> tuple[Layer | None, str | None]:
    """Return what reads a layer's output, and why the two cannot be equalised, or None if they can."""
    if activation_of(layer) not in _HOMOGENEOUS:
        return None, f"its activation ({activation_of(layer).name.lower().replace('_', ' ')}) does not scale"
    reader: Layer | None = layer
    while reader is not None and (reader is layer or _is_homogeneous(reader)):
        reader = wiring.only_reader(reader.outputs[0])
    if reader is None:
        return None, None
    return reader, _obstacle(layer, reader)


def _is_homogeneous(layer: Layer) -> bool:
    return layer.type in _HOMOGENEOUS_TYPES and len(layer.inputs) == len(layer.outputs) == 1


def _obstacle(layer: Layer, reader: Layer) -> str | None:
    channels = output_channels(layer)
    rules: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: is_linear(reader), f"{reader.type} does not take factors in"),
        (lambda: pad_value_of(reader) == 0, "the reader pads with a value that is the same for all channels"),
        (lambda: _channels_match(reader, channels), "the reader has another number of channels"),
        (lambda: _is_finite(layer) and _is_finite(reader), "weights are not finite"),
    )
    return next((reason for holds, reason in rules if not holds()), None)


def _channels_match(reader: Layer, channels: int) -> bool:
    inputs = input_channels(reader)
    return inputs % channels == 0 if reader.type == "InnerProduct" else inputs == channels


def _is_finite(layer: Layer) -> bool:
    return bool(np.isfinite(weight_of(layer)).all() and np.isfinite(bias_of(layer)).all())


def _chains(links: Sequence[_Link], graph: Graph) -> list[tuple[_Link, ...]]:
    """Join links whose common layer is depthwise: one factor goes through it."""
    after = {link.first: link for link in links}
    inner = {link.second for link in links if is_depthwise(graph.layer(link.second))}
    chains: list[tuple[_Link, ...]] = []
    for link in links:
        if link.first in inner:
            continue
        chain = [link]
        while chain[-1].second in inner and chain[-1].second in after:
            chain.append(after[chain[-1].second])
        chains.append(tuple(chain))
    return chains


# --- ReLU6 -----------------------------------------------------------------------------------------------------------


def _without_relu6(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """Replace ReLU6 where two layers could be equalised without it."""
    opened = graph
    for layer in graph.layers:
        changed = _opened(layer)
        opened = opened.with_layer(changed) if changed is not layer else opened
    links, _ = _links(opened)
    wanted = {link.first for link in links} | _between(opened, links)
    replaced = tuple(layer.name for layer in graph.layers if layer.name in wanted and _opened(layer) is not layer)
    for name in replaced:
        graph = graph.with_layer(opened.layer(name))
    return graph, replaced


def _between(graph: Graph, links: Sequence[_Link]) -> set[str]:
    """Names of the layers that stand between linked ones."""
    wiring = wiring_of(graph)
    names: set[str] = set()
    for link in links:
        reader = wiring.only_reader(link.blob)
        while reader is not None and reader.name != link.second:
            names.add(reader.name)
            reader = wiring.only_reader(reader.outputs[0])
    return names


def _opened(layer: Layer) -> Layer:
    """Return a layer with ReLU for a Clip that starts at zero; any other as it is."""
    if layer.type == "Clip" and number(layer, 0, -1.0) == 0:
        return replace(layer, type="ReLU", params=())
    if is_linear(layer) and activation_of(layer) is Activation.CLIP and activation_params_of(layer)[0] == 0:
        return with_activation(layer, Activation.RELU)
    return layer


# --- the factors -----------------------------------------------------------------------------------------------------


def _settled(
    graph: Graph, chains: Sequence[tuple[_Link, ...]], ranges: dict[str, Values], max_rounds: int
) -> tuple[Graph, dict[_Link, Values], int]:
    """Sweep until nothing changes much; return the graph, each link's factors over all rounds, and the rounds."""
    layers = {layer.name: layer for layer in graph.layers}
    total = {link: np.ones(output_channels(layers[link.first])) for chain in chains for link in chain}
    rounds = 0
    largest_step = np.inf if total else 0.0
    while rounds < max_rounds and largest_step > _CONVERGED:
        largest_step = 0.0
        rounds += 1
        for chain in chains:
            for link, factor in zip(chain, _factors(chain, layers, ranges), strict=True):
                _apply(link, factor, layers, ranges)
                total[link] *= factor
                largest_step = max(largest_step, float(np.abs(np.log(factor)).max()))
    if not total:
        return graph, total, rounds
    return replace(graph, layers=tuple(layers[layer.name] for layer in graph.layers)), total, rounds


def _apply(link: _Link, factor: Values, layers: dict[str, Layer], ranges: dict[str, Values]) -> None:
    first, second = layers[link.first], layers[link.second]
    elements = input_channels(second) // factor.size
    layers[link.first] = scale_outputs(first, 1 / factor, np.zeros(1))
    layers[link.second] = scale_inputs(second, np.repeat(factor, elements))
    if link.blob in ranges:
        ranges[link.blob] = ranges[link.blob] / factor


def _factors(chain: tuple[_Link, ...], layers: Mapping[str, Layer], ranges: Mapping[str, Values]) -> list[Values]:
    """Return what each link's channels are to be divided (and multiplied again) by."""
    if all(link.blob in ranges and ranges[link.blob].size == _size(link, layers) for link in chain):
        return [_by_blob(link, layers, ranges[link.blob]) for link in chain]
    return _by_weights(chain, layers)


def _size(link: _Link, layers: Mapping[str, Layer]) -> int:
    return output_channels(layers[link.first])


def _by_blob(link: _Link, layers: Mapping[str, Layer], found: Values) -> Values:
    """Even out the blob; as far as the next layer's weights, whose channels then differ, allow it."""
    largest = float(found.max(initial=0.0))
    if not np.isfinite(largest) or largest == 0:
        return np.ones_like(found)
    floored = np.maximum(found, largest * _SMALLEST_SHARE)
    second = layers[link.second]
    if is_depthwise(second):
        return _centred(floored, found > 0)  # each channel's weights have a scale of their own
    read = _read_ranges(second, found.size)
    return _centred(np.sqrt(floored / np.where(read > 0, read, 1)), (found > 0) & (read > 0))


def _by_weights(chain: tuple[_Link, ...], layers: Mapping[str, Layer]) -> list[Values]:
    """Give every layer of the chain the same range, channel by channel: their geometric mean."""
    first = layers[chain[0].first]
    made = output_ranges(first)
    used = [made, *(_read_ranges(layers[link.second], made.size) for link in chain)]
    alive = np.all([item > 0 for item in used], axis=0) & (made > _ALL_BIAS * np.abs(bias_of(first)))
    logs = [np.log(np.where(alive, item, 1)) for item in used]
    mean = np.mean(logs, axis=0)
    # What is taken from the layers so far, above their share, goes through the link.
    carried = np.cumsum([item - mean for item in logs[:-1]], axis=0)
    limit = np.log(_LARGEST_FACTOR)
    return [np.exp(np.clip(item, -limit, limit)) for item in carried]


def _read_ranges(layer: Layer, channels: int) -> Values:
    """Return the largest weight on each channel read; an inner product may read several elements of each."""
    return np.asarray(input_ranges(layer).reshape(channels, -1).max(axis=1))


def _centred(factor: Values, alive: np.ndarray) -> Values:
    """Return factors around one; one where nothing is known."""
    if not alive.any():
        return np.ones_like(factor)
    around = factor / np.exp(np.log(factor[alive]).mean())
    return np.where(alive, np.clip(around, 1 / _LARGEST_FACTOR, _LARGEST_FACTOR), 1.0)
