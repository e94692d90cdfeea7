"""Running passes: what the records say, and that a pass which changes outputs is undone. And what a valid graph is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from random_nets import outputs_of, random_net, types_of

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import ConversionError, ParamSyntaxError, UnsupportedOperatorError
from edgedeploy.graph import Graph, Layer, check_graph
from edgedeploy.graph.passes import DEFAULT_PASSES, FUSE_ACTIVATIONS, Pass, largest_difference, run_passes

IMAGE = (3, 8, 10)
LINES = (
    "Input in 0 1 x",
    "Convolution conv 1 1 x a 0=6 1=3 5=1 6=162",
    "BatchNorm bn 1 1 a b 0=6",
    "ReLU act 1 1 b y",
)


def check(graph: Graph) -> Mapping[str, FloatArray]:
    return outputs_of(graph, IMAGE)


def _shifted(graph: Graph) -> Graph:
    """A wrong pass: it loses a bias."""
    conv = graph.layer("conv")
    return graph.with_layer(conv.with_weight(conv.weight("bias").with_array(np.zeros(6))))


def _broken(graph: Graph) -> Graph:
    """A wrong pass: it leaves a reader without its blob."""
    return replace(graph, layers=tuple(layer for layer in graph.layers if layer.name != "bn"))


def _refused(graph: Graph) -> Graph:
    """A wrong pass: it writes a kernel that the engine refuses to load."""
    return graph.with_layer(graph.layer("conv").with_param(2, -1))


def test_records_say_what_each_pass_did() -> None:
    graph, records = run_passes(random_net(*LINES), check)
    assert types_of(graph) == ["Input", "Convolution"]
    assert [record.name for record in records] == [item.name for item in DEFAULT_PASSES]
    did = {record.name: record for record in records if record.layers_changed}
    assert set(did) == {"fold-batch-norm", "fuse-activations"}
    fold, fuse = did["fold-batch-norm"], did["fuse-activations"]
    assert (fold.layers_before, fold.layers_after, fold.layers_changed, fold.kept) == (4, 3, 2, True)
    assert (fuse.layers_before, fuse.layers_after, fuse.layers_changed, fuse.kept) == (3, 2, 2, True)
    assert all(0 <= record.max_difference < 1e-5 for record in did.values() if record.max_difference is not None)
    assert all(record.max_difference is None for record in records if record.name not in did)


def test_without_a_check_nothing_is_measured() -> None:
    graph, records = run_passes(random_net(*LINES), None)
    assert types_of(graph) == ["Input", "Convolution"]
    assert {record.max_difference for record in records} == {None}
    assert all(record.kept for record in records)


@pytest.mark.parametrize("wrong", [_shifted, _broken, _refused])
def test_a_wrong_pass_is_undone_and_the_others_go_on(wrong: Callable[[Graph], Graph]) -> None:
    graph, records = run_passes(random_net(*LINES), check, passes=(Pass("wrong", wrong), FUSE_ACTIVATIONS))
    first, second = records
    assert not first.kept
    assert first.max_difference is not None
    assert first.max_difference > 0.01
    assert first.layers_changed >= 1
    assert second.layers_before == 4
    assert graph == FUSE_ACTIVATIONS.apply(random_net(*LINES))


def test_drift_adds_up_against_the_first_graph() -> None:
    """Two passes, each within the tolerance, that together are not: the second one goes."""

    def nudged(graph: Graph) -> Graph:
        conv = graph.layer("conv")
        weight = conv.weight("weight")
        bias = conv.weight("bias")
        larger = conv.with_weight(weight.with_array(weight.array * 1.006)).with_weight(
            bias.with_array(bias.array * 1.006)
        )
        return graph.with_layer(larger)

    graph = random_net(*LINES[:2])
    _, records = run_passes(graph, check, 0.01, (Pass("first", nudged), Pass("second", nudged)))
    assert [record.kept for record in records] == [True, False]


def test_an_error_on_the_graph_given_is_the_callers() -> None:
    def failing(_: Graph) -> Mapping[str, FloatArray]:
        raise ConversionError("no output", hint="-")

    with pytest.raises(ConversionError):
        run_passes(random_net(*LINES), failing)
    with pytest.raises(ParamSyntaxError):
        run_passes(_broken(random_net(*LINES)), check)


def test_differences_are_relative_to_each_output() -> None:
    expected = {"a": np.float32([0, 4]), "b": np.float32([0, 400])}
    assert largest_difference({"a": np.float32([0, 4.1]), "b": np.float32([0, 401])}, expected) == pytest.approx(0.025)
    assert largest_difference(expected, expected) == 0
    assert largest_difference({"a": np.float32([0.5])}, {"a": np.float32([0])}) == 0.5


@pytest.mark.parametrize(
    "found",
    [
        {"a": np.float32([[1, np.inf]])},
        {"a": np.float32([np.nan, np.inf])},
        {"a": np.float32([1, 2])},
        {"a": np.float32([1, -np.inf])},
        {"b": np.float32([1, np.inf])},
    ],
)
def test_other_shapes_names_and_values_that_are_not_finite_differ_without_bound(found: dict[str, FloatArray]) -> None:
    assert math.isinf(largest_difference(found, {"a": np.float32([1, np.inf])}))


def test_equal_values_that_are_not_finite_agree() -> None:
    values = {"a": np.float32([1, np.inf, -np.inf, np.nan])}
    assert largest_difference(values, values) == 0


# --- what a valid graph is -------------------------------------------------------------------------------------------


def _with_layers(graph: Graph, *more: Layer) -> Graph:
    return replace(graph, layers=(*graph.layers, *more))


def test_valid_graphs_pass() -> None:
    check_graph(random_net(*LINES))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (Layer(type="ReLU", name="act", inputs=("y",), outputs=("z",)), "2 layers are named act"),
        (Layer(type="ReLU", name="more", inputs=("b",), outputs=("z",)), "2 layers read blob b"),
        (Layer(type="ReLU", name="more", inputs=("missing",), outputs=("z",)), "reads blob missing"),
        (Layer(type="ReLU", name="more", inputs=("y",), outputs=("a",)), "makes blob a a second time"),
        (Layer(type="Split", name="more", inputs=("y",), outputs=()), "Split more needs"),
        (Layer(type="PReLU", name="more", inputs=("y",), outputs=("z",)), "announces the weights"),
    ],
)
def test_each_fault_is_named(more: Layer, message: str) -> None:
    with pytest.raises(ParamSyntaxError, match=message):
        check_graph(_with_layers(random_net(*LINES), more))


def test_unknown_types_are_named() -> None:
    with pytest.raises(UnsupportedOperatorError, match="Conv"):
        check_graph(_with_layers(random_net(*LINES), Layer(type="Conv", name="more", inputs=("y",), outputs=("z",))))
