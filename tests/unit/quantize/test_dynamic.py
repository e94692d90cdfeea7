"""Float layers that scale their inputs themselves, written as int8: against the emulator, and against float."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from random_nets import ONE_THREAD, random_net, with_values

from edgedeploy.errors import UnsupportedOperatorError
from edgedeploy.graph import Graph, Layer, Storage, check_graph, make_weight, read_graph, write_graph
from edgedeploy.graph.engine import Engine
from edgedeploy.quantize.candidates import find_candidates
from edgedeploy.quantize.dynamic import DYNAMIC_TYPES, dynamic_reason, int8_dynamic_layer
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.integer_dynamic import run_dynamic_int8

Arrays = dict[str, NDArray[np.float32]]
AGREEMENT = 2e-6
"""With the emulator, in parts of the largest output: what is left when no code between two products differs."""

LEAST_SQNR_DB = {"GRU": 42, "Gemm": 38, "LSTM": 42, "MultiHeadAttention": 41, "RNN": 42}
"""On normal inputs and weights, against the float layer; the worst case here is a decibel better."""

MATRICES = frozenset({"a", "b", "weight", "weight_xc", "weight_hc", "weight_hr"})


def float_net(line: str, inputs: tuple[str, ...], seed: int = 0) -> Graph:
    """One layer with random weights; rows of matrices have a length of about one, so that gates are not saturated."""
    graph = random_net(*(f"Input {name} 0 1 {name}" for name in inputs), line, seed=seed)
    layer = graph.layers[-1]
    for weight in layer.weights:
        if weight.name in MATRICES or weight.name.endswith("_weight"):
            layer = layer.with_weight(weight.with_array(weight.array / math.sqrt(weight.shape[-1])))
    return graph.with_layer(layer)


def int8_net(graph: Graph) -> Graph:
    changed = graph.with_layer(int8_dynamic_layer(graph.layers[-1]))
    check_graph(changed)
    return changed


def noise(seed: int = 7, **shapes: tuple[int, ...]) -> Arrays:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def outputs_of(graph: Graph, blobs: Arrays) -> list[NDArray[np.float32]]:
    names = graph.layers[-1].outputs
    found = Engine.from_graph(graph, options=ONE_THREAD).run(names, {name: blob[None] for name, blob in blobs.items()})
    return [found[name] for name in names]


def assert_close(layer: Layer, expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    assert ErrorSums.of(expected, found).sqnr_db > LEAST_SQNR_DB[layer.type]


def assert_agrees(expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    assert expected.shape == found.shape
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=AGREEMENT * np.abs(expected).max())


def assert_right(line: str, blobs: Arrays, seed: int = 0) -> None:
    """Check a layer with one output: the engine computes what the emulator does, and about what it did in float."""
    graph = float_net(line, tuple(blobs), seed)
    int8 = int8_net(graph)
    (found,) = outputs_of(int8, blobs)
    assert_agrees(run_dynamic_int8(int8.layers[-1], *blobs.values()), found)
    assert_close(graph.layers[-1], outputs_of(graph, blobs)[0], found)


# --- each type --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transposed_a", [0, 1])
@pytest.mark.parametrize("transposed_b", [0, 1])
@pytest.mark.parametrize("constant", ["a", "b"])
def test_gemm_with_one_constant_matrix(transposed_a: int, transposed_b: int, constant: str) -> None:
    rows, columns, depth = 13, 16, 33
    read = noise(
        a=(depth, rows) if transposed_a else (rows, depth), b=(columns, depth) if transposed_b else (depth, columns)
    )["b" if constant == "a" else "a"]
    for broadcast in range(-1, 5):
        keys = f"0=1.500000e+00 1=5.000000e-01 2={transposed_a} 3={transposed_b} {4 if constant == 'a' else 5}=1 "
        sizes = f"6=1 7={rows} 8={columns} 9={depth} 10={broadcast} 14={broadcast % 2}"
        assert_right(f"Gemm gemm 1 1 in0 out0 {keys} {sizes}", {"in0": read}, seed=broadcast + 1)


def test_gemm_adds_a_blob() -> None:
    assert_right("Gemm gemm 2 1 in0 in1 out0 3=1 5=1 8=16 9=33", noise(in0=(13, 33), in1=(13, 16)))


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("direction", [0, 1, 2])
def test_recurrent_layers(kind: str, gates: int, direction: int) -> None:
    blobs = noise(in0=(7, 20))
    blobs["in0"][3] = 0  # a step of silence
    size = 20 * 12 * gates * (2 if direction == 2 else 1)
    assert_right(f"{kind} layer 1 1 in0 out0 0=12 1={size} 2={direction}", blobs)


@pytest.mark.parametrize("direction", [0, 1, 2])
def test_an_lstm_keeps_its_projection_in_float(direction: int) -> None:
    line = f"LSTM layer 1 1 in0 out0 0=8 1={20 * 12 * 4 * (2 if direction == 2 else 1)} 2={direction} 3=12"
    assert_right(line, noise(in0=(7, 20)))
    layer = float_net(line, ("in0",)).layers[-1]
    assert int8_dynamic_layer(layer).weight("weight_hr") == layer.weight("weight_hr")


@pytest.mark.parametrize("scale", ["", "6=2.000000e-01"])
@pytest.mark.parametrize(
    "shapes", [((9, 24),), ((9, 24), (5, 20)), ((9, 24), (5, 20), (5, 12))], ids=["self", "cross", "three"]
)
def test_attention(shapes: tuple[tuple[int, int], ...], scale: str) -> None:
    blobs = noise(**{f"in{index}": shape for index, shape in enumerate(shapes)})
    keys = f"3={shapes[min(1, len(shapes) - 1)][1]} 4={shapes[-1][1]}"
    names = " ".join(blobs)
    assert_right(f"MultiHeadAttention layer {len(blobs)} 1 {names} out0 0=16 1=4 2=384 {keys} {scale}", blobs)


@pytest.mark.parametrize("mask", [(9, 9), (4, 9, 9)])
def test_attention_with_a_mask(mask: tuple[int, ...]) -> None:
    blobs = noise(in0=(9, 24)) | {"in1": np.where(noise(mask=mask)["mask"] > 1, -1e4, 0).astype(np.float32)}
    assert_right("MultiHeadAttention layer 2 1 in0 in1 out0 0=16 1=4 2=384 3=24 4=24 5=1", blobs)


@pytest.mark.parametrize("bias", [0, 1])
def test_words(bias: int) -> None:
    graph = float_net(f"Embed layer 1 1 in0 out0 0=6 1=20 2={bias} 3=120", ("in0",))
    int8 = int8_net(graph)
    words = np.array([0, 3, 19, 7], dtype=np.int32)
    # The engine reads the blob's bits as whole numbers.
    blobs = {"in0": words.view(np.float32)}
    (found,) = outputs_of(int8, blobs)
    assert_agrees(run_dynamic_int8(int8.layers[-1], words), found)
    step = np.abs(graph.layers[-1].weight("weight").array).max() / 127
    assert 0 < np.abs(found - outputs_of(graph, blobs)[0]).max() <= 0.5001 * step


# --- states and caches, which the emulator leaves out -----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "gates", "states"), [("RNN", 1, 1), ("GRU", 3, 1), ("LSTM", 4, 2)])
def test_states_as_blobs_carry_a_sequence_on(kind: str, gates: int, states: int) -> None:
    """Two halves, the second from the states that the first ends in, are the whole."""
    size = 20 * 12 * gates
    names = tuple(f"state{index}" for index in range(states))
    made = " ".join(f"out{index}" for index in range(states + 1))
    line = f"{kind} layer {states + 1} {states + 1} in0 {' '.join(names)} {made} 0=12 1={size}"
    graph = float_net(line, ("in0", *names))
    int8 = int8_net(graph)
    steps = noise(in0=(8, 20))["in0"]
    blobs = {"in0": steps[:5], **{name: np.zeros((1, 12), np.float32) for name in names}}
    first, *carried = outputs_of(int8, blobs)
    blobs = {"in0": steps[5:], **dict(zip(names, carried, strict=True))}
    second, *ends = outputs_of(int8, blobs)
    whole = replace(int8.layers[-1], inputs=("in0",), outputs=("out0",))
    assert_agrees(run_dynamic_int8(whole, steps), np.concatenate([first, second]))
    for expected, found in zip(outputs_of(graph, blobs), [second, *ends], strict=True):
        assert_close(graph.layers[-1], expected, found)


def test_a_cache_of_keys_and_values_carries_a_sequence_on() -> None:
    """What comes second attends to all; both halves have one loudest number, so their scales are the whole's."""
    line = "MultiHeadAttention layer 3 3 in0 keys values out0 out1 out2 0=16 1=4 2=384 3=24 4=24 7=1"
    graph = float_net(line, ("in0", "keys", "values"))
    int8 = int8_net(graph)
    words = noise(in0=(9, 24))["in0"]
    words[[1, 7], 3] = 4
    whole = replace(int8.layers[-1].with_param(7, 0), inputs=("in0",), outputs=("out0",))
    expected = run_dynamic_int8(whole, words)
    # An empty cache cannot be handed in: one word is, and is dropped from what comes out.
    first = {"in0": words[:4], "keys": np.zeros((4, 1, 4), np.float32), "values": np.zeros((4, 1, 4), np.float32)}
    _, keys, values = outputs_of(int8, first)
    blobs = {"in0": words[4:], "keys": keys[:, 1:], "values": values[:, 1:]}
    found, kept_keys, kept_values = outputs_of(int8, blobs)
    assert_agrees(expected[4:], found)
    assert kept_keys.shape == kept_values.shape == (4, 9, 4)
    assert_close(graph.layers[-1], outputs_of(graph, blobs)[0], found)


# --- what is written --------------------------------------------------------------------------------------------------

LINES = {
    "Embed": "Embed layer 1 1 in0 out0 0=6 1=20 2=1 3=120",
    "GRU": "GRU layer 1 1 in0 out0 0=5 1=210 2=2",
    "Gemm": "Gemm layer 1 1 in0 out0 3=1 5=1 6=1 7=13 8=16 9=33 10=4",
    "Gemm a": "Gemm layer 1 1 in0 out0 2=1 4=1 6=1 7=13 8=16 9=33 10=1",
    "LSTM": "LSTM layer 1 1 in0 out0 0=5 1=336 3=12",
    "MultiHeadAttention": "MultiHeadAttention layer 1 1 in0 out0 0=16 1=4 2=384 3=24 4=24",
    "RNN": "RNN layer 1 1 in0 out0 0=5 1=35",
}
SCALES = {
    "Embed": {"weight_scales": (1,)},
    "GRU": {"weight_xc_scales": (2, 15), "weight_hc_scales": (2, 15)},
    "Gemm": {"b_scales": (1,)},
    "Gemm a": {"a_scales": (13,)},
    "LSTM": {"weight_xc_scales": (1, 48), "weight_hc_scales": (1, 48)},
    "MultiHeadAttention": {"q_scales": (16,), "k_scales": (16,), "v_scales": (16,), "out_scales": (1,)},
    "RNN": {"weight_xc_scales": (1, 5), "weight_hc_scales": (1, 5)},
}
READS = {
    "Embed": (4,),
    "GRU": (7, 7),
    "Gemm": (13, 33),
    "Gemm a": (33, 16),
    "LSTM": (4, 7),
    "MultiHeadAttention": (9, 24),
    "RNN": (7, 7),
}
lines = pytest.mark.parametrize("kind", LINES)


def test_every_type_is_looked_at() -> None:
    assert {kind.split()[0] for kind in LINES} == DYNAMIC_TYPES


@lines
def test_codes_scales_and_what_stays(kind: str) -> None:
    before = float_net(LINES[kind], ("in0",)).layers[-1]
    after = int8_dynamic_layer(before)
    shapes = {weight.name: weight.shape for weight in after.weights if weight.name.endswith("_scales")}
    assert shapes == SCALES[kind]
    quantized = {weight.name for weight in after.weights if weight.storage is Storage.INT8}
    assert len(quantized) == len(shapes)
    for weight in before.weights:
        if weight.name not in quantized:
            assert after.weight(weight.name) == weight
            continue
        codes = after.weight(weight.name).array
        assert np.abs(codes.astype(np.int32)).max() == 127
        scales = after.weight(f"{weight.name.removesuffix('_weight')}_scales").array
        # The transposed left matrix has a scale a column.
        spread = scales if scales.size == 1 or kind == "Gemm a" else scales[..., np.newaxis]
        np.testing.assert_allclose(codes / spread, weight.array, rtol=0, atol=0.5001 / scales.min())


@lines
def test_files_read_back_as_they_were_written(tmp_path: Path, kind: str) -> None:
    graph = int8_net(float_net(LINES[kind], ("in0",)))
    write_graph(graph, tmp_path / "net.param", tmp_path / "net.bin")
    back = read_graph(tmp_path / "net.param", tmp_path / "net.bin")
    assert [weight.to_bytes() for weight in back.layers[-1].weights] == [
        weight.to_bytes() for weight in graph.layers[-1].weights
    ]
    assert dynamic_reason(back.layers[-1]) == "it is int8 already"


@pytest.mark.parametrize("storage", [Storage.FP16, Storage.BF16])
def test_half_precision_weights_are_as_good(storage: Storage) -> None:
    layer = float_net(LINES["RNN"], ("in0",)).layers[-1]
    half = layer.with_weight(layer.weight("weight_xc").with_array(layer.weight("weight_xc").array, storage))
    full = half.with_weight(half.weight("weight_xc").with_array(half.weight("weight_xc").array, Storage.FP32))
    assert half.weight("weight_xc") != full.weight("weight_xc")
    assert int8_dynamic_layer(half) == int8_dynamic_layer(full)


# --- zeros ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiny", [0.0, 1e-40, 1e-30])
def test_rows_of_zeros_and_of_next_to_nothing(tiny: float) -> None:
    graph = float_net("Gemm gemm 1 1 in0 out0 3=1 4=1 6=1 7=13 8=16 9=33 10=1", ("in0",))
    rows = np.array(graph.layer("gemm").weight("a").array)
    rows[[2, 12]] = tiny
    int8 = int8_net(with_values(graph, "gemm", "a", rows))
    scales = int8.layer("gemm").weight("a_scales").array
    assert np.isfinite(scales).all()
    assert (scales > 0).all()
    (found,) = outputs_of(int8, noise(in0=(16, 33)))
    assert np.isfinite(found).all()
    bias = graph.layer("gemm").weight("c").array[[2, 12], np.newaxis]
    np.testing.assert_allclose(found[[2, 12]], np.broadcast_to(bias, (2, 16)), rtol=1e-6)


@lines
def test_weights_that_are_all_zero(kind: str) -> None:
    graph = float_net(LINES[kind], ("in0",))
    layer = graph.layers[-1]
    for weight in int8_dynamic_layer(layer).weights:
        if weight.storage is Storage.INT8:
            layer = layer.with_weight(make_weight(weight.name, np.zeros(weight.shape), Storage.FP32))
    graph = graph.with_layer(layer)
    int8 = int8_net(graph)
    assert all((weight.array == 1).all() for weight in int8.layers[-1].weights if weight.name.endswith("_scales"))
    blobs = noise(in0=READS[kind])
    np.testing.assert_allclose(outputs_of(int8, blobs)[0], outputs_of(graph, blobs)[0], rtol=1e-5, atol=1e-6)


# --- what stays in float ----------------------------------------------------------------------------------------------

GEMM = "Gemm gemm 1 1 in0 out0 3=1 5=1 6=1 7=4 8=10 9=32 10=-1"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Gemm gemm 2 1 in0 in1 out0 3=1", "both of its matrices are data"),
        (f"{GEMM} 4=1", "neither of its matrices is data"),
        (f"{GEMM} 18=2", "it is int8 already"),
        (f"{GEMM} 18=801", "its weights are quantized in blocks"),
        ("Embed layer 1 1 in0 out0 0=6 1=20 3=100", "its sizes do not describe its weights"),
        ("RNN layer 1 1 in0 out0 0=5 1=0", "its sizes do not describe its weights"),
        ("Deconvolution layer 1 1 in0 out0 0=3 1=1 6=9", "the engine has no int8 code for Deconvolution"),
    ],
)
def test_what_stays_in_float(line: str, reason: str) -> None:
    inputs = ("in0", "in1") if "in1" in line else ("in0",)
    layer = random_net(*(f"Input {name} 0 1 {name}" for name in inputs), line).layers[-1]
    found = dynamic_reason(layer)
    assert found is not None
    assert found.startswith(reason)
    with pytest.raises(UnsupportedOperatorError, match=reason):
        int8_dynamic_layer(layer)


def test_weights_that_are_missing_or_integers_already() -> None:
    layer = float_net(GEMM, ("in0",)).layers[-1]
    codes = make_weight("b", np.ones((10, 32)), Storage.INT8)
    assert dynamic_reason(layer.with_weight(codes)) == "its weights are no floats"
    assert dynamic_reason(replace(layer, weights=())) == "its sizes do not describe its weights"


def test_candidates_are_sorted_with_the_reasons() -> None:
    graph = random_net(
        "Input words 0 1 words",
        "Embed embed 1 1 words a 0=24 1=20 3=480",
        "MultiHeadAttention attention 1 1 a b 0=16 1=4 2=384 3=24 4=24",
        "Split split 1 2 b b0 b1",
        "Gemm scores 2 1 b0 b1 c 3=1 6=1 10=0",
        "LSTM lstm 1 1 c out0 0=8 1=320",
    )
    found = find_candidates(graph)
    assert found.dynamic == ("embed", "attention", "lstm")
    assert found.static == ()
    assert found.left == {"scores": "both of its matrices are data"}
