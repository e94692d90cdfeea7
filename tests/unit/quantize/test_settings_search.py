"""The search over settings: what is held out, what is tried, who wins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from int8_toys import Noise
from random_nets import random_net

from edgedeploy.quantize.metrics import Cosine
from edgedeploy.quantize.search import Subset, Trial, best_of, search_settings, split
from edgedeploy.quantize.settings import NAIVE, Calibrator, RangeRule, Settings, Target


@pytest.mark.parametrize(("items", "held_out"), [(4, 1), (40, 10), (799, 199), (2000, 200)])
def test_a_part_is_held_out(items: int, held_out: int) -> None:
    calibration, evaluation = split(Noise(items), Settings())
    assert len(evaluation) == held_out
    assert sorted((*calibration.indices, *evaluation.indices)) == list(range(items))
    assert split(Noise(items), Settings()) == (calibration, evaluation)
    if items > 4:
        assert split(Noise(items), Settings(seed=1))[1] != evaluation


def test_too_few_items_serve_for_both() -> None:
    calibration, evaluation = split(Noise(3), Settings())
    assert calibration.indices == evaluation.indices == (0, 1, 2)


def test_a_subset_has_the_items_of_the_whole() -> None:
    subset = Subset(Noise(9), (7, 2))
    assert len(subset) == 2
    assert [subset.item(index).name for index in range(2)] == ["noise-7", "noise-2"]


def trial(drop: float, sqnr_db: float, percentile: float) -> Trial:
    return Trial(settings=Settings(percentile=percentile), drop=drop, sqnr_db=sqnr_db)


def test_the_least_drop_wins() -> None:
    assert best_of([trial(5.0, 40.0, 1), trial(1.0, 10.0, 2), trial(3.0, 30.0, 3)], 100).percentile == 2


def test_within_one_item_the_better_sqnr_wins() -> None:
    trials = [trial(1.0, 10.0, 1), trial(1.9, 30.0, 2), trial(2.0, 50.0, 3)]
    assert best_of(trials, 100).percentile == 2
    assert best_of([trial(1.0, 30.0, 1), trial(1.5, 30.0, 2)], 100).percentile == 1  # then the first


def test_calibrators_first_and_then_the_switches_with_the_best() -> None:
    net = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=4 1=1 5=1 6=12 9=1",
        "Convolution second 1 1 a out0 0=4 1=1 5=1 6=16",
    )
    base = replace(NAIVE, images=6)
    found = search_settings(net, Noise(8, shape=(3, 4, 4)), Target(name="toy", dotprod=True), base, Cosine())
    tried = [item.settings for item in found.trials]
    assert tried[0] == base
    first, second = tried[:6], tried[6:]
    assert {item.calibrator for item in first} == set(Calibrator)
    assert {item.percentile for item in first if item.calibrator is Calibrator.PERCENTILE} == {99.9, 99.99, 99.999}
    assert all((item.equalize, item.ranges) == (False, RangeRule.SYMMETRIC) for item in first)
    best = best_of(found.trials[:6], found.items)
    assert {item.calibrator for item in second} == {best.calibrator}
    assert {(item.equalize, item.ranges) for item in second} == {
        (True, RangeRule.SYMMETRIC),
        (False, RangeRule.SHIFTED),
        (True, RangeRule.SHIFTED),
    }
    assert found.best == best_of(found.trials, found.items)
    assert found.items == 2
