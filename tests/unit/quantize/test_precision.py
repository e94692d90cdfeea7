"""Mixed precision: which layers go back to float, on a net with one layer that does the harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

import pytest
from int8_toys import BadlyScaled, Noise, prepared_by_hand
from random_nets import random_net

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import AccuracyError
from edgedeploy.quantize.assemble import Prepared, assemble
from edgedeploy.quantize.calibration_data import spread
from edgedeploy.quantize.evaluation import evaluate
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.metrics import Cosine, Top1
from edgedeploy.quantize.precision import Action, PrecisionSearch, choose_precision
from edgedeploy.quantize.segments import count_macs, find_segments
from edgedeploy.quantize.sensitivity import SENSITIVITY_ITEMS, SegmentSensitivity

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
        return choose_precision(self.prepared, self.data, range(ITEMS), Cosine(), max_drop=self.max_drop)


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


def test_sensitivities_are_differences_of_networks(net: Searched) -> None:
    sample = spread(range(ITEMS), SENSITIVITY_ITEMS)
    assert [layer.name for layer in net.found.layers] == list(net.prepared.candidates)
    base = evaluate(net.prepared.source, assemble(net.prepared), net.data, sample, Cosine())
    for layer in net.found.layers:
        alone = evaluate(
            net.prepared.source, assemble(net.prepared, keep_float=[layer.name]), net.data, sample, Cosine()
        )
        assert layer.sqnr_gain_db == alone.sqnr_db - base.sqnr_db
        assert layer.metric_gain == base.drop - alone.drop
        assert layer.noise_gain == pytest.approx(1 - alone.noise_share / base.noise_share)
    assert max(net.found.layers, key=lambda layer: layer.sqnr_gain_db).name == "depthwise"


def test_chains_are_the_segments(net: Searched) -> None:
    assert [segment.layers for segment in net.found.segments] == [
        ("first", "depthwise", "project"),
        ("expand", "back"),
        ("classes",),
    ]
    assert sum(segment.cost for segment in net.found.segments) == pytest.approx(1.0)
    assert net.found.segments[0].metric_gain == pytest.approx(1.0, abs=0.05)


def test_steps_say_what_was_tried(net: Searched) -> None:
    steps = net.found.steps
    assert steps[0].action is Action.TO_FLOAT
    assert steps[0].drop_before == net.found.before.drop
    peeled = {step.layers: step.holds for step in steps if step.action is Action.TO_INT8 and len(step.layers) == 1}
    assert peeled[("first",)]
    assert peeled[("project",)]
    assert not peeled[("depthwise",)]
    assert all(step.holds == (step.drop_after <= net.max_drop) for step in steps)


def test_nothing_is_put_back_where_the_limit_holds(net: Searched) -> None:
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), max_drop=99.0)
    assert (found.keep_float, found.steps, found.layers, found.segments) == ((), (), (), ())
    assert found.evaluations == 1
    assert found.before == found.after


def test_sensitivities_can_be_had_anyway(net: Searched) -> None:
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), max_drop=inf, always_measure=True)
    assert found.keep_float == ()
    assert found.layers == net.found.layers
    assert [segment.metric_gain for segment in found.segments] == [None, None, None]


def test_the_smallest_limit_that_cannot_be_missed_holds(net: Searched) -> None:
    found = choose_precision(net.prepared, net.data, range(ITEMS), Cosine(), max_drop=0.0)
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
        choose_precision(net.prepared, net.data, range(2), Restless(), max_drop=0.1)
    assert "same score twice" in caught.value.hint


def test_a_network_without_candidates() -> None:
    net = random_net("Input in 0 1 in0", "ReLU relu 1 1 in0 out0")
    found = choose_precision(
        prepared_by_hand(net, Noise(2)), Noise(2), range(2), Top1(), max_drop=0.0, always_measure=True
    )
    assert (found.keep_float, found.layers, found.after.drop) == ((), (), 0.0)


# --- segments --------------------------------------------------------------------------------------------------------


def long_chain(count: int) -> list[str]:
    lines = ["Input in 0 1 b0"]
    lines += [f"Convolution c{n} 1 1 b{n - 1} b{n} 0=4 1=1 5=1 6={12 if n == 1 else 16}" for n in range(1, count + 1)]
    return lines


def segments_of(*lines: str, gains: dict[str, float] | None = None, longest: int = 6) -> list[tuple[str, ...]]:
    graph = random_net(*lines)
    names = [layer.name for layer in graph.layers if layer.weights]
    found = find_segments(
        graph,
        names,
        gains=dict.fromkeys(names, 0.0) | (gains or {}),
        macs={name: 2**place for place, name in enumerate(names)},
        longest=longest,
    )
    assert sum(segment.macs for segment in found) == 2 ** len(names) - 1  # every layer once
    return [segment.layers for segment in found]


def test_layers_that_read_one_blob_as_codes_belong_together() -> None:
    assert segments_of(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=4 1=1 5=1 6=12",
        "Split split 1 2 a a0 a1",
        "Convolution left 1 1 a0 b 0=4 1=1 5=1 6=16",
        "Convolution right 1 1 a1 c 0=4 1=1 5=1 6=16",
        "BinaryOp add 2 1 b c d 0=0",
        "Convolution last 1 1 d out0 0=4 1=1 5=1 6=16",
    ) == [("first", "left", "right"), ("last",)]


def test_a_long_chain_is_cut_at_its_worst_layer() -> None:
    chain = tuple(f"c{n}" for n in range(1, 10))
    assert segments_of(*long_chain(9), longest=9) == [chain]
    assert segments_of(*long_chain(9), gains={"c4": 0.5, "c8": 0.1}, longest=5) == [chain[:3], ("c4",), chain[4:]]
    assert segments_of(*long_chain(9), gains={"c4": 0.5, "c8": 0.1}, longest=4) == [
        chain[:3],
        ("c4",),
        chain[4:7],
        ("c8",),
        ("c9",),
    ]
    assert segments_of(*long_chain(3), gains={"c1": 0.5}, longest=2) == [("c1",), ("c2", "c3")]


@pytest.mark.parametrize(
    ("line", "shape", "macs"),
    [
        ("Convolution x 1 1 in0 out0 0=4 1=3 3=2 4=1 5=1 6=108", (3, 8, 10), 4 * 3 * 9 * 4 * 5),
        ("ConvolutionDepthWise x 1 1 in0 out0 0=3 1=3 5=1 6=27 7=3", (3, 8, 10), 3 * 9 * 6 * 8),
        ("InnerProduct x 1 1 in0 out0 0=5 1=1 2=50", (10,), 50),
        ("InnerProduct x 1 1 in0 out0 0=5 1=1 2=50", (7, 10), 7 * 50),
    ],
)
def test_multiplications_are_counted(line: str, shape: tuple[int, ...], macs: int) -> None:
    graph = random_net("Input in 0 1 in0", line)
    assert count_macs(graph, ["x"], Noise(1, shape=shape).item(0)) == {"x": macs}


def test_what_gains_most_for_its_cost_comes_first() -> None:
    def merit(noise_gain: float, metric_gain: float | None, cost: float) -> float:
        return SegmentSensitivity(
            layers=("a",), sqnr_gain_db=0, noise_gain=noise_gain, metric_gain=metric_gain, macs=1, cost=cost
        ).merit

    assert merit(0.4, None, 0.1) > merit(0.4, None, 0.2)
    assert merit(0.4, 0.5, 0.1) > merit(0.4, None, 0.1) > merit(0.4, -0.5, 0.1)
    assert merit(0.01, None, 0.0) < merit(0.5, None, 0.02)  # next to no multiplications is not free


def test_items_are_spread_evenly() -> None:
    assert spread(range(100), 4) == (0, 25, 50, 75)
    assert spread([5, 9], 4) == (5, 9)
    assert spread([], 4) == ()
