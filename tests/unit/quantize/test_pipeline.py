"""The whole stage on small networks: the engine's int8 against what was decided, and every refusal."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from int8_toys import Noise
from random_nets import ONE_THREAD, random_net, with_values

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import AlreadyQuantizedError, CalibrationDataError, NonFiniteModelError
from edgedeploy.graph import Graph, check_graph, format_param, parse_param, weights_bytes
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.linear import Activation, activation_of
from edgedeploy.quantize.choices import Winograd
from edgedeploy.quantize.decide import with_decision
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.pipeline import INT8_OPTIONS, NO_DATA, assemble, prepare, quantize
from edgedeploy.quantize.settings import NAIVE, Calibrator, RangeRule, Rounding, Settings, Target

NO_DOTPROD = Target(name="rk3399", dotprod=False)
DOTPROD = Target(name="rk3588", dotprod=True)
DATA = Noise(24)
FEW = Settings(images=16)


def net(activation: str = "9=3 -23310=2,0.0,6.0") -> Graph:
    """An inverted residual block, its head, and ten classes."""
    return random_net(
        "Input in 0 1 in0",
        f"Convolution stem 1 1 in0 a 0=16 1=3 4=1 5=1 6=432 {activation}",
        f"ConvolutionDepthWise dw 1 1 a b 0=16 1=3 4=1 5=1 6=144 7=16 {activation}",
        "Convolution project 1 1 b c 0=8 1=1 5=1 6=128",
        "Split split 1 2 c c0 c1",
        f"Convolution expand 1 1 c0 d 0=24 1=1 5=1 6=192 {activation}",
        f"ConvolutionDepthWise dw2 1 1 d e 0=24 1=3 4=1 5=1 6=216 7=24 {activation}",
        "Convolution back 1 1 e f 0=8 1=1 5=1 6=192",
        "BinaryOp add 2 1 c1 f g 0=0",
        "Pooling pool 1 1 g p 0=1 4=1",
        "InnerProduct classes 1 1 p out0 0=10 1=1 2=80",
        seed=6,
    )


def run(graph: Graph, data: Data, index: int = 20, blobs: tuple[str, ...] = ("out0",)) -> dict[str, FloatArray]:
    engine = Engine.from_graph(graph, options=replace(INT8_OPTIONS, threads=1))
    return engine.run(list(blobs), data.item(index).tensors)


def sqnr_db(expected: FloatArray, found: FloatArray) -> float:
    return float(10 * np.log10(np.square(expected).sum() / np.square(expected - found).sum()))


@pytest.mark.parametrize("ranges", list(RangeRule))
@pytest.mark.parametrize("target", [DOTPROD, NO_DOTPROD], ids=lambda target: target.name)
def test_int8_stays_close_to_float(ranges: RangeRule, target: Target) -> None:
    graph = net()
    prepared, model = quantize(graph, DATA, target=target, settings=replace(FEW, ranges=ranges))
    check_graph(model.graph)
    assert parse_param(format_param(model.graph)).outputs == graph.outputs
    assert [choice.name for choice in model.layers if choice.int8] == list(prepared.candidates)
    assert set(model.encodings) == {"a", "b", "d", "e"}
    assert sqnr_db(run(graph, DATA)["out0"], run(model.graph, DATA)["out0"]) > 25
    assert sqnr_db(run(graph, DATA)["out0"], run(prepared.graph, DATA)["out0"]) > 90


@pytest.mark.parametrize("target", [DOTPROD, NO_DOTPROD], ids=lambda target: target.name)
def test_made_anew_it_has_the_same_bytes(target: Target) -> None:
    """With all threads and what is on by default; a large network's is held against itself in nightly."""
    first, second = (quantize(net(), DATA, target=target)[1].graph for _ in range(2))
    assert format_param(first) == format_param(second)
    assert weights_bytes(first) == weights_bytes(second)


@pytest.mark.parametrize("activation", ["9=1", "9=3 -23310=2,0.0,6.0"])
def test_shifted_ranges_need_no_activation_and_halve_the_error(activation: str) -> None:
    graph = net(activation)
    error = {}
    for ranges in RangeRule:
        _, model = quantize(graph, DATA, target=DOTPROD, settings=replace(FEW, ranges=ranges))
        error[ranges] = -sqnr_db(run(graph, DATA)["out0"], run(model.graph, DATA)["out0"])
        kinds = {activation_of(model.graph.layer(name)) for name in ("stem", "dw", "expand", "dw2")}
        shifted = ranges is RangeRule.SHIFTED
        assert kinds <= ({Activation.NONE} if shifted else {Activation.RELU, Activation.CLIP})
        assert all(item.lowest == pytest.approx(0, abs=1e-5) for item in model.encodings.values()) == shifted
    assert error[RangeRule.SHIFTED] < error[RangeRule.SYMMETRIC] - 1.5


def test_the_engine_computes_what_was_decided() -> None:
    prepared, model = quantize(net(), DATA, target=DOTPROD, settings=FEW)
    blobs = ("a", "b", "d", "e")
    codes = run(model.graph, DATA, blobs=blobs)
    stem = with_decision(prepared.graph.layer("stem"), prepared.decisions["stem"])
    inputs = prepared.encodings["in0"]
    tensor = inputs.decode(inputs.encode(DATA.item(20).tensors["in0"]))
    alone = replace(prepared.graph, layers=(prepared.graph.layers[0], stem))
    expected = Engine.from_graph(alone, options=ONE_THREAD).run(["a"], {"in0": tensor})["a"]
    encoding = model.encodings["a"]
    difference = np.abs(encoding.encode(expected) - codes["a"].astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    assert all(np.abs(codes[blob]).max() <= 127 and (codes[blob] % 1 == 0).all() for blob in blobs)


def test_layers_put_back_to_float_break_chains_and_help() -> None:
    graph = net()
    prepared, model = quantize(graph, DATA, target=DOTPROD, settings=FEW)
    partly = assemble(prepared, keep_float=["dw"])
    assert set(partly.encodings) == {"d", "e"}
    assert not partly.choice("dw").int8
    assert partly.choice("stem").output is None
    assert set(partly.offers) == {"b"}
    assert partly.choice("project").input == model.choice("project").input
    nothing = assemble(prepared, keep_float=prepared.candidates)
    expected = run(graph, DATA)["out0"]
    assert sqnr_db(expected, run(partly.graph, DATA)["out0"]) > 25
    assert sqnr_db(expected, run(nothing.graph, DATA)["out0"]) > 90
    with pytest.raises(KeyError, match="nobody"):
        assemble(prepared, keep_float=["nobody"])
    assert model.choice("dw").int8


@pytest.mark.parametrize("activation", ["9=1", "9=3 -23310=2,0.0,6.0"])
def test_a_float_layer_offers_its_numbers_in_the_readers_range(activation: str) -> None:
    prepared, model = quantize(net(activation), DATA, target=DOTPROD, settings=FEW)
    partly = assemble(prepared, keep_float=["stem", "dw2"])
    assert set(partly.offers) == {"a", "e"}
    assert set(partly.encodings) == {"b"}
    encoding = partly.offers["a"]
    assert encoding == model.encodings["a"]
    expected = np.clip(run(prepared.graph, DATA, blobs=("a",))["a"], encoding.lowest, encoding.highest)
    found = run(partly.graph, DATA, blobs=("a",))["a"]
    np.testing.assert_allclose(found, encoding.moved(expected), atol=1e-4)
    assert np.abs(found).max() <= encoding.middle * (1 + 1e-6)
    # Nothing is lost against codes: symmetric ranges would cost the readers a bit.
    whole = run(net(activation), DATA)["out0"]
    assert sqnr_db(whole, run(partly.graph, DATA)["out0"]) > sqnr_db(whole, run(model.graph, DATA)["out0"]) - 1.5


def test_the_same_input_gives_the_same_network() -> None:
    first, model = quantize(net(), DATA, target=DOTPROD, settings=FEW)
    _, again = quantize(net(), DATA, target=DOTPROD, settings=FEW)
    assert model.graph == again.graph
    assert assemble(pickle.loads(pickle.dumps(first))).graph == model.graph


def test_bias_correction_takes_the_mean_error_away() -> None:
    graph = net("9=1")
    mean_errors = {}
    for corrected in (False, True):
        settings = replace(NAIVE, images=24, correct_bias=corrected)
        _, model = quantize(graph, DATA, target=DOTPROD, settings=settings)
        errors = [run(model.graph, DATA, index)["out0"] - run(graph, DATA, index)["out0"] for index in range(24)]
        mean_errors[corrected] = float(np.abs(np.mean(errors, axis=0)).mean())
        assert (max(choice.bias_correction for choice in model.layers) > 0) == corrected
    assert mean_errors[True] < 0.8 * mean_errors[False]  # not zero: items of much energy count less


def test_rounding_for_outputs_beats_nearest() -> None:
    graph = net("9=1")
    found = {}
    for rounding in Rounding:
        _, model = quantize(graph, DATA, target=DOTPROD, settings=replace(FEW, rounding=rounding))
        found[rounding] = [sqnr_db(run(graph, DATA, i)["out0"], run(model.graph, DATA, i)["out0"]) for i in range(24)]
    assert np.mean(found[Rounding.OUTPUT]) > np.mean(found[Rounding.NEAREST])


@pytest.mark.parametrize("calibrator", list(Calibrator))
def test_every_calibrator_gives_a_network(calibrator: Calibrator) -> None:
    graph = net("9=1")
    _, model = quantize(graph, DATA, target=DOTPROD, settings=replace(NAIVE, images=16, calibrator=calibrator))
    assert sqnr_db(run(graph, DATA)["out0"], run(model.graph, DATA)["out0"]) > 12


def test_hard_channels_need_more_than_absmax() -> None:
    graph = net("9=1")
    factors = np.logspace(-2, 2, 16)
    stem, dw = graph.layer("stem"), graph.layer("dw")
    for layer, weight, scale in ((stem, "weight", factors), (stem, "bias", factors), (dw, "weight", 1 / factors)):
        values = np.asarray(layer.weight(weight).array, dtype=np.float64)
        graph = with_values(graph, layer.name, weight, values * scale.reshape(-1, *(1,) * (values.ndim - 1)))
    expected = run(graph, DATA)["out0"]
    _, naive = quantize(graph, DATA, target=DOTPROD, settings=replace(NAIVE, images=16))
    _, ours = quantize(graph, DATA, target=DOTPROD, settings=FEW)
    assert sqnr_db(expected, run(naive.graph, DATA)["out0"]) < 10
    assert sqnr_db(expected, run(ours.graph, DATA)["out0"]) > 25


def test_bits_and_winograd_follow_the_target() -> None:
    graph = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=64 1=1 5=1 6=192 9=1",
        "Convolution wide 1 1 a b 0=16 1=3 4=1 5=1 6=9216",
        "Pooling pool 1 1 b out0 0=1 4=1",
    )
    weight = np.abs(np.asarray(graph.layer("wide").weight("weight").array, dtype=np.float64))
    graph = with_values(graph, "wide", "weight", weight)  # all of one sign: the largest sums there can be
    symmetric = replace(FEW, ranges=RangeRule.SYMMETRIC)
    _, plain = quantize(graph, DATA, target=NO_DOTPROD, settings=symmetric)
    _, dotprod = quantize(graph, DATA, target=DOTPROD, settings=symmetric)
    assert dotprod.choice("wide").winograd is Winograd.NOT_USED
    assert set(dotprod.choice("wide").weight_bits) == {8}
    choice = plain.choice("wide")
    assert choice.accumulator_reason
    assert choice.accumulator_bound is not None
    assert choice.accumulator_limit is not None
    assert choice.accumulator_bound <= choice.accumulator_limit
    assert choice.winograd is not Winograd.NOT_USED
    assert (plain.graph.layer("wide").integer(31, 0) == 64) == (choice.winograd is Winograd.OFF)


def test_layers_that_nothing_reaches_stay_in_float() -> None:
    graph = net()
    for weight in ("weight", "bias"):
        values = np.zeros_like(graph.layer("stem").weight(weight).array, dtype=np.float64)
        graph = with_values(graph, "stem", weight, values)
    prepared, model = quantize(graph, DATA, target=DOTPROD, settings=FEW)
    assert prepared.left["dw"] == NO_DATA
    assert model.choice("dw").reason == NO_DATA
    assert np.isfinite(run(model.graph, DATA)["out0"]).all()


def test_refusals() -> None:
    graph = net()
    with pytest.raises(CalibrationDataError):
        prepare(graph, Noise(0), target=DOTPROD)
    values = np.asarray(graph.layer("dw").weight("weight").array, dtype=np.float64).copy()
    values[3] = np.nan
    with pytest.raises(NonFiniteModelError, match="dw"):
        prepare(with_values(graph, "dw", "weight", values), DATA, target=DOTPROD)
    _, model = quantize(graph, DATA, target=DOTPROD, settings=FEW)
    with pytest.raises(AlreadyQuantizedError):
        prepare(model.graph, DATA, target=DOTPROD)
