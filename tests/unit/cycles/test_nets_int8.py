"""The built-in networks in int8: chains of codes where the engine has them, activations kept, made once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache as cached
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from random_nets import random_net

from edgedeploy.artifacts import FloatArray
from edgedeploy.cli import builtin_nets, builtin_store
from edgedeploy.cli.builtin_nets import BUILTIN_NAMES, build_builtin, with_activations_of
from edgedeploy.cycles.nets import REFERENCE_NAMES, patterned_image
from edgedeploy.errors import QuantizationError, UsageError
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph, Layer, check_graph, read_graph
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D, LINEAR_TYPES, Activation, activation_of
from edgedeploy.modelcache import PARAM_NAME, WEIGHTS_NAME
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT
from edgedeploy.quantize.evaluator import INT8_TASK_OPTIONS

HANDS_ON = 100
CHAINED = {"mobilenet_v1": 26, "mobilenet_v2": 36, "resnet18": 8, "squeezenet": 8}
INT8_LAYERS = {"mobilenet_v1": 28, "mobilenet_v2": 53, "resnet18": 21, "squeezenet": 26}
FEATURE_MASK_KEY = 31

all_nets = pytest.mark.parametrize("name", REFERENCE_NAMES)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))


@cached
def int8_graph(name: str) -> Graph:
    net = build_builtin(name, int8=True, progress=SILENT)
    return read_graph(net.param, net.weights)


def chained(graph: Graph) -> list[Layer]:
    return [layer for layer in graph.layers if layer.type in LINEAR_TYPES and layer.integer(8, 0) > HANDS_ON]


@all_nets
def test_every_layer_with_weights_is_int8_with_all_its_bits(name: str) -> None:
    graph = int8_graph(name)
    check_graph(graph)
    layers = [layer for layer in graph.layers if layer.type in LINEAR_TYPES]
    assert len(layers) == INT8_LAYERS[name]
    for layer in layers:
        codes = np.asarray(layer.weight("weight").array)
        assert codes.dtype == np.int8
        assert (np.abs(codes.reshape(len(codes), -1).astype(int)).max(axis=1) == 127).all()
        assert layer.weight("weight_scales").shape == (len(codes),)
        assert layer.param(FEATURE_MASK_KEY) is None


@all_nets
def test_codes_are_handed_on_wherever_the_engine_can(name: str) -> None:
    graph = int8_graph(name)
    makers = {layer.outputs[0]: layer for layer in graph.layers}
    readers: dict[str, list[Layer]] = {blob: [] for blob in makers}
    split_of = {copy: layer.inputs[0] for layer in graph.layers if layer.type == "Split" for copy in layer.outputs}
    for layer in graph.layers:
        for blob in layer.inputs:
            if layer.type != "Split":
                readers[split_of.get(blob, blob)].append(layer)
    expected = {
        maker.name
        for blob, maker in makers.items()
        if maker.type in CONVOLUTIONS_2D
        and readers[blob]
        and all(reader.type in CONVOLUTIONS_2D for reader in readers[blob])
    }
    assert {layer.name for layer in chained(graph)} == expected
    assert len(expected) == CHAINED[name]


@all_nets
def test_both_ends_of_a_chain_have_one_scale(name: str) -> None:
    graph = int8_graph(name)
    split_of = {copy: layer.inputs[0] for layer in graph.layers if layer.type == "Split" for copy in layer.outputs}
    scales = {layer.outputs[0]: layer.weight("output_scales").array[0] for layer in chained(graph)}
    found = [
        (layer.weight("input_scales").array[0], scales[source])
        for layer in graph.layers
        if layer.type in CONVOLUTIONS_2D and (source := split_of.get(layer.inputs[0], layer.inputs[0])) in scales
    ]
    assert len(found) >= CHAINED[name]
    assert all(reader == maker for reader, maker in found)


@all_nets
def test_activations_are_those_of_the_float_network(name: str) -> None:
    kinds = []
    for int8 in (False, True):
        net = build_builtin(name, int8=int8, progress=SILENT)
        graph = read_graph(net.param, net.weights)
        kinds.append(
            [(item.name, activation_of(item), item.param(10)) for item in graph.layers if item.type in LINEAR_TYPES]
        )
    assert kinds[0] == kinds[1]


@all_nets
def test_ranges_are_symmetric(name: str) -> None:
    # A shifted range would need a pad value and turned weights.
    assert not any(layer.param(18) for layer in int8_graph(name).layers if layer.type in CONVOLUTIONS_2D)


@all_nets
def test_int8_outputs_follow_the_float_ones(name: str) -> None:
    """Random networks answer every image nearly alike, so what differs from image to image has to agree as well."""
    outputs: list[FloatArray] = []
    for int8 in (False, True):
        net = build_builtin(name, int8=int8, progress=SILENT)
        assert net.outputs == {"out0": (1000,)}
        engine = Engine(net.param, net.weights, options=INT8_TASK_OPTIONS)
        images = [patterned_image(net.inputs["in0"], index) for index in range(10, 14)]
        outputs.append(np.stack([engine.run(["out0"], {"in0": image})["out0"] for image in images]))
    real, quantized = outputs
    assert np.isfinite(quantized).all()
    assert not np.array_equal(real, quantized)
    assert cosine(real, quantized) > 0.999
    assert cosine(real - real.mean(axis=0), quantized - quantized.mean(axis=0)) > 0.9


def cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.mark.parametrize("int8", [False, True])
@all_nets
def test_made_anew_it_has_the_same_bytes(
    name: str, int8: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_builtin(name, int8=int8, progress=SILENT)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    second = build_builtin(name, int8=int8, progress=SILENT)
    assert first.param != second.param
    assert first.param.parent.name == second.param.parent.name
    assert first.param.read_bytes() == second.param.read_bytes()
    assert file_sha256(first.weights) == file_sha256(second.weights)
    assert first.inputs == second.inputs


def test_taken_from_the_cache_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_builtin("squeezenet", int8=True, progress=SILENT)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("quantized again")

    monkeypatch.setattr(builtin_nets, "quantize", refuse)
    assert build_builtin("squeezenet", int8=True, progress=SILENT) == first


@pytest.mark.parametrize("file", [PARAM_NAME, WEIGHTS_NAME, builtin_store.RECORD_NAME])
def test_damaged_entry_is_made_again(file: str) -> None:
    first = build_builtin("squeezenet", int8=True, progress=SILENT)
    good = first.param.read_bytes(), first.weights.read_bytes()
    (first.param.parent / file).write_bytes(b"[]")
    second = build_builtin("squeezenet", int8=True, progress=SILENT)
    assert second == first
    assert (second.param.read_bytes(), second.weights.read_bytes()) == good


def test_unwritable_cache_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(file))
    with pytest.raises(QuantizationError) as caught:
        build_builtin("squeezenet", int8=False, progress=SILENT)
    assert "EDGEDEPLOY_CACHE" in caught.value.hint


def test_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        build_builtin("mobilenet_v3", int8=False, progress=SILENT)
    assert "mobilenet_v" in caught.value.hint


def test_names_are_the_six() -> None:
    assert BUILTIN_NAMES == ("mobilenet_v1", "mobilenet_v2", "resnet18", "squeezenet", "ppocr_det", "ppocr_rec")


def test_clip_comes_back_and_nothing_else_changes() -> None:
    graph = random_net(
        "Input in 0 1 in0",
        "Convolution clips 1 1 in0 a 0=4 1=1 5=1 6=12 9=3 -23310=2,0.0,6.0",
        "Convolution rectifies 1 1 a b 0=4 1=1 5=1 6=16 9=1",
        "ReLU own 1 1 b out0",
    )
    clips = graph.layer("clips")
    kept = tuple(item for item in clips.params if item.key != 10)
    without = graph.with_layer(replace(clips, params=kept).with_param(9, int(Activation.RELU)))
    restored = with_activations_of(graph, without)
    assert activation_of(restored.layer("clips")) is Activation.CLIP
    assert restored.layer("clips").param(10) == (0.0, 6.0)
    assert [layer for layer in restored.layers if layer.name != "clips"] == [
        layer for layer in graph.layers if layer.name != "clips"
    ]
