"""The numpy emulator of int8 layers that scale their inputs themselves, against the engine on the host.

Rows whose largest magnitude is 127 have a scale of one: Gemm's sums then show as they are.
"""

from __future__ import annotations

import numpy as np
import pytest
from code_nets import ONES, Scales, code_net, random_codes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedeploy.errors import UnsupportedOperatorError
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.quantize.integer_dynamic import is_dynamic_int8, run_dynamic_int8, scale_rows, scale_whole

HOST = EngineOptions(threads=1)
WEIGHTS = Scales(weights=(300.0, 500.0))
AGREEMENT = 2e-6
"""Largest difference in parts of the largest output: what is left when no code between two products differs."""

Arrays = list[NDArray[np.float32]]


def net(line: str, scales: Scales = WEIGHTS, seed: int = 0) -> Graph:
    count = int(line.split()[2])
    return code_net(*(f"Input in{index} 0 1 in{index}" for index in range(count)), line, scales=scales, seed=seed)


def engine_output(graph: Graph, blobs: Arrays) -> NDArray[np.float32]:
    tensors = {f"in{index}": blob[None] for index, blob in enumerate(blobs)}
    return Engine.from_graph(graph, options=HOST).run(["out0"], tensors)["out0"]


def assert_agrees(graph: Graph, blobs: Arrays) -> None:
    expected = run_dynamic_int8(graph.layers[-1], *blobs)
    found = engine_output(graph, blobs)
    assert expected.shape == found.shape
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=AGREEMENT * np.abs(expected).max())


def noise(*shapes: tuple[int, ...]) -> Arrays:
    random = np.random.default_rng(7)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def whole(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Codes as floats, with the largest one in every row and every column."""
    codes = random_codes(shape, seed).astype(np.float32)
    codes[np.arange(max(shape)) % shape[0], np.arange(max(shape)) % shape[1]] = 127
    return codes


@st.composite
def products(draw: st.DrawFn) -> tuple[str, Arrays]:
    """A Gemm without C, and what it reads."""
    rows, columns, depth = draw(st.integers(1, 33)), draw(st.integers(1, 33)), draw(st.integers(1, 65))
    constant = draw(st.sampled_from(("neither", "a", "b")))
    of_a = 0 if constant == "a" else draw(st.integers(0, 1))
    of_b = 1 if constant == "b" else draw(st.integers(0, 1))
    a = whole((depth, rows) if of_a else (rows, depth), draw(st.integers(0, 99)))
    b = whole((columns, depth) if of_b else (depth, columns), draw(st.integers(0, 99)))
    shape = f"11={draw(st.integers(0, 1))} 14={draw(st.integers(0, 1))}"
    keys = f"2={of_a} 3={of_b} 6=1 7={rows} 8={columns} 9={depth} 10=-1 {shape} 18=2"
    if constant == "neither":
        return f"Gemm gemm 2 1 in0 in1 out0 {keys}", [a, b]
    if constant == "a":
        return f"Gemm gemm 1 1 in0 out0 {keys} 4=1", [b]
    return f"Gemm gemm 1 1 in0 out0 {keys} 5=1", [a]


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(case=products(), seed=st.integers(0, 99))
def test_gemm_sums_as_the_engine_does(case: tuple[str, Arrays], seed: int) -> None:
    line, blobs = case
    graph = net(line, ONES, seed)
    expected = run_dynamic_int8(graph.layers[-1], *blobs)
    found = engine_output(graph, blobs)
    np.testing.assert_array_equal(expected, np.round(expected))
    # Packed rows are scaled by 0.9999999 on the host: far from the next whole number.
    np.testing.assert_allclose(found, expected, rtol=2e-7)
    np.testing.assert_array_equal(np.round(found), expected)


@pytest.mark.parametrize("broadcast", range(-1, 5))
@pytest.mark.parametrize("rows", [13, 16])
def test_gemm_adds_constants(broadcast: int, rows: int) -> None:
    keys = f"0=1.500000e+00 1=5.000000e-01 3=1 5=1 6=1 7={rows} 8=10 9=17 10={broadcast} 18=2"
    assert_agrees(net(f"Gemm gemm 1 1 in0 out0 {keys}"), noise((rows, 17)))


@pytest.mark.parametrize("shape", [(13, 10), (13, 1), (1, 10), (10,), (13,), (1,)])
def test_gemm_adds_data(shape: tuple[int, ...]) -> None:
    assert_agrees(net("Gemm gemm 3 1 in0 in1 in2 out0 3=1 18=2"), noise((13, 17), (10, 17), shape))


def test_gemm_with_rows_of_zeros() -> None:
    blobs = noise((6, 17), (10, 17))
    blobs[0][2] = 0
    graph = net("Gemm gemm 2 1 in0 in1 out0 3=1 18=2")
    assert_agrees(graph, blobs)
    assert not run_dynamic_int8(graph.layers[-1], *blobs)[2].any()


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("direction", [0, 1, 2])
def test_recurrent_layers(kind: str, gates: int, direction: int) -> None:
    size = 20 * 12 * gates * (2 if direction == 2 else 1)
    graph = net(f"{kind} layer 1 1 in0 out0 0=12 1={size} 2={direction} 8=2")
    blobs = noise((7, 20))
    blobs[0][3] = 0  # a step of silence
    assert_agrees(graph, blobs)


def test_an_lstm_with_a_projection() -> None:
    assert_agrees(net(f"LSTM layer 1 1 in0 out0 0=8 1={20 * 12 * 4} 3=12 8=2"), noise((7, 20)))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("scale", ["", "6=2.000000e-01"])
def test_attention(count: int, scale: str) -> None:
    names = " ".join(f"in{index}" for index in range(count))
    line = f"MultiHeadAttention layer {count} 1 {names} out0 0=16 1=4 2=384 3=24 4=24 18=2 {scale}"
    assert_agrees(net(line), noise((9, 24), (5, 24), (5, 24))[:count])


@pytest.mark.parametrize("mask", [(9, 9), (4, 9, 9), (1, 9, 9)])
def test_attention_with_a_mask(mask: tuple[int, ...]) -> None:
    line = "MultiHeadAttention layer 2 1 in0 in1 out0 0=16 1=4 2=384 3=24 4=24 5=1 18=2"
    assert_agrees(net(line), noise((9, 24), mask))


@pytest.mark.parametrize("bias", [0, 1])
def test_words(bias: int) -> None:
    graph = net(f"Embed layer 1 1 in0 out0 0=6 1=20 2={bias} 3=120 18=2")
    words = np.array([0, 3, 19, 25, -1], dtype=np.int32)
    # The engine reads the blob's bits as whole numbers.
    found = engine_output(graph, [words.view(np.float32)])
    expected = run_dynamic_int8(graph.layers[-1], words)
    assert expected.shape == (5, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_scales_of_zeros_are_one() -> None:
    scaled = scale_rows(np.array([[0, 0], [1, -2]], dtype=np.float32))
    assert scaled.scales.tolist() == [1, 63.5]
    assert scaled.codes.tolist() == [[0, 0], [64, -127]]
    assert scale_whole(np.zeros(3, dtype=np.float32)).scales.tolist() == [1]


def test_what_is_not_emulated_is_refused() -> None:
    line = "Gemm gemm 1 1 in0 out0 3=1 5=1 6=1 7=4 8=10 9=32 10=-1 18={}"
    assert is_dynamic_int8(net(line.format(2)).layers[-1])
    for layer in (net(line.format(0)).layers[-1], net(line.format(800)).layers[-1]):
        assert not is_dynamic_int8(layer)
        with pytest.raises(UnsupportedOperatorError, match="no dynamic int8 layer"):
            run_dynamic_int8(layer, *noise((4, 32)))
    cached = net("MultiHeadAttention layer 1 1 in0 out0 0=16 1=4 2=384 3=24 4=24 7=1 18=2").layers[-1]
    with pytest.raises(UnsupportedOperatorError, match="cache"):
        run_dynamic_int8(cached, *noise((9, 24)))
