"""Equalisation on small networks: the outputs stay, the ranges meet, and what does not allow it is left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_nets import ONE_THREAD, outputs_of, random_net, types_of, with_values

from edgedeploy.graph import Graph, check_graph
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes import largest_difference
from edgedeploy.graph.passes.linear import input_ranges, output_ranges
from edgedeploy.quantize.equalize import equalize

IMAGE = (3, 8, 10)
INPUT = "Input in 0 1 x 0=10 1=8 2=3"
FIRST = "Convolution first 1 1 x a 0=6 1=3 4=1 5=1 6=162 9=1"
SECOND = "Convolution second 1 1 a y 0=4 1=3 4=1 5=1 6=216"
DEPTHWISE = "ConvolutionDepthWise depthwise 1 1 a b 0=6 1=3 4=1 5=1 6=54 7=6 9=1"
LAST = "Convolution last 1 1 b y 0=4 1=1 5=1 6=24"


def check(graph: Graph) -> dict[str, NDArray[np.float32]]:
    return outputs_of(graph, IMAGE)


def untamed(graph: Graph, layer: str, spread: float = 100.0) -> Graph:
    """Make the channels of a layer's output differ by up to ``spread`` in range."""
    owner = graph.layer(layer)
    weight = owner.weight("weight").array
    factors = np.geomspace(1 / spread, 1, weight.shape[0])
    graph = with_values(graph, layer, "weight", weight * factors.reshape(-1, *(1,) * (weight.ndim - 1)))
    return with_values(graph, layer, "bias", owner.weight("bias").array * factors)


def ranges_of(graph: Graph, *blobs: str, seed: int = 1) -> dict[str, NDArray[np.float32]]:
    image = np.random.default_rng(seed).normal(size=(1, *IMAGE)).astype(np.float32)
    found = Engine.from_graph(graph, options=ONE_THREAD).run(blobs, {"x": image})
    return {blob: np.abs(values).max(axis=(1, 2)) for blob, values in found.items()}


@pytest.mark.parametrize("activation", ["", "9=1", "9=2 -23310=1,0.1"])
def test_two_convolutions_meet_at_one_range(activation: str) -> None:
    graph = untamed(random_net(INPUT, FIRST.replace("9=1", activation), SECOND), "first")
    done = equalize(graph, check=check)
    check_graph(done.graph)
    assert done.kept
    assert done.max_difference is not None
    assert done.max_difference < 1e-5
    made, read = output_ranges(done.graph.layer("first")), input_ranges(done.graph.layer("second"))
    np.testing.assert_allclose(made, read, rtol=0.02)
    (pair,) = done.pairs
    assert (pair.first, pair.second, pair.channels) == ("first", "second", 6)
    assert 0 < pair.scale_min < pair.scale_max
    before = output_ranges(graph.layer("first"))
    assert made.max() / made.min() < before.max() / before.min()


def test_three_layers_around_a_depthwise_one_meet_at_one_range() -> None:
    graph = untamed(untamed(random_net(INPUT, FIRST, DEPTHWISE, LAST), "first"), "depthwise", 30)
    done = equalize(graph, check=check)
    assert done.kept
    assert [(pair.first, pair.second) for pair in done.pairs] == [("first", "depthwise"), ("depthwise", "last")]
    expected = np.cbrt(
        output_ranges(graph.layer("first"))
        * output_ranges(graph.layer("depthwise"))
        * input_ranges(graph.layer("last"))
    )
    for found in (
        output_ranges(done.graph.layer("first")),
        output_ranges(done.graph.layer("depthwise")),
        input_ranges(done.graph.layer("last")),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_long_chains_settle() -> None:
    lines = [INPUT, FIRST]
    lines += [f"Convolution c{i} 1 1 {'a' if i == 0 else f'b{i}'} b{i + 1} 0=6 1=1 5=1 6=36 9=1" for i in range(5)]
    graph = untamed(untamed(random_net(*lines), "first"), "c2")
    done = equalize(graph, check=check)
    assert done.kept
    assert 1 < done.rounds < 20
    assert len(done.pairs) == 5
    again = equalize(done.graph, check=check)
    assert all(0.9 < pair.scale_min <= pair.scale_max < 1.1 for pair in again.pairs)
    assert equalize(graph, max_rounds=1).rounds == 1


def test_with_ranges_given_the_blobs_channels_are_evened_out() -> None:
    graph = untamed(random_net(INPUT, FIRST, DEPTHWISE, LAST), "first")
    found = ranges_of(graph, "a", "b")
    done = equalize(graph, check=check, ranges=found)
    assert done.kept
    after = ranges_of(done.graph, "a", "b")
    # A depthwise layer has a weight scale a channel, so nothing keeps the blob before it from being even.
    np.testing.assert_allclose(after["a"], after["a"].mean(), rtol=1e-3)
    # Before a full one blob and weights share the burden. One channel gives nothing here.
    alive = found["b"] > 0
    assert alive.sum() >= 5
    share = after["b"][alive] / input_ranges(done.graph.layer("last"))[alive]
    np.testing.assert_allclose(share, share.mean(), rtol=0.02)
    assert np.ptp(np.log(after["b"][alive])) < np.ptp(np.log(found["b"][alive]))


def test_channels_without_data_or_weights_are_left_as_they_are() -> None:
    graph = random_net(INPUT, FIRST, DEPTHWISE, LAST)
    weight = graph.layer("first").weight("weight").array.copy()
    weight[2] = 0
    dead = with_values(graph, "first", "weight", weight.astype(np.float64))
    done = equalize(dead, check=check)
    assert done.kept
    for name in ("first", "depthwise"):
        assert np.isfinite(done.graph.layer(name).weight("weight").array).all()
        before, after = (item.layer(name).weight("bias").array for item in (dead, done.graph))
        assert after[2] == before[2]
    found = ranges_of(graph, "a", "b")
    found["a"][1] = 0
    assert equalize(graph, check=check, ranges=found).kept
    everything = {blob: np.zeros(6, np.float32) for blob in ("a", "b")}
    idle = equalize(graph, ranges=everything)
    assert all((pair.scale_min, pair.scale_max) == (1.0, 1.0) for pair in idle.pairs)
    unknown = {blob: np.full(6, np.nan, np.float32) for blob in ("a", "b")}
    assert all(pair.scale_max == 1.0 for pair in equalize(graph, ranges=unknown).pairs)


def test_a_channel_that_is_all_bias_does_not_blow_up() -> None:
    graph = random_net(INPUT, FIRST, SECOND)
    weight = graph.layer("first").weight("weight").array.astype(np.float64)
    weight[3] *= 1e-8
    done = equalize(with_values(graph, "first", "weight", weight), check=check)
    assert done.kept
    assert np.abs(done.graph.layer("first").weight("bias").array).max() < 100


@pytest.mark.parametrize(
    "between",
    [
        "ReLU between 1 1 a b",
        "Pooling between 1 1 a b 0=0 1=2 2=2",
        "Pooling between 1 1 a b 0=1 1=3 2=2 3=1",
        "Dropout between 1 1 a b",
        "PReLU between 1 1 a b 0=6",
        "Interp between 1 1 a b 0=2 1=2.0 2=2.0",
    ],
)
def test_factors_go_through_layers_that_scale(between: str) -> None:
    graph = random_net(INPUT, FIRST.replace(" 9=1", ""), between, "Convolution second 1 1 b y 0=4 1=3 5=1 6=216")
    done = equalize(untamed(graph, "first"), check=check)
    assert done.kept
    assert [(pair.first, pair.second) for pair in done.pairs] == [("first", "second")]
    assert done.pairs[0].scale_max / done.pairs[0].scale_min > 2


@pytest.mark.parametrize(
    "tail",
    [
        ("Pooling pool 1 1 a b 0=1 4=1", "InnerProduct second 1 1 b y 0=5 1=1 2=30"),
        ("InnerProduct second 1 1 a y 0=5 1=1 2=2400",),
        ("Flatten flat 1 1 a b", "InnerProduct second 1 1 b y 0=5 1=1 2=2400"),
        ("Deconvolution second 1 1 a y 0=5 1=4 3=2 4=1 5=1 6=480",),
        ("ConvolutionDepthWise second 1 1 a y 0=12 1=3 5=1 6=108 7=6",),
        ("ConvolutionDepthWise second 1 1 a y 0=4 1=3 5=1 6=108 7=2",),
    ],
)
def test_other_kinds_of_second_layers(tail: tuple[str, ...]) -> None:
    done = equalize(untamed(random_net(INPUT, FIRST, *tail), "first"), check=check)
    assert done.kept
    assert [(pair.first, pair.second) for pair in done.pairs] == [("first", "second")]
    assert done.pairs[0].scale_max / done.pairs[0].scale_min > 2


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((FIRST.replace("9=1", "9=3 -23310=2,0.0,6.0"), SECOND), "clip"),
        ((FIRST.replace("9=1", "9=6 -23310=2,0.166667,0.5"), SECOND), "hard swish"),
        ((FIRST, "Split s 1 2 a b c", "ReLU r 1 1 b y", "ReLU q 1 1 c z"), "Split"),
        ((FIRST, "Swish s 1 1 a b", SECOND.replace(" a y", " b y")), "Swish"),
        ((FIRST, f"{SECOND} 18=0.5"), "pads with a value"),
        ((FIRST,), "output"),
    ],
)
def test_what_cannot_be_equalised_is_left_alone_and_says_why(lines: tuple[str, ...], reason: str) -> None:
    graph = random_net(INPUT, *lines)
    done = equalize(graph, check=check)
    if len(lines) == 1:
        assert done.skipped == ()
    else:
        assert any(reason in item.reason for item in done.skipped if item.first == "first")
    assert done.graph is graph
    assert done.pairs == ()
    assert done.max_difference is None


def test_weights_that_are_not_finite_are_left_alone() -> None:
    graph = random_net(INPUT, FIRST, SECOND)
    weight = graph.layer("second").weight("weight").array.astype(np.float64)
    weight[0, 0, 0, 0] = math.nan
    done = equalize(with_values(graph, "second", "weight", weight))
    assert [item.reason for item in done.skipped] == ["weights are not finite"]


@pytest.mark.parametrize("fused", [True, False])
def test_relu6_goes_only_where_that_is_allowed_and_of_use(fused: bool) -> None:
    clip = "9=3 -23310=2,0.0,6.0"
    if fused:
        lines = [FIRST.replace("9=1", clip), f"Convolution last 1 1 a y 0=4 1=1 5=1 6=24 {clip}"]
        types = ["Input", "Convolution", "Convolution"]
    else:
        lines = [FIRST.replace(" 9=1", ""), "Clip c 1 1 a b 0=0.0 1=6.0", f"{LAST} {clip}"]
        types = ["Input", "Convolution", "ReLU", "Convolution"]
    graph = random_net(INPUT, *lines)
    kept = equalize(graph, check=check)
    assert (kept.pairs, kept.relu6_replaced, kept.relu6_difference) == ((), (), None)
    done = equalize(graph, check=check, replace_relu6=True)
    assert done.relu6_replaced == (("first",) if fused else ("c",))
    assert done.graph.layer("last").integer(9, 0) == 3
    assert types_of(done.graph) == types
    assert done.max_difference is not None
    assert done.max_difference < 1e-5
    # Values pass 6 here, so the network is another one, and the record says by how much.
    assert done.relu6_difference == pytest.approx(largest_difference(check(done.graph), check(graph)), rel=1e-2)
    assert done.relu6_difference > 0.01


def test_too_large_a_difference_undoes_everything() -> None:
    graph = untamed(random_net(INPUT, FIRST, SECOND), "first")
    done = equalize(graph, check=check, tolerance=-1.0)
    assert not done.kept
    assert done.graph is graph
    assert done.pairs == ()
    assert done.max_difference is not None


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    depthwise=st.booleans(),
    spread=st.sampled_from([1.0, 100.0, 1e6]),
    with_ranges=st.booleans(),
)
def test_outputs_stay_for_any_chain(
    seed: int, widths: list[int], depthwise: bool, spread: float, with_ranges: bool
) -> None:
    lines, inputs = [INPUT], 3
    for place, width in enumerate(widths):
        blob = "x" if place == 0 else f"b{place}"
        size = 9 * inputs * width
        lines.append(f"Convolution n{place} 1 1 {blob} d{place} 0={width} 1=3 4=1 5=1 6={size} 9={place % 2}")
        kind = f"ConvolutionDepthWise w{place} 1 1 d{place} b{place + 1} 0={width} 1=3 4=1 5=1 6={9 * width} 7={width}"
        lines.append(kind if depthwise else f"ReLU r{place} 1 1 d{place} b{place + 1} 0=0.1")
        inputs = width
    graph = untamed(random_net(*lines, seed=seed), "n0", spread)
    blobs = [blob for blob in graph.blobs if blob != "x"]
    done = equalize(graph, check=check, ranges=ranges_of(graph, *blobs) if with_ranges else None)
    assert done.kept
    assert done.pairs
    assert all(np.isfinite(weight.array).all() for layer in done.graph.layers for weight in layer.weights)
