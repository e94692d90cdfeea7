"""Biases that go with layers in float: corrected anew for what then reaches a layer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
from int8_toys import BadlyScaled, Noise, prepared_by_hand

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.linear import bias_of
from edgedeploy.quantize.assemble import INT8_OPTIONS, Prepared, assemble
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.metrics import Cosine
from edgedeploy.quantize.pipeline import decision_items, prepare
from edgedeploy.quantize.precision import Goal, choose_precision
from edgedeploy.quantize.rebias import corrected_biases, own_biases, rebiased
from edgedeploy.quantize.settings import NAIVE, Settings, Target

DATA = Noise(24)
TARGET = Target(name="toy", dotprod=True)
CORRECTED = replace(NAIVE, correct_bias=True, images=24)


class Net:
    """The badly scaled net by plain absmax, so that one layer has a large mean error for others to make up for."""

    settings: Settings = CORRECTED

    @cached_property
    def prepared(self) -> Prepared:
        return prepare(BadlyScaled().graph, DATA, target=TARGET, settings=self.settings)

    @cached_property
    def items(self) -> list[Item]:
        return decision_items(DATA, self.settings)

    def mean_error(self, model: Int8Model, blob: str) -> float:
        return float(np.abs(np.mean(self._outputs(model, blob) - self._outputs(None, blob), axis=(0, 2, 3))).mean())

    def _outputs(self, model: Int8Model | None, blob: str) -> FloatArray:
        graph = self.prepared.graph if model is None else model.graph
        engine = Engine.from_graph(graph, options=replace(INT8_OPTIONS, threads=1))
        return np.stack([engine.run([blob], item.tensors)[blob] for item in self.items])


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


def test_with_everything_in_int8_they_are_those_that_were_decided(net: Net) -> None:
    biases = corrected_biases(net.prepared, net.items, ())
    assert list(biases) == list(net.prepared.candidates)
    for name, bias in biases.items():
        decided = net.prepared.decisions[name].weights.bias
        np.testing.assert_allclose(bias, decided, atol=1e-3 * np.abs(decided).max())


def test_they_are_those_of_layers_in_int8_alone(net: Net) -> None:
    biases = corrected_biases(net.prepared, net.items, ["depthwise", "back"])
    assert list(biases) == ["first", "project", "expand", "classes"]


def test_what_made_up_for_a_layer_that_is_now_in_float_goes(net: Net) -> None:
    keep_float = ["depthwise"]
    stale = assemble(net.prepared, keep_float=keep_float)
    anew = assemble(net.prepared, keep_float=keep_float, biases=corrected_biases(net.prepared, net.items, keep_float))
    assert net.mean_error(anew, "c") < 0.5 * net.mean_error(stale, "c")


def test_a_layer_alone_in_int8_makes_up_for_itself(net: Net) -> None:
    biases = own_biases(net.prepared)
    others = [name for name in net.prepared.candidates if name != "project"]
    expected = corrected_biases(net.prepared, net.items, others)
    np.testing.assert_allclose(biases["project"], expected["project"], atol=1e-4)
    assert np.abs(biases["project"] - bias_of(net.prepared.graph.layer("project"))).max() > 0


def test_candidates_that_somebody_took_out_count_as_float(net: Net) -> None:
    prepared = net.prepared
    fewer = replace(
        prepared,
        candidates=tuple(name for name in prepared.candidates if name != "depthwise"),
        decisions={name: item for name, item in prepared.decisions.items() if name != "depthwise"},
    )
    expected = corrected_biases(prepared, net.items, ["depthwise"])
    found = rebiased(fewer, net.items)
    for name, bias in expected.items():
        np.testing.assert_array_equal(found.decisions[name].weights.bias, bias)


def test_where_biases_are_not_corrected_they_stay() -> None:
    plain = prepare(BadlyScaled().graph, DATA, target=TARGET, settings=replace(CORRECTED, correct_bias=False))
    assert corrected_biases(plain, decision_items(DATA, CORRECTED), ["first"]) == {}
    assert own_biases(plain) == {}
    by_hand = prepared_by_hand(BadlyScaled().graph, DATA)
    assert corrected_biases(by_hand, [DATA.item(0)], []) == {}


def test_the_search_hands_over_the_biases_that_it_measured_with(net: Net) -> None:
    found = choose_precision(net.prepared, DATA, range(24), Cosine(), goal=Goal(max_drop=0.01), calibration=net.items)
    assert found.keep_float
    assert found.after.drop <= 0.01
    expected = corrected_biases(net.prepared, net.items, found.keep_float)
    assert {name: np.array(bias).tolist() for name, bias in expected.items()} == {
        name: list(bias) for name, bias in found.biases
    }
    bias = found.model(net.prepared).graph.layer("classes").weight("bias").array
    np.testing.assert_allclose(bias, expected["classes"], rtol=1e-5, atol=1e-5)
