from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_nets import random_net, with_values

from edgedeploy.errors import AlreadyQuantizedError, NonFiniteModelError
from edgedeploy.graph import Graph, Storage, make_weight
from edgedeploy.quantize.precheck import check_quantizable

LINES = (
    "Input x 0 1 x",
    "Convolution one 1 1 x a 0=4 1=3 4=1 5=1 6=108 9=1",
    "BatchNorm bn 1 1 a b 0=4",
    "Convolution two 1 1 b c 0=4 1=3 4=1 5=1 6=144",
    "InnerProduct fc 1 1 c out 0=2 1=1 2=288",
)


@pytest.fixture
def graph() -> Graph:
    return random_net(*LINES)


def test_a_float_model_passes(graph: Graph) -> None:
    check_quantizable(graph)


@pytest.mark.parametrize("storage", [Storage.FP16, Storage.BF16])
def test_so_does_one_in_half_precision(graph: Graph, storage: Storage) -> None:
    layer = graph.layer("one")
    check_quantizable(graph.with_layer(layer.with_weight(layer.weight("weight").with_array(np.ones(108), storage))))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_all_layers_that_are_not_finite_are_listed(graph: Graph, value: float) -> None:
    weight = np.ones((4, 4, 3, 3))
    weight[3, 3, 2, 2] = value
    broken = with_values(graph, "two", "weight", weight)
    broken = with_values(broken, "bn", "variance", np.array([1.0, 1.0, value, 1.0]))
    broken = with_values(broken, "fc", "bias", np.array([value, 0.0]))
    with pytest.raises(NonFiniteModelError) as error:
        check_quantizable(broken)
    assert error.value.message.splitlines()[1:] == [
        "  bn (BatchNorm): variance",
        "  two (Convolution): weight",
        "  fc (InnerProduct): bias",
    ]
    assert error.value.hint


def test_half_precision_that_overflowed_is_found(graph: Graph) -> None:
    layer = graph.layer("one")
    with np.errstate(over="ignore"):
        weight = layer.weight("weight").with_array(np.full(108, 1e6), Storage.FP16)
    with pytest.raises(NonFiniteModelError, match="one"):
        check_quantizable(graph.with_layer(layer.with_weight(weight)))


@pytest.mark.parametrize(
    "line",
    [
        "Convolution two 1 1 b c 0=4 1=3 4=1 5=1 6=144 8=2",
        "Convolution two 1 1 b c 0=4 1=3 4=1 5=1 6=144 8=102",
        "ConvolutionDepthWise two 1 1 b c 0=4 1=3 4=1 5=1 6=36 7=4 8=1",
        "Quantize two 1 1 b c 0=1",
        "Dequantize two 1 1 b c 0=1 1=0",
    ],
)
def test_an_int8_model_is_refused(line: str) -> None:
    graph = random_net(*LINES[:3], line, LINES[4])
    with pytest.raises(AlreadyQuantizedError) as error:
        check_quantizable(graph)
    assert error.value.message.splitlines()[1:] == [f"  two ({line.split(maxsplit=1)[0]})"]
    assert error.value.hint


def test_int8_weights_are_refused_whatever_the_parameters_say(graph: Graph) -> None:
    layer = graph.layer("fc")
    codes = make_weight("weight", np.zeros((2, 144)), Storage.INT8)
    with pytest.raises(AlreadyQuantizedError, match="fc"):
        check_quantizable(graph.with_layer(replace(layer, weights=(codes, layer.weight("bias")))))
