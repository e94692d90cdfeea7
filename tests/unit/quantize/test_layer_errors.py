"""Each layer's own error and the accumulated one, against numpy and against networks built to isolate them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from int8_toys import BadlyScaled, Noise, prepared_by_hand
from random_nets import ONE_THREAD, random_net

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.linear import weight_of
from edgedeploy.quantize.assemble import INT8_OPTIONS, Prepared, assemble
from edgedeploy.quantize.choices import Encoding, Int8Model
from edgedeploy.quantize.error_sums import SQNR_CAP_DB, ErrorSums
from edgedeploy.quantize.layer_errors import LayerError, layer_errors

ITEMS = 3


@dataclass(frozen=True)
class Measured:
    """The badly scaled net with its layers' errors."""

    shifted: bool
    data: Noise

    @cached_property
    def prepared(self) -> Prepared:
        return prepared_by_hand(BadlyScaled().graph, self.data, shifted=self.shifted)

    @cached_property
    def model(self) -> Int8Model:
        return assemble(self.prepared)

    @cached_property
    def errors(self) -> dict[str, LayerError]:
        found = layer_errors(self.prepared.graph, self.model, self.data, range(ITEMS))
        assert [error.name for error in found] == list(self.prepared.candidates)
        return {error.name: error for error in found}

    def blobs(self, graph: Graph, *names: str) -> list[dict[str, FloatArray]]:
        engine = Engine.from_graph(graph, options=replace(INT8_OPTIONS, threads=1))
        return [engine.run(names, self.data.item(index).tensors) for index in range(ITEMS)]


@pytest.fixture(scope="module", params=[False, True], ids=["symmetric", "shifted"])
def net(request: pytest.FixtureRequest) -> Measured:
    return Measured(request.param, Noise(ITEMS))


def test_own_error_of_a_layer_that_reads_codes_and_hands_on_floats(net: Measured) -> None:
    """``project``, 1x1: computed in numpy from the float network's numbers."""
    source, layer = net.model.encodings["b"], net.prepared.graph.layer("project")
    decision = net.prepared.decisions["project"].weights
    weight = decision.codes.astype(float)[:, :, 0, 0] / decision.scales.astype(float)[:, np.newaxis]
    sums = []
    for blobs in net.blobs(net.prepared.graph, "b", "c"):
        read = source.decode(source.encode(blobs["b"])).astype(float)
        alone = np.einsum("oi,ihw->ohw", weight, read) + decision.bias[:, np.newaxis, np.newaxis]
        sums.append(ErrorSums.of(blobs["c"], alone.astype(np.float32)))
    assert weight_of(layer).shape == (8, 16, 1, 1)
    expected = ErrorSums.total(sums)
    found = net.errors["project"]
    assert found.own_sqnr_db == pytest.approx(expected.sqnr_db, abs=1e-3)
    assert found.own_cosine == pytest.approx(expected.cosine, abs=1e-7)


def test_own_error_of_a_layer_that_reads_codes_and_hands_codes_on() -> None:
    """``middle``, 1x1, between two others: ReLU, requantized."""
    net = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=8 1=1 5=1 6=24 9=1",
        "Convolution middle 1 1 a b 0=8 1=1 5=1 6=64 9=1",
        "Convolution last 1 1 b out0 0=4 1=1 5=1 6=32",
    )
    data = Noise(1)
    prepared = prepared_by_hand(net, data)
    model = assemble(prepared)
    assert (model.encodings["a"].direction, model.encodings["b"].direction) == (-1, -1)
    blobs = Engine.from_graph(net, options=ONE_THREAD).run(["a", "b"], data.item(0).tensors)
    decision = prepared.decisions["middle"].weights
    weight = decision.codes.astype(float)[:, :, 0, 0] / decision.scales.astype(float)[:, np.newaxis]
    source, output = model.encodings["a"], model.encodings["b"]
    read = source.decode(source.encode(blobs["a"])).astype(float)
    alone = np.einsum("oi,ihw->ohw", weight, read) + decision.bias[:, np.newaxis, np.newaxis]
    alone = output.decode(output.encode(np.maximum(alone, 0)))
    found = next(error for error in layer_errors(net, model, data, [0]) if error.name == "middle")
    assert found.own_sqnr_db == pytest.approx(ErrorSums.of(blobs["b"], alone).sqnr_db, abs=0.02)
    assert 30 < found.own_sqnr_db < 50


def test_own_and_accumulated_error_of_a_first_layer_are_the_same(net: Measured) -> None:
    first = net.errors["first"]
    assert first.own_sqnr_db == first.accumulated_sqnr_db
    assert first.own_cosine == first.accumulated_cosine
    assert 30 < first.own_sqnr_db < 50


def test_the_last_layer_accumulates_what_the_outputs_lose(net: Measured) -> None:
    expected = net.blobs(net.prepared.graph, "out0")
    found = net.blobs(net.model.graph, "out0")
    sums = ErrorSums.total(
        ErrorSums.of(left["out0"], right["out0"]) for left, right in zip(expected, found, strict=True)
    )
    last = net.errors["classes"]
    assert last.accumulated_sqnr_db == pytest.approx(sums.sqnr_db)
    assert last.accumulated_cosine == pytest.approx(sums.cosine)
    assert last.own_sqnr_db > last.accumulated_sqnr_db + 10


def test_the_layer_that_does_the_harm_stands_out(net: Measured) -> None:
    own = {name: error.own_sqnr_db for name, error in net.errors.items()}
    assert own.pop("depthwise") < 10
    assert min(own.values()) > 30
    assert net.errors["project"].accumulated_sqnr_db < 10


def test_a_layer_that_reads_distances_from_the_middle_of_its_range_is_fed_with_them(net: Measured) -> None:
    model = assemble(net.prepared, keep_float=["depthwise"])
    assert set(model.offers) == ({"b"} if net.shifted else set())
    errors = layer_errors(net.prepared.graph, model, net.data, range(ITEMS))
    project = next(error for error in errors if error.name == "project")
    assert project.own_sqnr_db == pytest.approx(net.errors["project"].own_sqnr_db, abs=0.01)
    assert project.accumulated_sqnr_db > net.errors["project"].accumulated_sqnr_db + 10


def test_layers_in_float_only_accumulate(net: Measured) -> None:
    graph, kept = net.prepared.graph, ["depthwise", "classes"]
    model = assemble(net.prepared, keep_float=kept)
    found = {error.name: error for error in layer_errors(graph, model, net.data, range(ITEMS))}
    assert list(found) == list(net.prepared.candidates)
    for name in kept:
        blob = graph.layer(name).outputs[0]
        pairs = zip(net.blobs(graph, blob), net.blobs(model.graph, blob), strict=True)
        # Where readers have a shifted range a float layer gives distances from its middle.
        numbers = model.offers[blob].from_middle if blob in model.offers else np.asarray
        expected = ErrorSums.total(ErrorSums.of(left[blob], numbers(right[blob])) for left, right in pairs)
        assert found[name].accumulated_sqnr_db == pytest.approx(expected.sqnr_db)
        assert found[name].accumulated_cosine == pytest.approx(expected.cosine)
        assert (found[name].own_sqnr_db, found[name].own_cosine, found[name].clipping) == (SQNR_CAP_DB, 1.0, 0.0)
        assert 20 < found[name].accumulated_sqnr_db < 60
    assert ("b" in model.offers) == net.shifted


def test_with_everything_in_float_there_is_no_error(net: Measured) -> None:
    everything = assemble(net.prepared, keep_float=net.prepared.candidates)
    found = layer_errors(net.prepared.graph, everything, net.data, [0])
    assert [error.accumulated_sqnr_db for error in found] == [SQNR_CAP_DB] * len(net.prepared.candidates)


# --- clipping --------------------------------------------------------------------------------------------------------


def test_clipping_counts_values_beyond_half_a_step() -> None:
    net = random_net("Input in 0 1 in0", "InnerProduct fc 1 1 in0 out0 0=2 1=1 2=20")
    data = Noise(5, shape=(10,))
    prepared = prepared_by_hand(net, data)
    values = np.concatenate([data.item(index).tensors["in0"].ravel() for index in range(5)])
    threshold = float(np.quantile(np.abs(values), 0.8))
    narrow = replace(prepared, encodings={"in0": Encoding(scale=127 / threshold)})
    (error,) = layer_errors(net, assemble(narrow), data, range(5))
    assert error.clipping == np.mean(np.abs(values) > threshold * (1 + 0.5 / 127))
    assert 0.1 < error.clipping < 0.25
    (whole,) = layer_errors(net, assemble(prepared), data, range(5))
    assert whole.clipping == 0.0
    assert whole.own_sqnr_db > error.own_sqnr_db + 10


def test_the_end_of_a_clip_is_not_clipping() -> None:
    """ReLU6's 6 is the highest number of a shifted range, but not to the last bit."""
    net = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=8 1=3 4=1 5=1 6=216 9=3 -23310=2,0.0,6.0",
        "Convolution second 1 1 a out0 0=4 1=1 5=1 6=32",
    )
    data = Noise(2)
    model = assemble(prepared_by_hand(net, data))
    blob = Engine.from_graph(net, options=ONE_THREAD).run(["a"], data.item(0).tensors)["a"]
    assert np.mean(blob == 6.0) > 0.05
    encoding = model.choice("second").input
    assert encoding is not None
    assert encoding.lowest == 0.0
    assert encoding.highest == pytest.approx(6.0)
    assert [error.clipping for error in layer_errors(net, model, data, range(2))] == [0.0, 0.0]
