"""How large clipped channels might become: from the spread in front of the clip."""

from __future__ import annotations

import numpy as np
from random_nets import random_net

from edgedeploy.graph.passes.linear import bias_of, weight_of
from edgedeploy.progress import SILENT
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.reach import DEVIATIONS, channel_reaches

GRAPH = random_net(
    "Input in 0 1 x",
    "Convolution first 1 1 x a 0=8 1=1 5=1 6=24 9=3 -23310=2,0.0,6.0",
    "ConvolutionDepthWise dw 1 1 a b 0=8 1=3 4=1 5=1 6=72 7=8 9=1",
    "Convolution last 1 1 b y 0=4 1=1 5=1 6=32",
)
ITEMS = [
    Item(name=str(seed), tensors={"x": np.random.default_rng(seed).normal(size=(1, 3, 9, 9)).astype(np.float32)})
    for seed in range(3)
]


def test_a_reach_is_the_mean_and_eight_deviations_of_what_is_clipped() -> None:
    layer = GRAPH.layer("first")
    pixels = np.concatenate([item.tensors["x"][0].reshape(3, -1) for item in ITEMS], axis=1)
    numbers = weight_of(layer).reshape(8, 3) @ pixels + bias_of(layer)[:, None]
    wanted = numbers.mean(axis=1) + DEVIATIONS * numbers.std(axis=1)
    with SILENT.task("looking") as task:
        found = channel_reaches(GRAPH, ITEMS, 0, task)
    assert set(found) == {"first"}
    np.testing.assert_allclose(found["first"], wanted, rtol=1e-4)
    assert (found["first"] > 6).any()  # of numbers in front of the clip


def test_layers_that_do_not_clip_have_none() -> None:
    plain = random_net("Input in 0 1 x", "Convolution only 1 1 x y 0=8 1=1 5=1 6=24 9=1")
    with SILENT.task("looking") as task:
        assert channel_reaches(plain, ITEMS, 0, task) == {}
