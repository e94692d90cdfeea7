"""Decides weights and biases layer by layer, each on what reaches it with the layers before it in int8.

Source of the bias correction: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
2019, section 4.2, with measured means in place of predicted ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import Values, bias_of, groups_of, output_channels, weight_of, with_weights
from edgedeploy.progress import Task
from edgedeploy.quantize.accumulators import AccumulatorChoice, choose_accumulators
from edgedeploy.quantize.chains import source_blob
from edgedeploy.quantize.choices import LARGEST_CODE, Encoding
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.prefix import ONE_THREAD, Blobs, walk
from edgedeploy.quantize.ranges import fake_quantize, multiply, row_weights
from edgedeploy.quantize.rounding import (
    LARGEST_SYSTEM,
    RoundedWeights,
    largest_codes,
    round_at,
    round_depthwise_for_outputs,
    round_for_inputs,
    round_for_outputs,
    round_to_nearest,
)
from edgedeploy.quantize.settings import Rounding, Settings, Target
from edgedeploy.quantize.windows import SampledWindows, Windows, output_size_of, windows_of
from edgedeploy.quantize.write import Int8Weights

FEWEST_ROWS = 1024
MOST_ROWS = 4096
MOST_ELEMENTS = 4_000_000
"""Of a layer's windows: memory stays flat whatever the layer's size."""
FULL_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided for a layer.

    Args:
        weights: Codes, scales, bias.
        accumulators: Bits of each output channel, and what the target's code can do with their sums.
        bias_change: Largest change of a bias relative to the largest magnitude of the layer's outputs.
        means: What biases are corrected by, also where other layers stay in float; None: they are not corrected.
    """

    weights: Int8Weights
    accumulators: AccumulatorChoice
    bias_change: float
    means: MeanOutputs | None = None

    def with_bias(self, bias: Values) -> Decision:
        """Return the same with another bias."""
        return replace(self, weights=replace(self.weights, bias=bias))


@dataclass(frozen=True, kw_only=True)
class MeanOutputs:
    """A layer's outputs on average over the rows of its windows.

    Args:
        rows: Weight of each row: they add up to 1.
        wanted: Of the float network, without bias, float64 ``(out,)``.
        bias: With which the layer has the float network's mean where all layers before it are in float.
    """

    rows: Values
    wanted: Values
    bias: Values


def rows_per_item(layer: Layer, items: int) -> int:
    """Return how many windows to take of each item."""
    inputs = math.prod(layer.weight("weight").shape[1:])
    rows = min(max(FEWEST_ROWS, 4 * inputs), MOST_ROWS, MOST_ELEMENTS // (groups_of(layer) * inputs))
    return max(1, -(-rows // items))


def float_windows(
    graph: Graph, names: Sequence[str], items: Sequence[Item], seed: int, task: Task
) -> dict[str, SampledWindows]:
    """Return windows of these layers' inputs in the float network, over all items: layer -> windows."""
    engine = Engine.from_graph(graph, options=ONE_THREAD)
    layers = [graph.layer(name) for name in names]
    wiring = wiring_of(graph)
    sources = {layer.name: source_blob(layer.inputs[0], wiring) for layer in layers}

    def of_item(index: int) -> list[Windows]:
        blobs = engine.run(list(dict.fromkeys(sources.values())), items[index].tensors)
        return [
            windows_of(layer, blobs[sources[layer.name]], limit=rows_per_item(layer, len(items)), seed=(seed, index))
            for layer in layers
        ]

    found: list[list[Windows]] = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done, part in enumerate(pool.map(of_item, range(len(items))), 1):
            found.append(part)
            task.update(done, len(items))
    return {name: SampledWindows.of([part[place] for part in found]) for place, name in enumerate(names)}


class Decider:
    """Decides one layer after the other.

    Args:
        graph: In float.
        encodings: Source blob -> how it is encoded where int8 layers read it.
        windows: Layer -> windows of its input in the float network; emptied on the way, for they fill much memory.
        target: Whose accumulators limit the weights.
        scales: Layer -> codes a unit of its weights, float32 ``(out,)``, where they are given.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        encodings: Mapping[str, Encoding],
        windows: dict[str, SampledWindows],
        target: Target,
        settings: Settings,
        scales: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        self._graph = graph
        self._wiring = wiring_of(graph)
        self._encodings = encodings
        self._windows = windows
        self._target = target
        self._settings = settings
        self._scales = scales or {}

    def run(self, names: Sequence[str], items: Sequence[Item], task: Task) -> dict[str, Decision]:
        """Decide all layers in order, on these items.

        Args:
            names: Layers to decide.
            items: The same as those that the windows were taken of.
        """
        states: list[Blobs] = [{name: tensor[0] for name, tensor in item.tensors.items()} for item in items]
        decisions: dict[str, Decision] = {}

        def decide(layer: Layer) -> tuple[Layer, Sequence[Blobs]]:
            blob = layer.inputs[0]
            encoding = self._encodings[source_blob(blob, self._wiring)]
            read = [{blob: self._quantized(state, blob, encoding)} for state in states]
            limit = rows_per_item(layer, len(items))
            found = [
                windows_of(layer, blobs[blob], limit=limit, seed=(self._settings.seed, index))
                for index, blobs in enumerate(read)
            ]
            size = output_size_of(layer, read[0][blob])
            decisions[layer.name] = self._decide(layer, np.concatenate(found), encoding, size)
            return with_decision(layer, decisions[layer.name]), read

        for count, name in enumerate(walk(self._graph, set(names), states, decide), 1):
            task.update(count, len(names), name)
        return decisions

    def _quantized(self, state: Blobs, blob: str, encoding: Encoding) -> FloatArray:
        """Return a blob as the layer reads it in int8; the float one goes where nobody else reads it."""
        numbers = fake_quantize(state[blob], encoding)
        if self._wiring.only_reader(blob) is not None:
            state[blob] = numbers
        return numbers

    def _decide(
        self, layer: Layer, found: Windows, encoding: Encoding, output_size: tuple[int, int] | None
    ) -> Decision:
        weight = weight_of(layer).reshape(output_channels(layer), -1)
        sampled = self._windows.pop(layer.name)
        wanted = multiply(sampled.values, weight)
        rows = row_weights(wanted, sampled.items)
        weighted = found * np.sqrt(rows).astype(np.float32)[:, None, None]
        full = np.full(len(weight), FULL_BITS)
        rounded = self._round(layer.name, weight, weighted, full)
        accumulators = choose_accumulators(
            layer, _shaped(rounded.codes, layer), encoding.encode(found), self._target, output_size=output_size
        )
        bits = np.asarray(accumulators.bits)
        if (bits != full).any():
            rounded = self._round(layer.name, weight, weighted, bits)
        change, means = np.zeros(len(weight)), None
        if self._settings.correct_bias:
            change = rows @ (wanted - multiply(found, rounded.values)).astype(np.float64) / len(rows)
            alone = multiply(fake_quantize(sampled.values, encoding), rounded.values)
            means = MeanOutputs(
                rows=rows / len(rows),
                wanted=rows @ wanted.astype(np.float64) / len(rows),
                bias=bias_of(layer) + rows @ (wanted - alone).astype(np.float64) / len(rows),
            )
        largest = float(np.abs(wanted + bias_of(layer)).max(initial=0.0))
        return Decision(
            weights=Int8Weights(
                codes=_shaped(rounded.codes, layer),
                scales=rounded.scales,
                bias=bias_of(layer) + change,
                feature_mask=accumulators.feature_mask,
            ),
            accumulators=accumulators,
            bias_change=float(np.abs(change).max(initial=0.0)) / largest if largest > 0 else 0.0,
            means=means,
        )

    def _round(self, name: str, weight: Values, found: Windows, bits: NDArray[np.int64]) -> RoundedWeights:
        scales = self._given(name, bits)
        if self._settings.rounding is Rounding.NEAREST:
            return round_to_nearest(weight, bits) if scales is None else round_at(weight, scales, bits)
        if found.shape[1] > 1:
            return round_depthwise_for_outputs(weight, found, bits, scales)
        if weight.shape[1] > LARGEST_SYSTEM:
            moments = np.square(found[:, 0].astype(np.float64)).mean(axis=0)
            return round_for_inputs(weight, moments, bits) if scales is None else round_at(weight, scales, bits)
        return round_for_outputs(weight, found, bits, scales)

    def _given(self, name: str, bits: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the scales that are given for a layer; fewer bits have steps as much wider."""
        if name not in self._scales:
            return None
        return (self._scales[name] * (largest_codes(bits) / LARGEST_CODE)).astype(np.float32)


def with_decision(layer: Layer, decision: Decision) -> Layer:
    """Return the float layer with the weights that the codes stand for, and the corrected bias."""
    weights = decision.weights
    scales = weights.scales.astype(np.float64).reshape(-1, *(1,) * (weights.codes.ndim - 1))
    return with_weights(layer, weights.codes / scales, weights.bias)


def _shaped(codes: NDArray[np.int8], layer: Layer) -> NDArray[np.int8]:
    return codes.reshape(layer.weight("weight").shape)
