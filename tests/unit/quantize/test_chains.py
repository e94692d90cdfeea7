"""Which layers can be int8, and which blobs they hand on as codes."""

from __future__ import annotations

import pytest
from random_nets import random_net

from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.quantize.candidates import find_candidates
from edgedeploy.quantize.chains import can_shift, copies_of, find_chains, source_blob

INPUT = "Input in 0 1 x 0=9 1=9 2=4"
FIRST = "Convolution first 1 1 x a 0=8 1=3 4=1 5=1 6=288 9=1"
SPLIT = "Split split 1 2 a a1 a2"
LEFT = "Convolution left 1 1 a1 b 0=8 1=1 5=1 6=64"
RIGHT = "ConvolutionDepthWise right 1 1 a2 c 0=8 1=3 4=1 5=1 6=72 7=8"
ADD = "BinaryOp add 2 1 b c y 0=0"


def test_codes_go_through_a_split_to_convolutions() -> None:
    graph = random_net(INPUT, FIRST, SPLIT, LEFT, RIGHT, ADD)
    chains = find_chains(graph, ["first", "left", "right"])
    assert chains.handed_on == {"a"}
    assert chains.readers == {"x": ("first",), "a": ("left", "right")}
    assert chains.sources == {"first": "x", "left": "a", "right": "a"}
    wiring = wiring_of(graph)
    assert copies_of("a", wiring) == ("a", "a1", "a2")
    assert source_blob("a2", wiring) == "a"


@pytest.mark.parametrize("missing", ["first", "left", "right"])
def test_one_layer_in_float_keeps_the_blob_in_float(missing: str) -> None:
    graph = random_net(INPUT, FIRST, SPLIT, LEFT, RIGHT, ADD)
    int8 = {"first", "left", "right"} - {missing}
    found = find_chains(graph, int8)
    assert not found.handed_on
    # A float maker can still move its numbers for readers that are all in int8.
    assert found.offered == (frozenset({"a"}) if missing == "first" else frozenset())


@pytest.mark.parametrize(
    "reader",
    ["BinaryOp scale 1 1 a2 c 0=2 1=1 2=2.0", "InnerProduct fc 1 1 a2 c 0=8 1=1 2=5184", "Noop copy 1 1 a2 c"],
)
def test_readers_that_take_no_codes_keep_the_blob_in_float(reader: str) -> None:
    graph = random_net(INPUT, FIRST, SPLIT, LEFT, reader)
    assert not find_chains(graph, ["first", "left", "fc"]).handed_on


def test_outputs_of_the_network_stay_floats() -> None:
    graph = random_net(INPUT, FIRST, SPLIT, LEFT)
    assert find_chains(graph, ["first", "left"]).handed_on == frozenset()


@pytest.mark.parametrize(
    ("activation", "shifts"),
    [
        ("", False),
        ("9=1", True),
        ("9=2 -23310=1,0.1", False),
        ("9=3 -23310=2,0.0,6.0", True),
        ("9=3 -23310=2,-1.0,1.0", False),
        ("9=4", False),
        ("9=6 -23310=2,0.2,0.5", False),
    ],
)
def test_only_what_clamping_can_stand_for_is_shifted(activation: str, shifts: bool) -> None:
    layer = random_net(INPUT, f"Convolution conv 1 1 x y 0=8 1=1 5=1 6=32 {activation}").layer("conv")
    assert can_shift(layer) == shifts


def test_candidates_and_reasons() -> None:
    graph = random_net(
        INPUT,
        FIRST,
        "ConvolutionDepthWise grouped 1 1 a b 0=8 1=3 4=1 5=1 6=288 7=2",
        "Convolution padded 1 1 b c 0=8 1=3 4=1 5=1 6=576 18=-1.5",
        "Deconvolution up 1 1 c d 0=8 1=2 3=2 5=1 6=256",
        "Pooling pool 1 1 d p 0=1 4=1",
        "InnerProduct fc 1 1 p y 0=10 1=1 2=80",
    )
    found = find_candidates(graph)
    assert found.static == ("first", "fc")
    assert found.dynamic == ()
    assert list(found.left) == ["grouped", "padded", "up"]
    assert "grouped" in found.left["grouped"]
    assert "negative" in found.left["padded"]
    assert "Deconvolution" in found.left["up"]


def test_layers_that_multiply_with_no_matrix_are_not_mentioned() -> None:
    graph = random_net(INPUT, "PReLU act 1 1 x a 0=4", "Scale scale 1 1 a y 0=4 1=1")
    found = find_candidates(graph)
    assert not found.static
    assert not found.left
