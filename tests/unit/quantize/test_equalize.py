"""Cross-layer equalisation: the same outputs, evener blobs, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from random_nets import ONE_THREAD, random_net, with_values

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes import largest_difference
from edgedeploy.graph.passes.linear import is_linear, weight_of
from edgedeploy.quantize.equalize import equalize
from edgedeploy.quantize.streams import find_streams

INPUT = "Input in 0 1 x"
FIRST = "Convolution first 1 1 x a 0=8 1=3 4=1 5=1 6=216 9=1"
DEPTHWISE = "ConvolutionDepthWise dw 1 1 a b 0=8 1=3 4=1 5=1 6=72 7=8 9=1"
LAST = "Convolution last 1 1 b y 0=4 1=1 5=1 6=32"
TOLERANCE = 1e-4

IMAGES = np.random.default_rng(5).normal(size=(1, 3, 9, 9)).astype(np.float32)


def outputs(graph: Graph) -> dict[str, FloatArray]:
    return Engine.from_graph(graph, options=ONE_THREAD).run(graph.outputs, {"x": IMAGES})


def ranges(graph: Graph) -> dict[str, FloatArray]:
    layers = [layer for layer in graph.layers if is_linear(layer)]
    blobs = [layer.outputs[0] for layer in layers] + [layer.inputs[0] for layer in layers]
    found = Engine.from_graph(graph, options=ONE_THREAD).run(blobs, {"x": IMAGES})
    return {blob: np.abs(values).reshape(len(values), -1).max(axis=1) for blob, values in found.items()}


def uneven(graph: Graph, layer: str) -> Graph:
    """Spread a layer's output channels over three decades."""
    weight = weight_of(graph.layer(layer))
    spread = np.logspace(-1.5, 1.5, len(weight)).reshape(-1, 1, 1, 1)
    return with_values(graph, layer, "weight", weight * spread)


def spread_of(found: FloatArray) -> float:
    return float(found.max() / found.min())


def test_a_chain_keeps_its_outputs_and_its_blobs_become_even() -> None:
    graph = uneven(random_net(INPUT, FIRST, DEPTHWISE, LAST), "first")
    done = equalize(graph, ranges(graph), check=outputs)
    assert done.kept
    assert {(pair.first, pair.second) for pair in done.pairs} == {("first", "dw"), ("dw", "last")}
    assert largest_difference(outputs(done.graph), outputs(graph)) < TOLERANCE
    assert spread_of(ranges(graph)["a"]) > 100
    assert spread_of(ranges(done.graph)["a"]) < 1.1  # before a depthwise layer the blob becomes quite even
    assert spread_of(ranges(done.graph)["b"]) < spread_of(ranges(graph)["b"])


def test_a_residual_stream_is_rescaled_as_a_whole() -> None:
    graph = random_net(
        INPUT,
        "Convolution first 1 1 x a 0=8 1=1 5=1 6=24",
        "Split split 1 2 a a1 a2",
        "Convolution inner 1 1 a1 b 0=8 1=1 5=1 6=64",
        "BinaryOp add 2 1 a2 b c 0=0",
        "Convolution last 1 1 c y 0=4 1=1 5=1 6=32",
    )
    graph = uneven(graph, "first")
    (stream,) = (item for item in find_streams(graph) if not item.obstacle)
    assert stream.makers == ("first", "inner")
    assert stream.readers == ("inner", "last")
    done = equalize(graph, ranges(graph), check=outputs)
    assert done.kept
    assert largest_difference(outputs(done.graph), outputs(graph)) < TOLERANCE
    assert {(pair.first, pair.second) for pair in done.pairs} == {
        (maker, reader) for maker in stream.makers for reader in stream.readers
    }
    assert all(pair.scale_max > 2 * pair.scale_min for pair in done.pairs)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Convolution first 1 1 x a 0=8 1=3 4=1 5=1 6=216 9=3 -23310=2,-1.0,6.0", "clip"),
        ("Convolution first 1 1 x a 0=8 1=3 4=1 5=1 6=216 9=6 -23310=2,0.166667,0.5", "hard swish"),
    ],
)
def test_activations_that_do_not_scale_are_left_alone(line: str, reason: str) -> None:
    graph = random_net(INPUT, line, DEPTHWISE, LAST)
    done = equalize(graph, ranges(graph), check=outputs)
    assert [(item.first, item.reader) for item in done.skipped if reason in item.reason] == [("first", "dw")]
    assert all(pair.first != "first" for pair in done.pairs)


CLIPPED = FIRST.replace("9=1", "9=3 -23310=2,0.0,6.0")


def test_small_channels_behind_relu6_grow_in_front_of_a_depthwise_layer() -> None:
    graph = uneven(random_net(INPUT, CLIPPED, DEPTHWISE, LAST), "first")
    seen = ranges(graph)["a"]
    reaches = {"first": np.minimum(3.0 * seen.astype(np.float64), 60.0)}
    done = equalize(graph, ranges(graph), reaches=reaches, check=outputs)
    assert done.kept
    assert ("first", "dw") in {(pair.first, pair.second) for pair in done.pairs}
    after = ranges(done.graph)["a"]
    assert spread_of(after) < spread_of(seen) / 4
    grown = after / seen
    assert grown[seen == seen.max()] == pytest.approx(1.0)
    assert grown.min() == pytest.approx(1.0)
    assert (reaches["first"] * grown <= 6.0 * 1.0001)[grown > 1.0001].all()  # the bound stays out of reach


def test_a_channel_whose_reach_is_the_bound_of_relu6_keeps_its_size() -> None:
    graph = uneven(random_net(INPUT, CLIPPED, DEPTHWISE, LAST), "first")
    done = equalize(graph, ranges(graph), reaches={"first": np.full(8, 6.0)}, check=outputs)
    assert np.array_equal(weight_of(done.graph.layer("first")), weight_of(graph.layer("first")))


def test_relu6_is_left_alone_where_nothing_is_known_or_dense_layers_read_it() -> None:
    graph = random_net(INPUT, CLIPPED, DEPTHWISE, LAST)
    assert ("first", "dw") in {(item.first, item.reader) for item in equalize(graph, ranges(graph)).skipped}
    dense = random_net(INPUT, CLIPPED, LAST.replace(" b y ", " a y "))
    done = equalize(dense, ranges(dense), reaches={"first": np.full(8, 1.0)})
    assert [(item.first, item.reader) for item in done.skipped if "clip" in item.reason] == [("first", "last")]


def test_a_layer_that_takes_no_factors_stands_in_the_way() -> None:
    graph = random_net(INPUT, FIRST, "Softmax soft 1 1 a b 0=0", LAST)
    done = equalize(graph, ranges(graph), check=outputs)
    assert done.graph is graph
    assert not done.pairs


def test_what_a_reader_reads_counts_where_it_is_a_sum() -> None:
    graph = random_net(
        INPUT,
        "Split copy 1 2 x x1 x2",
        "Convolution left 1 1 x1 a 0=8 1=1 5=1 6=24",
        "Convolution right 1 1 x2 b 0=8 1=1 5=1 6=24",
        "BinaryOp add 2 1 a b c 0=0",
        DEPTHWISE.replace(" a b ", " c d "),
        LAST.replace(" b y ", " d y "),
    )
    known = ranges(graph)
    loud = {**known, "c": known["c"] * np.array([1, 1, 1, 1, 1, 1, 1, 64], np.float32)}
    plain, louder = (equalize(graph, item).graph.layer("dw") for item in (known | {"c": known["c"]}, loud))
    ratio = weight_of(louder)[:, 0, 0, 0] / weight_of(plain)[:, 0, 0, 0]
    assert ratio[7] / ratio[0] > 8


def test_a_dead_channel_does_not_set_the_scale_of_the_reader() -> None:
    graph = random_net(INPUT, FIRST, "Convolution last 1 1 a y 0=4 1=1 5=1 6=32")
    first = weight_of(graph.layer("first")).copy()
    first[2] = 0
    bias = np.asarray(graph.layer("first").weight("bias").array, dtype=np.float64).copy()
    bias[2] = 0
    last = weight_of(graph.layer("last")).copy()
    last[:, 2] *= 1e4
    for layer, weight, values in (("first", "weight", first), ("first", "bias", bias), ("last", "weight", last)):
        graph = with_values(graph, layer, weight, values)
    done = equalize(graph, ranges(graph), check=outputs)
    after = np.abs(weight_of(done.graph.layer("last"))[:, :, 0, 0]).max(axis=0)
    assert done.kept
    assert after[2] <= 2 * np.median(after)


def test_a_difference_beyond_the_tolerance_undoes_everything() -> None:
    graph = uneven(random_net(INPUT, FIRST, DEPTHWISE, LAST), "first")
    done = equalize(graph, ranges(graph), check=outputs, tolerance=0.0)
    assert not done.kept
    assert done.graph is graph
    assert not done.pairs
