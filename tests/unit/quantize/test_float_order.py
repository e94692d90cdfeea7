"""The order in which layers go back to float, and what sets of them cost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from int8_toys import Noise
from random_nets import random_net

from edgedeploy.quantize.float_order import plan_of
from edgedeploy.quantize.layer_costs import CONVERSION_MACS, FloatCosts
from edgedeploy.quantize.sensitivity import LayerSensitivity

PIXELS = 8 * 8
CHAIN = (
    "Input in 0 1 in0",
    "Convolution first 1 1 in0 a 0=4 1=1 5=1 6=12",
    "Convolution middle 1 1 a b 0=8 1=1 5=1 6=32",
    "Convolution last 1 1 b c 0=4 1=1 5=1 6=32",
    "Pooling pool 1 1 c p 0=1 4=1",
    "InnerProduct classes 1 1 p out0 0=5 1=1 2=20",
)
NAMES = ("first", "middle", "last", "classes")


@pytest.fixture(scope="module")
def costs() -> FloatCosts:
    return FloatCosts(random_net(*CHAIN), NAMES, Noise(1).item(0))


def layer(name: str, noise_share: float) -> LayerSensitivity:
    return LayerSensitivity(name=name, noise=noise_share, noise_share=noise_share, drop=0.0, macs=1, cost=1.0)


def test_a_set_is_its_multiplications_and_the_conversions_at_its_ends(costs: FloatCosts) -> None:
    assert costs.all_macs == PIXELS * (12 + 32 + 32) + 20
    assert costs.of([]) == 0
    assert costs.of(["middle"]) == PIXELS * (32 + CONVERSION_MACS * (4 + 8))
    # Between two of them nothing is converted, and the network's input is not quantized.
    assert costs.of(["first", "middle"]) == PIXELS * (12 + 32 + CONVERSION_MACS * (8 - 3))
    assert costs.of(["first", "middle", "last"]) == PIXELS * (12 + 32 + 32 - CONVERSION_MACS * 3)


def test_what_a_layer_adds_is_the_difference_but_its_multiplications_at_least(costs: FloatCosts) -> None:
    for kept in ([], ["middle"], ["middle", "classes"]):
        assert costs.added("last", kept) == max(PIXELS * 32, costs.of([*kept, "last"]) - costs.of(kept))
    assert costs.added("last", ["first", "middle"]) == PIXELS * 32
    assert costs.added("classes", []) == 20


def test_readers_of_one_blob_save_its_conversion_only_together() -> None:
    net = random_net(
        "Input in 0 1 in0",
        "Convolution maker 1 1 in0 a 0=4 1=1 5=1 6=12",
        "Split split 1 2 a a1 a2",
        "Convolution left 1 1 a1 b 0=4 1=1 5=1 6=16",
        "Convolution right 1 1 a2 c 0=4 1=1 5=1 6=16",
        "BinaryOp add 2 1 b c out0 0=0",
    )
    found = FloatCosts(net, ("maker", "left", "right"), Noise(1).item(0))
    numbers = CONVERSION_MACS * PIXELS * 4
    assert found.of(["left"]) == 16 * PIXELS + numbers
    assert found.of(["left", "right"]) == 32 * PIXELS + numbers
    assert found.of(["maker", "left", "right"]) == 44 * PIXELS - CONVERSION_MACS * PIXELS * 3


def test_the_most_error_for_the_least_comes_first_and_neighbours_follow(costs: FloatCosts) -> None:
    plan = plan_of([layer("first", 0.3), layer("middle", 0.4), layer("last", 0.3), layer("classes", 0.0)], costs)
    # Next to ``first`` the middle costs half as much as alone.
    assert [item.name for item in plan.layers] == ["first", "middle", "last", "classes"]
    alone = plan_of([layer("first", 0.0), layer("middle", 0.3), layer("last", 0.3), layer("classes", 0.4)], costs)
    assert [item.name for item in alone.layers] == ["classes", "last", "middle", "first"]
    assert plan.left == pytest.approx((1.0, 0.7, 0.3, 0.0, 0.0))
    assert plan.costs[1] == pytest.approx(costs.added("middle", ["first"]) / costs.all_macs)


@pytest.mark.parametrize(("share", "count"), [(1.0, 0), (0.7, 1), (0.69, 2), (0.3, 2), (0.0, 3), (-1.0, 4)])
def test_how_many_it_takes_by_prediction(costs: FloatCosts, share: float, count: int) -> None:
    plan = plan_of([layer("first", 0.3), layer("middle", 0.4), layer("last", 0.3), layer("classes", 0.0)], costs)
    assert plan.count_for(share + 1e-9) == count


@dataclass(frozen=True)
class Free:
    """Costs of layers that multiply nothing."""

    all_macs: int = 0

    def added(self, name: str, keep_float: frozenset[str]) -> int:
        return 0


def test_what_is_free_goes_first_where_it_makes_an_error() -> None:
    plan = plan_of([layer("a", 0.0), layer("b", 1.0)], Free())  # type: ignore[arg-type]
    assert [item.name for item in plan.layers] == ["b", "a"]
    assert plan.costs == (0.0, 0.0)
