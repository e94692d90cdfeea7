"""The numpy emulator of static int8 layers against the engine on the host: sums, requantized codes, floats.

Sums show as they are where all scales are one. Where the channels are a multiple of eight the host's code for depthwise
layers takes an approximate reciprocal (12 bits): there the emulator is given what the host makes of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from code_nets import ONES, Scales, code_net, emulate, random_codes, with_codes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedeploy.errors import ShapeMismatchError, UnsupportedOperatorError
from edgedeploy.graph import Graph, Layer
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.quantize.integer_layers import (
    accumulate,
    accumulator_units,
    engine_is_right,
    finish,
    quantize_input,
    requantizes,
    round_to_codes,
    run_int8_layer,
)

HOST = EngineOptions(threads=1, winograd43=False)
INPUT = "Input in0 0 1 in0"
QUANTIZE = "Quantize quantize 1 1 in0 codes 0=1"
IMAGE = (12, 13)
LARGEST_RECIPROCAL_ERROR = 4e-4

ACTIVATIONS = {
    "none": "",
    "relu": "9=1",
    "leaky": "9=2 -23310=1,1.250000e-01",
    "clip": "9=3 -23310=2,-5.000000e-01,6.000000e+00",
    "clip of whole numbers": "9=3 -23310=2,0,6",
    "sigmoid": "9=4",
    "mish": "9=5",
    "hardswish": "9=6 -23310=2,1.666667e-01,5.000000e-01",
}

Sweep = Callable[[Callable[..., None]], Callable[..., None]]


def sweep(examples: int) -> Sweep:
    """The same cases in every run; no saved failures, no limit on one case's time."""
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None)


def engine_output(graph: Graph, codes: NDArray[np.int8], options: EngineOptions = HOST) -> NDArray[np.float32]:
    (output,) = graph.outputs
    return Engine.from_graph(graph, options=options).run([output], {"in0": codes[None].astype(np.float32)})[output]


@st.composite
def geometries(draw: st.DrawFn) -> str:
    """Kernel, dilation, stride, padding and pad value, as ``.param`` keys."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    if draw(st.booleans()):
        height = width  # the engine's own code for 3x3 and 1x1
    vertical = draw(st.integers(1, 2 if height < 6 else 1))
    horizontal = draw(st.integers(1, 2 if width < 6 else 1))
    down, right = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    same = draw(st.sampled_from((0, 0, -233, -234)))
    if same:
        # Where a window is narrower than its stride the engine's SAME padding is negative and overruns its buffer.
        down, right = min(down, vertical * (height - 1) + 1), min(right, horizontal * (width - 1) + 1)
        pads = f"4={same} 14={same} 15={same} 16={same}"
    else:
        pads = " ".join(f"{key}={draw(st.integers(0, 3))}" for key in (4, 14, 15, 16))
    value = draw(st.sampled_from((0, 0, 127, 31)))
    return f"1={width} 11={height} 2={horizontal} 12={vertical} 3={right} 13={down} {pads} 18={value}"


def kernel_size(geometry: str) -> int:
    keys = dict(part.split("=") for part in geometry.split())
    return int(keys["1"]) * int(keys["11"])


def convolution(inputs: int, outputs: int, keys: str, *, bottom: str = "in0", term: int = 2, bias: int = 0) -> str:
    count = inputs * outputs * kernel_size(keys)
    return f"Convolution conv 1 1 {bottom} out0 0={outputs} 5={bias} 6={count} 8={term} {keys}"


def depthwise(channels: int, keys: str, *, bottom: str = "in0", term: int = 1, bias: int = 0) -> str:
    count = channels * kernel_size(keys)
    return f"ConvolutionDepthWise conv 1 1 {bottom} out0 0={channels} 5={bias} 6={count} 7={channels} 8={term} {keys}"


def read_codes(is_int8: bool) -> tuple[list[str], str]:
    """The layers before an int8 layer, and what it then reads: floats, or int8 as another layer would hand them on."""
    return ([INPUT, QUANTIZE], "codes") if is_int8 else ([INPUT], "in0")


CHANNELS = st.integers(1, 64) | st.sampled_from((8, 16, 24, 32, 64))


@sweep(30)
@given(geometry=geometries(), inputs=CHANNELS, outputs=CHANNELS, is_int8=st.booleans(), seed=st.integers(0, 99))
def test_convolutions_sum_as_the_engine_does(
    geometry: str, inputs: int, outputs: int, is_int8: bool, seed: int
) -> None:
    before, bottom = read_codes(is_int8)
    graph = code_net(*before, convolution(inputs, outputs, geometry, bottom=bottom), seed=seed, scales=ONES)
    codes = random_codes((inputs, *IMAGE), seed)
    np.testing.assert_array_equal(accumulate(graph.layers[-1], codes), engine_output(graph, codes))


@sweep(40)
@given(geometry=geometries(), channels=CHANNELS, is_int8=st.booleans(), seed=st.integers(0, 99))
def test_depthwise_convolutions_sum_as_the_engine_does(geometry: str, channels: int, is_int8: bool, seed: int) -> None:
    before, bottom = read_codes(is_int8)
    graph = code_net(*before, depthwise(channels, geometry, bottom=bottom), seed=seed, scales=ONES)
    codes = random_codes((channels, *IMAGE), seed)
    found, expected = engine_output(graph, codes), accumulate(graph.layers[-1], codes)
    if channels % 8 == 0:
        # The largest sum shows what the engine takes one to be; all others must then be whole numbers.
        one = found[largest(expected)] / expected[largest(expected)]
        assert abs(one - 1) <= LARGEST_RECIPROCAL_ERROR
        found = np.round(found.astype(np.float64) / one)
    np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_requantized_codes_are_the_engines_but_for_rare_single_steps(activation: str) -> None:
    steps = values = 0
    for inputs, outputs, keys in ((3, 16, "1=3 11=3 4=1"), (16, 20, "1=1 11=1"), (24, 13, "1=5 11=5 3=2 4=2")):
        line = convolution(inputs, outputs, f"{keys} {ACTIVATIONS[activation]}", term=102, bias=1)
        graph = code_net(INPUT, line, scales=Scales(output=55.0))
        tensor = np.random.default_rng(3).normal(size=(inputs, 40, 41)).astype(np.float32)
        found, expected = run_on_engine(graph, tensor), run_int8_layer(graph.layers[-1], tensor)
        assert expected.dtype == np.int8
        assert len(np.unique(expected)) > 50
        assert np.abs(found - expected).max() <= 1
        steps += int(np.count_nonzero(found != expected))
        values += expected.size
    assert steps <= values / 1000


def run_on_engine(graph: Graph, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    (output,) = graph.outputs
    return Engine.from_graph(graph, options=HOST).run([output], {"in0": tensor[None]})[output]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("channels", [12, 24])
def test_requantized_depthwise_codes_are_the_engines_but_for_rare_single_steps(activation: str, channels: int) -> None:
    steps = values = 0
    for keys in ("1=3 11=3 4=1", "1=3 11=3 3=2 4=1", "1=5 11=5 4=2"):
        line = depthwise(channels, f"{keys} {ACTIVATIONS[activation]}", term=101, bias=1)
        graph = code_net(INPUT, line, scales=Scales(output=18.0))
        tensor = np.random.default_rng(3).normal(size=(channels, 30, 31)).astype(np.float32)
        layer, found = graph.layers[-1], run_on_engine(graph, tensor)
        units = units_on_host(layer)
        np.testing.assert_allclose(
            units, accumulator_units(layer), rtol=1e-6 if channels == 12 else LARGEST_RECIPROCAL_ERROR
        )
        expected = finish(layer, accumulate(layer, quantize_input(layer, tensor)), units=units)
        assert len(np.unique(expected)) > 15
        assert np.abs(found - expected).max() <= 1
        steps += int(np.count_nonzero(found != expected))
        values += expected.size
    assert steps <= values / 1000


def units_on_host(layer: Layer) -> NDArray[np.float32]:
    """What the host's engine takes a depthwise layer's units for: its outputs without bias and activation tell."""
    bare = code_net(INPUT, depthwise(layer.integer(0, 0), f"1={layer.integer(1, 0)} 11={layer.integer(1, 0)}")).layers
    kept = tuple(item for item in layer.weights if item.name not in ("bias", "output_scales"))
    codes = random_codes((layer.integer(0, 0), 7, 7), 1)
    graph = code_int8(Graph(layers=(bare[0], replace(bare[1], weights=kept))))
    sums, outputs = accumulate(graph.layers[-1], codes), engine_output(graph, codes)
    return np.array(
        [made[largest(sum_)] / sum_[largest(sum_)] for made, sum_ in zip(outputs, sums, strict=True)], np.float32
    )


def largest(values: NDArray[np.int32]) -> tuple[np.intp, ...]:
    return np.unravel_index(np.abs(values).argmax(), values.shape)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_floats_agree(activation: str) -> None:
    tensor = np.random.default_rng(3).normal(size=(20, 9, 11)).astype(np.float32)
    for line in (
        convolution(20, 16, f"1=3 11=3 4=1 {ACTIVATIONS[activation]}", bias=1),
        convolution(20, 7, f"1=1 11=1 {ACTIVATIONS[activation]}", bias=1),
        depthwise(20, f"1=3 11=3 4=1 {ACTIVATIONS[activation]}", bias=1),
        f"InnerProduct conv 1 1 in0 out0 0=33 1=1 2={33 * 20 * 99} 8=2 {ACTIVATIONS[activation]}",
    ):
        graph = code_net(INPUT, line, scales=Scales(weights=(300.0, 500.0)))
        expected = run_int8_layer(graph.layers[-1], tensor)
        np.testing.assert_allclose(run_on_engine(graph, tensor), expected, rtol=2e-5, atol=2e-5, err_msg=line)


@sweep(30)
@given(
    shape=st.sampled_from([(24,), (64,), (7, 24), (16, 64), (4, 5, 6), (8, 3, 3), (5, 1, 1)]),
    outputs=st.integers(1, 40),
    is_int8=st.booleans(),
    seed=st.integers(0, 99),
)
def test_inner_products_sum_as_the_engine_does(shape: tuple[int, ...], outputs: int, is_int8: bool, seed: int) -> None:
    before, bottom = read_codes(is_int8)
    inputs = shape[1] if len(shape) == 2 else int(np.prod(shape))
    line = f"InnerProduct product 1 1 {bottom} out0 0={outputs} 2={inputs * outputs} 8=2"
    graph = code_net(*before, line, seed=seed, scales=ONES)
    codes = random_codes(shape, seed)
    expected = accumulate(graph.layers[-1], codes)
    assert expected.shape == ((shape[0], outputs) if len(shape) == 2 else (outputs,))
    np.testing.assert_array_equal(expected, engine_output(graph, codes))


def grouped(groups: int, inputs: int, outputs: int, term: int) -> str:
    count = inputs // groups * outputs * 9
    return f"ConvolutionDepthWise conv 1 1 in0 out0 0={outputs} 1=3 4=1 6={count} 7={groups} 8={term}"


@pytest.mark.parametrize(
    ("groups", "inputs", "outputs", "term"),
    [
        (2, 16, 16, 101),
        (2, 32, 32, 101),
        (4, 16, 16, 1),
        (4, 16, 16, 101),
        (3, 9, 6, 1),
        (2, 6, 4, 101),
        (16, 16, 32, 1),
    ],
)
def test_convolutions_in_groups_where_the_engine_is_right(groups: int, inputs: int, outputs: int, term: int) -> None:
    scales = ONES if term == 1 else replace(ONES, output=0.004)
    graph = code_net(INPUT, grouped(groups, inputs, outputs, term), scales=scales)
    assert engine_is_right(graph.layers[-1])
    codes = random_codes((inputs, 9, 11), 1)
    expected = run_int8_layer(graph.layers[-1], codes)
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(expected, engine_output(graph, codes))


@pytest.mark.parametrize(("groups", "channels"), [(2, 16), (2, 32), (3, 24)])
def test_groups_of_eight_outputs_in_floats_are_where_the_engine_is_wrong(groups: int, channels: int) -> None:
    layer = code_net(INPUT, grouped(groups, channels, channels, 1)).layers[-1]
    assert not engine_is_right(layer)
    assert engine_is_right(code_net(INPUT, grouped(groups, channels, channels, 101)).layers[-1])


@pytest.mark.parametrize("value", ["-2.000000e+01", "3.075000e+01", "-3.990000e+00"])
def test_pad_values_are_cut_to_whole_codes(value: str) -> None:
    """Eight channels or a multiple with a negative value are left out: there the host's engine pads with -1."""
    graph = code_net(INPUT, convolution(6, 5, f"1=3 11=3 4=2 18={value}"), scales=ONES)
    codes = random_codes((6, 5, 7), 1)
    np.testing.assert_array_equal(accumulate(graph.layers[-1], codes), engine_output(graph, codes))


def test_codes_go_from_layer_to_layer_padded_with_the_largest_code() -> None:
    """What a shifted range needs: readers of a Split, packed by eights and not, each padding with 127."""
    for middle in (16, 12):
        graph = code_net(
            INPUT,
            f"Convolution first 1 1 in0 a 0={middle} 1=3 4=1 5=1 6={middle * 27} 8=102",
            "Split split 1 3 a a0 a1 a2",
            f"Convolution wide 1 1 a0 b 0=24 1=3 4=1 5=1 6={middle * 24 * 9} 8=102 18=127",
            f"Convolution strided 1 1 a1 out1 0=5 1=5 3=2 4=2 5=1 6={middle * 5 * 25} 8=2 18=127",
            f"InnerProduct whole 1 1 a2 out2 0=3 1=1 2={middle * 99 * 3} 8=2",
            "Convolution last 1 1 b out0 0=7 1=3 4=-233 14=-233 15=-233 16=-233 5=1 6=1512 8=2 18=127",
            scales=Scales(weights=(1200.0, 1600.0), output=20.0),
        )
        tensor = np.random.default_rng(1).normal(size=(3, 9, 11)).astype(np.float32)
        names = ("a", "b", "out0", "out1", "out2")
        found = Engine.from_graph(graph, options=HOST).run(names, {"in0": tensor[None]})
        expected = emulate(graph, {"in0": tensor})
        for name in names:
            assert len(np.unique(expected[name])) > 2
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_where_the_hosts_winograd_overflows() -> None:
    """F(4,3) multiplies sums by 576: past 2^31 / 576 they wrap, short of it they hold."""
    line = convolution(64, 16, "1=3 11=3")
    for is_beyond in (False, True):
        graph = code_net(INPUT, line, scales=ONES)
        weights = np.full((16, 64, 3, 3), 127 if is_beyond else 50)
        graph = graph.with_layer(with_codes(graph.layer("conv"), weights))
        codes = np.full((64, 8, 8), 127, dtype=np.int8)
        expected = accumulate(graph.layers[-1], codes)
        assert (expected.max() > 2**31 / 576) == is_beyond
        assert np.array_equal(engine_output(graph, codes), expected)
        found = engine_output(graph, codes, EngineOptions(threads=1))
        # Short of the limit the host may lose one of a sum: it divides in float32.
        assert (np.abs(found - expected).max() > 1) == is_beyond


def test_a_weight_scale_of_zero_leaves_the_bias() -> None:
    graph = code_net(INPUT, convolution(4, 8, "1=1 11=1", bias=1))
    layer = graph.layers[-1]
    scales = layer.weight("weight_scales").array.copy()
    scales[3] = 0
    graph = graph.with_layer(layer.with_weight(layer.weight("weight_scales").with_array(scales)))
    codes = random_codes((4, 3, 5), 1)
    found = run_int8_layer(graph.layers[-1], codes)
    np.testing.assert_array_equal(found[3], np.full((3, 5), layer.weight("bias").array[3]))
    np.testing.assert_allclose(found, engine_output(code_int8(graph), codes), rtol=1e-5)


def code_int8(graph: Graph) -> Graph:
    """The same network, reading codes as they are."""
    first, *others = graph.layers
    quantize = code_net(INPUT, QUANTIZE, scales=ONES).layers[1]
    (layer,) = others
    return Graph(layers=(first, quantize, replace(layer, inputs=("codes",))))


def test_rounding() -> None:
    values = np.array([0.5, -0.5, 1.5, 2.5, 0.49999997, -126.5, 126.4, 200, -200], dtype=np.float32)
    assert round_to_codes(values).tolist() == [1, -1, 2, 3, 0, -127, 126, 127, -127]


def test_sums_beyond_float32_stay_exact() -> None:
    line = "InnerProduct product 1 1 in0 out0 0=1 2=4096 8=2"
    layer = code_net(INPUT, line, scales=ONES).layers[-1]
    layer = with_codes(layer, np.full((1, 4096), 127))
    codes = np.full(4096, 127, dtype=np.int8)
    codes[0] = 126
    assert accumulate(layer, codes).tolist() == [4096 * 127 * 127 - 127]


def test_other_layers_and_other_channels_are_refused() -> None:
    layer = code_net(INPUT, convolution(4, 8, "1=1 11=1")).layers[-1]
    with pytest.raises(ShapeMismatchError, match="takes 4 channels and got 5"):
        accumulate(layer, random_codes((5, 3, 3), 1))
    product = code_net(INPUT, "InnerProduct product 1 1 in0 out0 0=2 2=20 8=2").layers[-1]
    with pytest.raises(ShapeMismatchError, match="takes 10 channels and got 9"):
        run_int8_layer(product, random_codes((9,), 1))
    for other in (Layer(type="ReLU", name="relu"), layer.with_param(8, 0)):
        with pytest.raises(UnsupportedOperatorError, match="no int8 layer"):
            accumulate(other, random_codes((4, 3, 3), 1))


def test_which_layers_hand_codes_on() -> None:
    assert requantizes(code_net(INPUT, convolution(4, 8, "1=1 11=1", term=102)).layers[-1])
    assert not requantizes(code_net(INPUT, convolution(4, 8, "1=1 11=1")).layers[-1])
