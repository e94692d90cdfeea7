"""An int8 network held against the float one."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pytest
from int8_toys import BadlyScaled, Noise, prepared_by_hand

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import MetricError
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine
from edgedeploy.quantize.assemble import INT8_OPTIONS, assemble
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.evaluation import evaluate, summarize
from edgedeploy.quantize.evaluator import Evaluator, ItemResult, Variant, VariantTask, tasks_of
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.metrics import Cosine, Top1

ITEMS = 20


@dataclass(frozen=True)
class Fixture:
    """A net that loses something in int8, and what the engine says of both, item by item."""

    data: Noise = field(default_factory=lambda: Noise(ITEMS, classes=10))

    @cached_property
    def graph(self) -> Graph:
        return BadlyScaled().graph

    @cached_property
    def model(self) -> Int8Model:
        return assemble(prepared_by_hand(self.graph, self.data))

    @cached_property
    def outputs(self) -> list[tuple[FloatArray, FloatArray]]:
        float_engine = Engine.from_graph(self.graph, options=replace(INT8_OPTIONS, threads=1))
        int8_engine = Engine.from_graph(self.model.graph, options=replace(INT8_OPTIONS, threads=1))
        items = [self.data.item(index) for index in range(ITEMS)]
        return [(run(float_engine, item), run(int8_engine, item)) for item in items]


def run(engine: Engine, item: Item) -> FloatArray:
    return engine.run(["out0"], item.tensors)["out0"]


@pytest.fixture(scope="module")
def net() -> Fixture:
    return Fixture()


def test_points_and_errors_are_those_of_the_engine(net: Fixture) -> None:
    found = evaluate(net.graph, net.model, net.data, range(ITEMS), Top1())
    labels = [net.data.item(index).label for index in range(ITEMS)]
    right = [[values.argmax() == label for values in pair] for pair, label in zip(net.outputs, labels, strict=True)]
    assert found.metric == "top1"
    assert found.items == ITEMS
    assert found.scores == tuple((float(pair[0]), float(pair[1])) for pair in right)
    assert found.float_score == pytest.approx(100 * np.mean([pair[0] for pair in right]))
    assert found.int8_score == pytest.approx(100 * np.mean([pair[1] for pair in right]))
    assert found.drop == found.float_score - found.int8_score
    expected = np.concatenate([pair[0] for pair in net.outputs]).astype(float)
    int8 = np.concatenate([pair[1] for pair in net.outputs]).astype(float)
    noise_share = ((expected - int8) ** 2).sum() / (expected**2).sum()
    (output,) = found.outputs
    assert output.name == "out0"
    assert output.sqnr_db == found.sqnr_db == pytest.approx(-10 * np.log10(noise_share))
    assert found.noise_share == pytest.approx(noise_share)
    assert output.cosine == pytest.approx(
        float(expected @ int8 / np.linalg.norm(expected) / np.linalg.norm(int8)), abs=1e-9
    )
    assert 5 < found.sqnr_db < 30  # there is something to measure


def test_only_the_items_asked_for_count(net: Fixture) -> None:
    found = evaluate(net.graph, net.model, net.data, [7, 3], Cosine())
    whole = evaluate(net.graph, net.model, net.data, range(ITEMS), Cosine())
    assert found.scores == (whole.scores[7], whole.scores[3])
    assert found.float_score == 100.0
    assert {item.name for item in found.worst} == {"noise-7", "noise-3"}


def test_nothing_to_evaluate(net: Fixture) -> None:
    found = evaluate(net.graph, net.model, net.data, [], Top1())
    assert (found.items, found.drop, found.worst) == (0, 0.0, ())


def test_the_float_network_itself_loses_nothing(net: Fixture) -> None:
    prepared = prepared_by_hand(net.graph, net.data)
    everything = assemble(prepared, keep_float=prepared.candidates)
    found = evaluate(net.graph, everything, net.data, range(4), Top1())
    assert (found.drop, found.sqnr_db, found.noise_share) == (0.0, 200.0, 0.0)


def test_worst_items_lose_most_and_then_are_noisiest() -> None:
    results = [
        _result(0, float_score=1.0, int8_score=1.0, noise=1.0),
        _result(1, float_score=1.0, int8_score=0.5, noise=0.1),
        _result(2, float_score=1.0, int8_score=1.0, noise=4.0),
        _result(3, float_score=0.0, int8_score=0.0, noise=0.1),
        _result(4, float_score=0.0, int8_score=1.0, noise=9.0),
    ]
    found = summarize(results, ["out0"], "top1")
    assert [item.index for item in found.worst] == [1, 2, 0, 3, 4]
    assert found.worst[1].sqnr_db == pytest.approx(10 * np.log10(10 / 4))
    many = summarize([_result(index, 1.0, 1.0, 1.0) for index in range(50)], ["out0"], "top1")
    assert [item.index for item in many.worst] == list(range(10))


def test_the_worst_output_speaks_for_the_network() -> None:
    good, bad = ErrorSums(signal=10.0, noise=0.1), ErrorSums(signal=10.0, noise=1.0)
    result = ItemResult(index=0, name="a", float_score=1.0, int8_score=1.0, outputs=(good, bad))
    found = summarize([result, result], ["boxes", "scores"], "cosine")
    assert [output.sqnr_db for output in found.outputs] == pytest.approx([20.0, 10.0])
    assert found.sqnr_db == pytest.approx(10.0)
    assert found.noise_share == pytest.approx((0.01 + 0.1) / 2)


def _result(index: int, float_score: float, int8_score: float, noise: float) -> ItemResult:
    return ItemResult(
        index=index,
        name=str(index),
        float_score=float_score,
        int8_score=int8_score,
        outputs=(ErrorSums(signal=10.0, noise=noise, product=10.0, found=10.0),),
    )


# --- what a worker keeps ---------------------------------------------------------------------------------------------


@dataclass
class CountingData:
    """Counts loads; a metric that spoils what it is given counts too."""

    data: Noise
    loads: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def item(self, index: int) -> Item:
        self.loads.append(index)
        return self.data.item(index)


@dataclass(frozen=True)
class Variants:
    graph: Graph

    def __call__(self, variant: Variant) -> Graph:
        return self.graph


@pytest.mark.parametrize(("kept_items", "loads"), [(ITEMS, 4), (2, 4 + 2 + 2), (0, 12)])
def test_inputs_and_float_outputs_are_kept_as_far_as_memory_is_given(net: Fixture, kept_items: int, loads: int) -> None:
    data = CountingData(net.data)
    item_bytes = 3 * 8 * 8 * 4 + 10 * 4
    evaluator = Evaluator(net.graph, Variants(net.model.graph), data, Top1(), kept_bytes=kept_items * item_bytes)
    results = [evaluator.run(VariantTask(Variant(), (0, 1, 2, 3))) for _ in range(3)]
    assert results[0] == results[1] == results[2]
    assert len(data.loads) == loads


def test_what_was_kept_does_not_travel(net: Fixture) -> None:
    evaluator = Evaluator(net.graph, Variants(net.model.graph), net.data, Top1())
    size_bytes = len(pickle.dumps(evaluator))
    expected = evaluator.run(VariantTask(Variant(), (0, 1)))
    sent = pickle.dumps(evaluator)
    assert len(sent) == size_bytes
    assert pickle.loads(sent).run(VariantTask(Variant(), (0, 1))) == expected


def test_a_metric_cannot_spoil_the_float_outputs(net: Fixture) -> None:
    class Spoiling:
        name = "spoiling"

        def score(self, item: Item, expected: Mapping[str, FloatArray], found: Mapping[str, FloatArray]) -> float:
            expected["out0"][:] = 0
            return 1.0

    with pytest.raises(ValueError, match="read-only"):
        evaluate(net.graph, net.model, net.data, [0], Spoiling())


def test_a_metric_that_cannot_score_stops_it(net: Fixture) -> None:
    no_rows = replace(Noise(1), classes=0)
    prepared = prepared_by_hand(net.graph, no_rows)

    class Failing:
        name = "failing"

        def score(self, item: Item, expected: Mapping[str, FloatArray], found: Mapping[str, FloatArray]) -> float:
            raise MetricError(f"no score for {item.name}", hint="x")

    with pytest.raises(MetricError, match="no score for noise-0"):
        evaluate(net.graph, assemble(prepared), no_rows, [0], Failing())


def test_a_single_item_has_little_say_in_the_typical_noise() -> None:
    def result(index: int, noise: float) -> ItemResult:
        sums = ErrorSums(signal=1.0, noise=noise, product=1.0, found=1.0)
        return ItemResult(index=index, name="", float_score=1.0, int8_score=1.0, outputs=(sums,))

    quiet = [result(index, 1e-4) for index in range(9)]
    found = summarize([*quiet, result(9, 1.0)], ["out0"], "top1")
    assert found.noise_share == pytest.approx(0.1, rel=0.01)
    assert found.typical_noise == pytest.approx(1e-4**0.9)
    assert summarize([*quiet, result(9, 0.0)], ["out0"], "top1").typical_noise > 0
    assert summarize([result(0, 0.0)], ["out0"], "top1").typical_noise == 0.0
    assert summarize([], ["out0"], "top1").typical_noise == 0.0


def test_items_are_cut_into_tasks() -> None:
    tasks = tasks_of(Variant(("a",)), range(35))
    assert [len(task.indices) for task in tasks] == [16, 16, 3]
    assert [index for task in tasks for index in task.indices] == list(range(35))
    assert {task.variant for task in tasks} == {Variant(("a",))}
    assert tasks_of(Variant(), []) == []
