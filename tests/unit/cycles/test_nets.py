"""The reference networks: published sizes, the converter's form, numbers that stay sane through the depth."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter

import numpy as np
import pytest
from random_nets import ONE_THREAD

from edgedeploy.cycles.nets import REFERENCE_NAMES, ReferenceNet, patterned_image, reference_net
from edgedeploy.cycles.nets.builder import INPUT, OUTPUT, NetBuilder, Variance
from edgedeploy.cycles.nets.uniform import UniformStream
from edgedeploy.errors import UsageError
from edgedeploy.graph import check_graph, format_param, parse_param, weights_bytes
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes import run_passes
from edgedeploy.graph.passes.linear import (
    CONVOLUTIONS_2D,
    LINEAR_TYPES,
    Activation,
    activation_of,
    activation_params_of,
)

MACS = {
    "mobilenet_v1": 568_740_352,
    "mobilenet_v2": 300_774_272,
    "resnet18": 1_814_073_344,
    "squeezenet": 387_747_520,
}
"""With the classifier. SqueezeNet's is for 227x227; 352 million are for 224x224 with the same padding."""

PARAMETERS = {"mobilenet_v1": 4_221_032, "mobilenet_v2": 3_487_816, "resnet18": 11_684_712, "squeezenet": 1_235_496}
"""Weights and biases, with batch norms folded into a bias a channel."""

LAYERS = {
    "mobilenet_v1": {"Convolution": 14, "ConvolutionDepthWise": 13, "InnerProduct": 1, "Pooling": 1},
    "mobilenet_v2": {
        "Convolution": 35,
        "ConvolutionDepthWise": 17,
        "InnerProduct": 1,
        "Pooling": 1,
        "BinaryOp": 10,
        "Split": 10,
    },
    "resnet18": {"Convolution": 20, "InnerProduct": 1, "Pooling": 2, "BinaryOp": 8, "ReLU": 8, "Split": 8},
    "squeezenet": {"Convolution": 26, "Pooling": 4, "Concat": 8, "Split": 8},
}

PINNED = {
    "mobilenet_v1": "da08bfd77cbcc07298ee639e72543131",
    "mobilenet_v2": "059273bf3fd8035d548346e886ded164",
    "resnet18": "68a7ddcc30b1ebcf1f43dda3517fc6fd",
    "squeezenet": "57b667b06df5d8e66d9baaf4f07c455d",
}
"""SHA-256 of the two files' bytes, the first half: they are the same on every machine."""

all_nets = pytest.mark.parametrize("name", REFERENCE_NAMES)


@functools.cache
def built(name: str) -> ReferenceNet:
    return reference_net(name)


def digest_of(net: ReferenceNet) -> str:
    return hashlib.sha256(format_param(net.graph).encode() + weights_bytes(net.graph)).hexdigest()[:32]


@all_nets
def test_sizes_are_the_published_ones(name: str) -> None:
    net = built(name)
    assert net.name == name
    assert net.macs == MACS[name]
    assert sum(weight.elements for layer in net.graph.layers for weight in layer.weights) == PARAMETERS[name]
    counts = Counter(layer.type for layer in net.graph.layers)
    assert counts == {"Input": 1, **LAYERS[name]}


@all_nets
def test_graph_is_one_that_the_engine_and_the_passes_take_as_it_is(name: str) -> None:
    graph = built(name).graph
    check_graph(graph)
    assert graph.inputs == (INPUT,)
    assert graph.outputs == (OUTPUT,)
    assert [layer.inputs for layer in parse_param(format_param(graph)).layers] == [
        layer.inputs for layer in graph.layers
    ]
    simplified, _ = run_passes(graph, None)
    assert simplified == graph


@all_nets
def test_macs_are_those_of_the_blobs_that_the_engine_makes(name: str) -> None:
    net = built(name)
    layers = [layer for layer in net.graph.layers if layer.type in LINEAR_TYPES]
    found = Engine.from_graph(net.graph, options=ONE_THREAD).run(
        [layer.outputs[0] for layer in layers], {INPUT: patterned_image(net.input_shape, 0)}
    )
    places = {layer.name: found[layer.outputs[0]][0].size for layer in layers}
    assert net.macs == sum(layer.weight("weight").elements * places[layer.name] for layer in layers)


@all_nets
def test_blobs_keep_a_sane_size_through_the_depth(name: str) -> None:
    net = built(name)
    blobs = Engine.from_graph(net.graph, options=ONE_THREAD).run(
        net.graph.blobs, {INPUT: patterned_image(net.input_shape, 0)}
    )
    assert all(np.isfinite(values).all() for values in blobs.values())
    sizes = {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in blobs.items()}
    assert min(sizes.values()) > 0.25 and max(sizes.values()) < 5, sizes
    assert blobs[OUTPUT].shape == (1000,)


@all_nets
def test_convolutions_have_biases_and_the_networks_activation(name: str) -> None:
    layers = [layer for layer in built(name).graph.layers if layer.type in CONVOLUTIONS_2D]
    assert all(layer.integer(5, 0) == 1 for layer in layers)
    wanted = Activation.CLIP if name == "mobilenet_v2" else Activation.RELU
    kinds = Counter(activation_of(layer) for layer in layers)
    linear = {"mobilenet_v2": 17, "resnet18": 11}.get(name, 0)
    assert kinds == Counter({wanted: len(layers) - linear, Activation.NONE: linear})
    clips = [layer for layer in layers if activation_of(layer) is Activation.CLIP]
    assert all(activation_params_of(layer) == (0.0, 6.0) for layer in clips)


def test_relu6_has_something_to_clip() -> None:
    net = built("mobilenet_v2")
    names = [layer.outputs[0] for layer in net.graph.layers if activation_of(layer) is Activation.CLIP]
    blobs = Engine.from_graph(net.graph, options=ONE_THREAD).run(names, {INPUT: patterned_image(net.input_shape, 0)})
    assert sum(bool((values == 6).any()) for values in blobs.values()) > 5


@all_nets
def test_second_build_has_the_same_bytes(name: str) -> None:
    assert digest_of(reference_net(name)) == digest_of(built(name)) == PINNED[name]


def test_networks_have_different_weights() -> None:
    stems = {built(name).graph.layer("stem").weight("weight").payload[:64] for name in REFERENCE_NAMES}
    assert len(stems) == len(REFERENCE_NAMES)


def test_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        reference_net("resnet81")
    assert "resnet18" in caught.value.hint


def test_every_reader_of_a_blob_gets_a_copy() -> None:
    net = NetBuilder("toy", (4, 6, 6), seed=1)
    first = net.convolution(net.input, "first", 4, 1)
    second = net.relu(first, "second")
    made = net.finish(net.add(net.add(first, second, "once"), first, "twice"))
    check_graph(made.graph)
    split = made.graph.layer("first_split")
    assert split.inputs == ("first",)
    assert len(split.outputs) == 3
    assert made.graph.layers.index(split) == made.graph.layers.index(made.graph.layer("first")) + 1


def test_output_is_renamed_where_its_layer_is_read_by_nobody_else() -> None:
    net = NetBuilder("toy", (4, 6, 6), seed=1)
    made = net.finish(net.max_pool(net.input, "pool", ceil=True))
    assert made.graph.outputs == (OUTPUT,)
    assert made.macs == 0


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("pad", [0, 1])
def test_shapes_are_the_engines(size: int, ceil: bool, pad: int) -> None:
    net = NetBuilder("toy", (3, size, size), seed=1)
    pooled = net.max_pool(net.input, "pool", pad=pad, ceil=ceil)
    last = net.depthwise(pooled, "depthwise", stride=2, activation=Activation.RELU)
    found = Engine.from_graph(net.finish(last).graph, options=ONE_THREAD).run(
        ["pool", OUTPUT], {INPUT: patterned_image((3, size, size), 0)}
    )
    assert found["pool"].shape == pooled.shape
    assert found[OUTPUT].shape == last.shape


def test_uniform_numbers_are_those_of_the_generators_bits() -> None:
    values = UniformStream(7).draw((1000, 10), 2.0)
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 2.0) < 0.05
    assert np.abs(values).max() < 2 * 3**0.5
    expected = np.random.PCG64(7).random_raw()
    assert values[0, 0] == (2 * ((int(expected) >> 11) * 2.0**-53) - 1) * (3**0.5 * 2.0)


def test_stream_goes_on_where_it_was() -> None:
    stream = UniformStream((7, 1))
    parts = np.concatenate([stream.draw((3,), 1.0), stream.draw((5,), 1.0)])
    assert np.array_equal(parts, UniformStream((7, 1)).draw((8,), 1.0))


def test_images_differ_and_come_again() -> None:
    shape = (3, 40, 50)
    first, second = patterned_image(shape, 0), patterned_image(shape, 1)
    assert first.shape == (1, *shape)
    assert first.dtype == np.float32
    assert np.array_equal(first, patterned_image(shape, 0))
    assert np.abs(first - second).mean() > 0.5


def test_variance_keeps_the_size_through_rectified_layers() -> None:
    net = NetBuilder("toy", (64, 32, 32), seed=3)
    blob = net.input
    for index in range(6):
        blob = net.convolution(blob, f"layer_{index}", 64, 3, pad=1, activation=Activation.RELU)
    linear = net.convolution(blob, "linear", 64, 1, variance=Variance.LINEAR)
    found = Engine.from_graph(net.finish(linear).graph, options=ONE_THREAD).run(
        ["layer_0", "layer_5", OUTPUT], {INPUT: patterned_image((64, 32, 32), 0)}
    )
    sizes = {name: float(np.mean(np.square(values))) for name, values in found.items()}
    assert 0.3 < sizes["layer_5"] / sizes["layer_0"] < 3, sizes
    assert 0.3 < sizes[OUTPUT] / sizes["layer_5"] < 3, sizes
