"""Networks trained on real digits, in int8: what the accuracy benchmark asks of Fashion-MNIST, on a smaller scale."""

from __future__ import annotations

import pytest

from edgedeploy.graph import Graph
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.evaluation import Evaluation, evaluate
from edgedeploy.quantize.metrics import Top1
from edgedeploy.quantize.pipeline import decision_items, quantize
from edgedeploy.quantize.precision import Goal, choose_precision
from edgedeploy.quantize.settings import NAIVE, Target
from int8_nets.labelled import LabelledSplit, Unlabelled, digits
from int8_nets.small_graphs import DIGITS_PLAN, hard_graph, small_graph
from int8_nets.small_nets import SmallNet

TARGETS = [Target(name="rk3399", dotprod=False), Target(name="rk3588", dotprod=True)]
LIMIT = 0.3
MIXED_LIMIT = 0.1
HARD_LIMIT = 1.0


@pytest.fixture(scope="module")
def split() -> LabelledSplit:
    return digits()


def judged(graph: Graph, model: Int8Model, split: LabelledSplit) -> Evaluation:
    """Judge on digits that neither training nor calibration has seen."""
    return evaluate(graph, model, split.test, range(len(split.test)), Top1())


# Each network and each target once; the other pairs are nightly.
@pytest.mark.parametrize(
    ("which", "target"),
    [
        (SmallNet.MOBILENETV2, TARGETS[0]),
        (SmallNet.MOBILENETV3, TARGETS[1]),
        pytest.param(SmallNet.MOBILENETV2, TARGETS[1], marks=pytest.mark.nightly),
        pytest.param(SmallNet.MOBILENETV3, TARGETS[0], marks=pytest.mark.nightly),
    ],
    ids=lambda value: value.name,
)
def test_int8_reads_digits_as_float_does(which: SmallNet, target: Target, split: LabelledSplit) -> None:
    graph = small_graph(which, split, DIGITS_PLAN)
    prepared, model = quantize(graph, split.train, target=target)
    found = judged(graph, model, split)
    assert found.float_score > 97
    assert found.drop <= LIMIT
    assert {choice.type for choice in model.layers if choice.int8} == {
        "Convolution",
        "ConvolutionDepthWise",
        "InnerProduct",
    }
    held_out = Unlabelled(data=split.held_out)
    items = decision_items(split.train, prepared.settings)
    chosen = choose_precision(
        prepared, held_out, range(len(held_out)), Top1(), goal=Goal(max_drop=LIMIT), calibration=items
    )
    mixed = judged(graph, chosen.model(prepared), split)
    assert mixed.drop <= MIXED_LIMIT
    assert len(chosen.keep_float) < len(prepared.candidates)


def test_absmax_loses_a_hard_network_and_the_default_holds_it(split: LabelledSplit) -> None:
    graph = hard_graph(split, DIGITS_PLAN)
    _, naive = quantize(graph, split.train, target=TARGETS[0], settings=NAIVE)
    _, ours = quantize(graph, split.train, target=TARGETS[0])
    assert judged(graph, naive, split).drop > 30
    assert judged(graph, ours, split).drop <= HARD_LIMIT
