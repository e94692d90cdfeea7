"""Windows: a layer is the product of its windows and its weights."""

from __future__ import annotations

import numpy as np
import pytest
from random_nets import ONE_THREAD, random_net

from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.linear import bias_of, output_channels, weight_of
from edgedeploy.quantize.ranges import multiply
from edgedeploy.quantize.windows import SampledWindows, windows_of

ALL = 10_000

LAYERS = [
    "Convolution conv 1 1 x y 0=5 1=1 5=1 6=20",
    "Convolution conv 1 1 x y 0=5 1=3 4=1 5=1 6=180",
    "Convolution conv 1 1 x y 0=5 1=3 2=2 3=2 4=2 5=1 6=180",
    "Convolution conv 1 1 x y 0=5 1=5 11=3 3=2 13=1 4=0 14=2 15=1 16=0 5=1 6=300",
    "Convolution conv 1 1 x y 0=5 1=3 3=2 4=-233 5=1 6=180",
    "Convolution conv 1 1 x y 0=5 1=3 3=2 4=-234 5=1 6=180",
    "Convolution conv 1 1 x y 0=5 1=3 4=1 5=1 6=180 18=1.5",
    "ConvolutionDepthWise conv 1 1 x y 0=4 1=3 4=1 5=1 6=36 7=4",
    "ConvolutionDepthWise conv 1 1 x y 0=6 1=3 3=2 4=1 5=1 6=108 7=2",
]


@pytest.mark.parametrize("line", LAYERS)
def test_windows_times_weights_are_the_layer(line: str) -> None:
    graph = random_net("Input in 0 1 x", line)
    layer = graph.layer("conv")
    blob = np.random.default_rng(3).normal(size=(4, 9, 11)).astype(np.float32)
    expected = Engine.from_graph(graph, options=ONE_THREAD).run(["y"], {"x": blob[None]})["y"]
    windows = windows_of(layer, blob, limit=ALL, seed=(0,))
    found = multiply(windows, weight_of(layer).reshape(output_channels(layer), -1)) + bias_of(layer)
    assert found == pytest.approx(expected.reshape(len(expected), -1).T, abs=1e-4)


@pytest.mark.parametrize("shape", [(12,), (3, 12)])
def test_an_inner_product_takes_rows(shape: tuple[int, ...]) -> None:
    layer = random_net("Input in 0 1 x", "InnerProduct fc 1 1 x y 0=7 1=1 2=84").layer("fc")
    blob = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    windows = windows_of(layer, blob, limit=ALL, seed=(0,))
    assert np.array_equal(windows[:, 0], blob.reshape(-1, 12))


def test_the_seed_alone_chooses_places() -> None:
    layer = random_net("Input in 0 1 x", LAYERS[1]).layer("conv")
    blob = np.random.default_rng(3).normal(size=(4, 9, 11)).astype(np.float32)
    first = windows_of(layer, blob, limit=10, seed=(1, 2))
    assert len(first) == 10
    assert np.array_equal(first, windows_of(layer, blob, limit=10, seed=(1, 2)))
    assert not np.array_equal(first, windows_of(layer, blob, limit=10, seed=(1, 3)))


def test_joined_windows_know_their_items() -> None:
    parts = [np.zeros((2, 1, 3), np.float32), np.ones((3, 1, 3), np.float32)]
    joined = SampledWindows.of(parts)
    assert joined.items.tolist() == [0, 0, 1, 1, 1]
    assert joined.values[:, 0, 0].tolist() == [0, 0, 1, 1, 1]
