"""Mixed precision: which layers go back to float, on a net with one layer that does the harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

import pytest
from int8_toys import BadlyScaled, Noise, prepared_by_hand
from random_nets import random_net

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import AccuracyError
from edgedeploy.quantize.assemble import Prepared, assemble
from edgedeploy.quantize.calibration_data import spread
from edgedeploy.quantize.evaluation import Evaluation, OutputError, evaluate
from edgedeploy.quantize.float_order import plan_of
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.layer_costs import FloatCosts, int8_macs, layer_costs
from edgedeploy.quantize.metrics import Cosine, Top1
from edgedeploy.quantize.precision import Action, Goal, PrecisionSearch, choose_precision
from edgedeploy.quantize.rebias import corrected_biases
from edgedeploy.quantize.sensitivity import SENSITIVITY_ITEMS

ITEMS = 40


@dataclass(frozen=True)
class Searched:
    """The badly scaled net, its layers chosen so that the cosine drops by no more than a tenth of a point."""

    data: Noise
    max_drop: float = 0.1

    @cached_property
    def prepared(self) -> Prepared:
        return prepared_by_hand(BadlyScaled().graph, self.data)

    @cached_property
    def found(self) -> PrecisionSearch:
        return choose_precision(self.prepared, self.data, range(ITEMS), Cosine(), goal=Goal(max_drop=self.max_drop))


@pytest.fixture(scope="module")
def net() -> Searched:
    return Searched(Noise(ITEMS))


def test_only_the_layer_that_does_the_harm_stays_in_float(net: Searched) -> None:
    assert net.found.keep_float == ("depthwise",)
    assert net.found.before.drop > 1
    assert net.found.after.drop <= net.max_drop


def test_before_and_after_are_what_the_networks_give(net: Searched) -> None:
    for keep_float, expected in (((), net.found.before), (net.found.keep_float, net.found.after)):
        model = assemble(net.prepared, keep_float=keep_float)
        assert evaluate(net.prepared.source, model, net.data, range(ITEMS), Cosine()) == expected


def test_sensitivities_are_of_layers_alone_in_int8(net: Searched) -> None:
    sample = spread(range(ITEMS), SENSITIVITY_ITEMS)
    candidates = net.prepared.candidates
    assert [layer.name for layer in net.found.layers] == list(candidates)
    for layer in net.found.layers:
        others = [name for name in candidates if name != layer.name]
        alone = evaluate(net.prepared.source, assemble(net.prepared, keep_float=others), net.data, sample, Cosine())
        assert layer.noise == alone.typical_noise > 0
        assert layer.drop == alone.drop
    assert max(net.found.layers, key=lambda layer: layer.drop).name == "depthwise"
    assert sum(layer.noise_share for layer in net.found.layers) == pytest.approx(1.0)
    assert max(net.found.layers, key=lambda layer: layer.noise_share).name == "depthwise"


def test_steps_say_what_was_tried(net: Searched) -> None:
    steps = net.found.steps
    assert steps[0].action is Action.TO_FLOAT
    costs = FloatCosts(net.prepared.graph, net.prepared.candidates, net.data.item(0))
    plan = plan_of(net.found.layers, costs)
    predicted = plan.count_for((net.max_drop / net.found.before.drop) ** 2)
    assert steps[0].layers == tuple(layer.name for layer in plan.layers[:predicted])
    assert steps[0].drop_before == net.found.before.drop
    assert all(step.holds == (step.drop_after <= net.max_drop) for step in steps)


def test_a_ratio_of_signal_to_error_can_be_asked_for(net: Searched) -> None:
    goal = Goal(min_sqnr_db=net.found.before.sqnr_db + 6)
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), goal=goal)
    assert found.keep_float and len(found.keep_float) < len(net.prepared.candidates)
    assert found.after.sqnr_db >= goal.min_sqnr_db > found.before.sqnr_db
    assert all(step.holds == (step.sqnr_db >= goal.min_sqnr_db) for step in found.steps)
    enough = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), goal=Goal(min_sqnr_db=0.0))
    assert enough.keep_float == ()


def test_where_decibels_are_asked_for_all_items_count_together(net: Searched) -> None:
    goal = Goal(min_sqnr_db=net.found.before.sqnr_db + 6)
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), goal=goal)
    sample = spread(range(ITEMS), SENSITIVITY_ITEMS)
    for layer in found.layers:
        others = [name for name in net.prepared.candidates if name != layer.name]
        alone = evaluate(net.prepared.source, assemble(net.prepared, keep_float=others), net.data, sample, Cosine())
        assert layer.noise == alone.noise_share != alone.typical_noise


def test_room_for_layers_to_come_back(net: Searched) -> None:
    def at(db: float) -> Evaluation:
        return replace(net.found.before, outputs=(OutputError(name="a", sqnr_db=db, cosine=1.0),))

    assert Goal(max_drop=1.0).room(at(30.0), at(20.0)) == inf
    assert Goal(min_sqnr_db=30.0).room(at(30.0), at(20.0)) == pytest.approx(0.0)
    # A thousandth of the signal may be noise, half of that is: what is left is a twentieth of the noise at 20 dB.
    assert Goal(min_sqnr_db=30.0).room(at(33.0103), at(20.0)) == pytest.approx(0.05, rel=1e-3)
    assert Goal(min_sqnr_db=30.0).room(at(29.0), at(20.0)) < 0


def test_more_than_float_can_give_is_refused(net: Searched) -> None:
    with pytest.raises(AccuracyError, match="dB with every layer in float, and 250 are asked for"):
        choose_precision(net.prepared, net.data, range(2), Cosine(), goal=Goal(min_sqnr_db=250.0))


@pytest.mark.parametrize(
    ("goal", "share"),
    [
        (Goal(max_drop=2.0), 0.25),
        (Goal(max_drop=5.0), 1.0),
        (Goal(max_drop=0.0), 0.0),
        (Goal(min_sqnr_db=30.0), 0.1),
        (Goal(min_sqnr_db=19.0), 1.0),
        (Goal(max_drop=2.0, min_sqnr_db=30.0), 0.1),
    ],
)
def test_how_much_error_a_goal_leaves(net: Searched, goal: Goal, share: float) -> None:
    """4 points lost at 20 dB: half as many are lost with a quarter of the error, which is 6 dB less."""
    found = replace(
        net.found.before, float_score=100.0, int8_score=96.0, outputs=(OutputError(name="a", sqnr_db=20.0, cosine=1.0),)
    )
    assert goal.wanted_share(found) == pytest.approx(share)
    assert goal.is_met(found) == (share == 1.0)


def test_layers_that_others_make_up_for_are_brought_back(net: Searched) -> None:
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), goal=Goal(max_drop=0.001))
    brought_back = [step for step in found.steps if step.action is Action.TO_INT8]
    assert brought_back
    costs = {layer.name: layer.cost for layer in found.layers}
    tried = [costs[step.layers[0]] for step in brought_back]
    assert tried == sorted(tried, reverse=True)
    assert found.after.drop <= 0.001
    for step in brought_back:
        assert (step.layers[0] not in found.keep_float) == step.holds


def test_nothing_is_put_back_where_the_limit_holds(net: Searched) -> None:
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), goal=Goal(max_drop=99.0))
    assert (found.keep_float, found.biases, found.steps, found.layers) == ((), (), (), ())
    assert found.evaluations == 1
    assert found.before == found.after


def test_sensitivities_can_be_had_anyway(net: Searched) -> None:
    found = choose_precision(
        net.prepared, net.data, range(ITEMS), Cosine(), goal=Goal(max_drop=inf), always_measure=True
    )
    assert found.keep_float == ()
    assert tuple(replace(layer, wins_db=None, wins=None) for layer in found.layers) == net.found.layers


def test_leaving_one_layer_out_says_what_the_outputs_and_the_metric_win(net: Searched) -> None:
    found = choose_precision(
        net.prepared,
        net.data,
        range(ITEMS),
        Cosine(),
        goal=Goal(max_drop=net.max_drop),
        calibration=[net.data.item(index) for index in range(4)],
        always_measure=True,
    )
    sample = spread(range(ITEMS), SENSITIVITY_ITEMS)
    calibration = [net.data.item(index) for index in range(4)]

    def measured(keep_float: tuple[str, ...]) -> Evaluation:
        biases = corrected_biases(net.prepared, calibration, keep_float) if keep_float else None
        model = assemble(net.prepared, keep_float=keep_float, biases=biases)
        return evaluate(net.prepared.source, model, net.data, sample, Cosine())

    everything = measured(())
    for layer in found.layers:
        without = measured((layer.name,))
        assert layer.wins_db == without.sqnr_db - everything.sqnr_db
        assert layer.wins == everything.drop - without.drop
    assert max(found.layers, key=lambda layer: layer.wins or 0.0).name == "depthwise"
    assert all(layer.wins is None for layer in net.found.layers), "it takes a run for each layer: only where asked for"


def test_the_smallest_limit_that_cannot_be_missed_holds(net: Searched) -> None:
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), goal=Goal(max_drop=0.0))
    assert set(found.keep_float) == set(net.prepared.candidates)
    assert found.after.drop == 0.0


@dataclass
class Restless:
    """Gives every answer a worse score than the one before."""

    name: str = "restless"
    calls: int = 0

    def score(self, item: Item, expected: Mapping[str, FloatArray], found: Mapping[str, FloatArray]) -> float:
        self.calls += 1
        return 1 / self.calls


def test_a_metric_that_does_not_repeat_itself_is_found_out(net: Searched) -> None:
    with pytest.raises(AccuracyError, match="with every layer in float") as caught:
        choose_precision(net.prepared, net.data, range(2), Restless(), goal=Goal(max_drop=0.1))
    assert "same score twice" in caught.value.hint


def test_a_network_without_candidates() -> None:
    net = random_net("Input in 0 1 in0", "ReLU relu 1 1 in0 out0")
    found = choose_precision(
        prepared_by_hand(net, Noise(2)), Noise(2), range(2), Top1(), goal=Goal(max_drop=0.0), always_measure=True
    )
    assert (found.keep_float, found.layers, found.after.drop) == ((), (), 0.0)


# --- costs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "shape", "macs"),
    [
        ("Convolution x 1 1 in0 out0 0=4 1=3 3=2 4=1 5=1 6=108", (3, 8, 10), 4 * 3 * 9 * 4 * 5),
        ("ConvolutionDepthWise x 1 1 in0 out0 0=3 1=3 5=1 6=27 7=3", (3, 8, 10), 3 * 9 * 6 * 8),
        ("Deconvolution x 1 1 in0 out0 0=4 1=2 3=2 5=1 6=48", (3, 8, 10), 48 * 8 * 10),
        ("Convolution1D x 1 1 in0 out0 0=5 1=3 5=1 6=60", (4, 10), 60 * 8),
        ("InnerProduct x 1 1 in0 out0 0=5 1=1 2=50", (10,), 50),
        ("InnerProduct x 1 1 in0 out0 0=5 1=1 2=50", (7, 10), 7 * 50),
    ],
)
def test_multiplications_are_counted(line: str, shape: tuple[int, ...], macs: int) -> None:
    graph = random_net("Input in 0 1 in0", line)
    assert layer_costs(graph, ["x"], Noise(1, shape=shape).item(0))["x"].macs == macs


def test_conversions_are_those_of_blobs_that_are_handed_on() -> None:
    graph = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=4 1=1 5=1 6=12",
        "Convolution middle 1 1 a b 0=8 1=1 5=1 6=32",
        "Convolution last 1 1 b c 0=4 1=1 5=1 6=32",
        "Pooling pool 1 1 c p 0=1 4=1",
        "InnerProduct classes 1 1 p out0 0=5 1=1 2=20",
    )
    names = ["first", "middle", "last", "classes"]
    found = layer_costs(graph, names, Noise(1).item(0))
    pixels = 8 * 8
    assert [found[name].conversions for name in names] == [4 * pixels, 12 * pixels, 8 * pixels, 0]
    assert found["middle"].total > found["middle"].macs == 32 * pixels
    assert found["classes"].total == found["classes"].macs == 20


def test_the_share_of_multiplications_in_int8(net: Searched) -> None:
    item = net.data.item(0)
    graph, prepared = net.prepared.graph, net.prepared
    costs = layer_costs(graph, prepared.candidates, item)
    total = sum(cost.macs for cost in costs.values())
    assert int8_macs(graph, assemble(prepared), item) == 1.0
    assert int8_macs(graph, assemble(prepared, keep_float=prepared.candidates), item) == 0.0
    found = int8_macs(graph, assemble(prepared, keep_float=["depthwise"]), item)
    assert found == pytest.approx(1 - costs["depthwise"].macs / total)


def test_items_are_spread_evenly() -> None:
    assert spread(range(100), 4) == (0, 25, 50, 75)
    assert spread([5, 9], 4) == (5, 9)
    assert spread([], 4) == ()
