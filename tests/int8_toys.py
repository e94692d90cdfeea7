"""Small int8 networks made by hand: plain absmax ranges, weights rounded to nearest. Data that pickles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from random_nets import ONE_THREAD, random_net

from edgedeploy.graph import Graph, Layer
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import bias_of, output_channels, weight_of
from edgedeploy.quantize.accumulators import AccumulatorChoice
from edgedeploy.quantize.assemble import Prepared
from edgedeploy.quantize.candidates import find_candidates
from edgedeploy.quantize.chains import can_shift, find_chains
from edgedeploy.quantize.choices import Winograd
from edgedeploy.quantize.decide import Decision
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.ranges import encoding_for
from edgedeploy.quantize.settings import NAIVE, Target
from edgedeploy.quantize.write import Int8Weights

IMAGE = (3, 8, 8)
LARGEST = 127


@dataclass(frozen=True)
class Noise:
    """Random images; with labels where there are classes."""

    count: int
    shape: tuple[int, ...] = IMAGE
    seed: int = 5
    classes: int = 0

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        random = np.random.default_rng((self.seed, index))
        tensor = random.normal(size=(1, *self.shape)).astype(np.float32)
        label = int(random.integers(self.classes)) if self.classes else None
        # Something that tells items apart: without it they all give the same class.
        tensor += 2 * random.normal(size=(1, self.shape[0], *(1,) * (len(self.shape) - 1))).astype(np.float32)
        return Item(name=f"noise-{index}", tensors={"in0": tensor}, label=label)


@dataclass(frozen=True)
class BadlyScaled:
    """A chain of four convolutions and a second one of two; one layer of the first has channels of very unlike sizes.

    Its last layer makes ten classes.
    """

    loud: float = 200.0

    @cached_property
    def graph(self) -> Graph:
        graph = random_net(
            "Input in 0 1 in0",
            "Convolution first 1 1 in0 a 0=16 1=3 4=1 5=1 6=432 9=1",
            "ConvolutionDepthWise depthwise 1 1 a b 0=16 1=3 4=1 5=1 6=144 7=16 9=1",
            "Convolution project 1 1 b c 0=8 1=1 5=1 6=128",
            "Split split 1 2 c c0 c1",
            "Convolution expand 1 1 c0 d 0=8 1=1 5=1 6=64 9=1",
            "Convolution back 1 1 d e 0=8 1=1 5=1 6=64",
            "BinaryOp add 2 1 c1 e f 0=0",
            "Pooling pool 1 1 f p 0=1 4=1",
            "InnerProduct classes 1 1 p out0 0=10 1=1 2=80",
            seed=4,
        )
        scale = np.ones(16)
        scale[3] = self.loud
        return _scaled(_scaled(graph, "first", scale), "depthwise", 1 / scale)


def _scaled(graph: Graph, name: str, factors: np.ndarray) -> Graph:
    layer = graph.layer(name)
    for weight in layer.weights:
        values = np.asarray(weight.array)
        # The second layer undoes the first one's factors in its weights, not in its bias.
        if weight.name == "weight" or factors.max() > 1:
            values = values * factors.reshape(-1, *(1,) * (values.ndim - 1))
        layer = layer.with_weight(weight.with_array(values))
    return graph.with_layer(layer)


def prepared_by_hand(graph: Graph, data: Noise, *, shifted: bool = True) -> Prepared:
    """Decide as simply as possible, on all of the data."""
    candidates = find_candidates(graph)
    chains = find_chains(graph, candidates.static)
    producers = wiring_of(graph).producers
    largest = dict.fromkeys(chains.readers, 0.0)
    engine = Engine.from_graph(graph, options=ONE_THREAD)
    for index in range(len(data)):
        for blob, values in engine.run(list(largest), data.item(index).tensors).items():
            largest[blob] = max(largest[blob], float(np.abs(values).max()))
    encodings = {
        blob: encoding_for(found, shifted=shifted and blob in chains.handed_on and can_shift(producers[blob]))
        for blob, found in largest.items()
    }
    return Prepared(
        source=graph,
        graph=graph,
        passes=(),
        equalization=None,
        candidates=candidates.static,
        left=candidates.left,
        target=Target(name="toy", dotprod=True),
        settings=NAIVE,
        statistics={},
        encodings=encodings,
        decisions={name: _decision(graph.layer(name)) for name in candidates.static},
    )


def _decision(layer: Layer) -> Decision:
    weight, channels = weight_of(layer), output_channels(layer)
    scales = (LARGEST / np.abs(weight).reshape(channels, -1).max(axis=1)).astype(np.float32)
    codes = np.rint(weight * scales.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.int8)
    return Decision(
        weights=Int8Weights(codes=codes, scales=scales, bias=bias_of(layer)),
        accumulators=AccumulatorChoice(
            bits=(8,) * channels, winograd=Winograd.NOT_USED, limit=2**31 - 1, bound=0, reason="a toy's sums are small"
        ),
        bias_change=0.0,
    )
