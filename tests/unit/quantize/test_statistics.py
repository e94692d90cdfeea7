from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from listed_data import ListedData, RememberedProgress, normal_data
from numpy.typing import NDArray
from random_nets import ONE_THREAD, random_net, with_values

from edgedeploy.artifacts import ColorOrder, FloatArray, InputSpec, Preprocessing, Resize
from edgedeploy.errors import CalibrationDataError, ConversionError, ShapeMismatchError, UnreadableInputError
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.ranks import ranks_of
from edgedeploy.quantize.blob_statistics import BINS, BlobStatistics, MagnitudeHistogram, edge_above
from edgedeploy.quantize.calibration_data import open_data
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.signs import never_negative
from edgedeploy.quantize.statistics import SAMPLE_SIZE, collect_statistics, time_left

# Packings of 1, 4, 8 and 16 channels; fused and separate activations; a Split read in place; vectors and matrices.
MIXED = random_net(
    "Input x 0 1 x",
    "Convolution c16 1 1 x a 0=16 1=3 4=1 5=1 6=432 9=1",
    "Split split 1 3 a a0 a1 a2",
    "ConvolutionDepthWise dw 1 1 a0 b 0=16 1=3 4=1 5=1 6=144 7=16",
    "ReLU inplace 1 1 a1 c",
    "HardSwish swish 1 1 b d",
    "BinaryOp add 2 1 c d e 0=0",
    "Convolution c5 1 1 e f 0=5 1=3 3=2 5=1 6=720",
    "Convolution c8 1 1 a2 g 0=8 1=1 5=1 6=128 9=3 -23310=2,0.0,6.0",
    "Convolution c4 1 1 g h 0=4 1=3 3=2 5=1 6=288 9=2 -23310=1,0.1",
    "Concat cat 2 1 f h i",
    "Pooling pool 1 1 i j 0=1 4=1",
    "InnerProduct fc 1 1 j k 0=12 1=1 2=108",
    "Reshape rows 1 1 k l 0=4 1=3",
    "Gemm gemm 1 1 l m 4=0 5=1 6=1 7=0 8=6 9=4 10=4",
    "Softmax out 1 1 m out 0=1 1=1",
)
MIXED_BLOBS = MIXED.blobs
IMAGE = (3, 13, 17)


def values_of(graph: Graph, data: Data) -> dict[str, list[FloatArray]]:
    """Every blob's values on every item, from the engine as it is."""
    engine = Engine.from_graph(graph, options=ONE_THREAD)
    runs = [engine.run(graph.blobs, data.item(index).tensors) for index in range(len(data))]
    return {blob: [run[blob] for run in runs] for blob in graph.blobs}


def by_channel(values: FloatArray) -> NDArray[np.float32]:
    """Channels first, everything else flat."""
    if values.ndim == 2:
        return values.T
    return values.reshape(len(values), -1)


def same(one: BlobStatistics, other: BlobStatistics) -> bool:
    return all(np.array_equal(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))


@pytest.fixture(scope="module")
def data() -> ListedData:
    return normal_data(5, *IMAGE)


@pytest.fixture(scope="module")
def found(data: ListedData) -> dict[str, BlobStatistics]:
    return collect_statistics(MIXED, MIXED_BLOBS, data, range(5))


@pytest.fixture(scope="module")
def expected(data: ListedData) -> dict[str, list[FloatArray]]:
    return values_of(MIXED, data)


@pytest.mark.parametrize("blob", MIXED_BLOBS)
def test_ranges_are_those_of_all_values(
    blob: str, found: Mapping[str, BlobStatistics], expected: Mapping[str, list[FloatArray]]
) -> None:
    channels = np.concatenate([by_channel(values) for values in expected[blob]], axis=1)
    statistics = found[blob]
    np.testing.assert_allclose(statistics.channel_maximum, channels.max(axis=1), rtol=1e-6, atol=1e-6)
    low = channels.min(axis=1)
    if blob in never_negative(MIXED):
        assert (low >= 0).all()
        assert not statistics.channel_minimum.any()
    else:
        np.testing.assert_allclose(statistics.channel_minimum, low, rtol=1e-6, atol=1e-6)
    assert statistics.count == channels.size
    assert statistics.blob == blob


@pytest.mark.parametrize("blob", MIXED_BLOBS)
def test_histograms_of_small_blobs_hold_every_value(
    blob: str, found: Mapping[str, BlobStatistics], expected: Mapping[str, list[FloatArray]]
) -> None:
    magnitudes = np.abs(np.concatenate([values.ravel() for values in expected[blob]]))
    statistics = found[blob]
    counts, _ = np.histogram(magnitudes, bins=BINS, range=(0, statistics.edge))
    # The engine may round a value in another way where the layout differs: it then lies one bin further at most.
    assert np.abs(np.cumsum(counts) - np.cumsum(statistics.histogram)).max() <= 2
    assert statistics.sampled == magnitudes.size
    assert statistics.zeros == np.count_nonzero(magnitudes == 0)
    assert statistics.edge / 2 <= statistics.absmax < statistics.edge


def test_what_a_split_makes_is_what_it_reads(found: Mapping[str, BlobStatistics]) -> None:
    for copy in ("a0", "a1", "a2"):
        assert same(replace(found[copy], blob="a"), found["a"])
        assert found[copy].blob == copy


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_order_change_nothing(threads: int, data: ListedData, found: Mapping[str, BlobStatistics]) -> None:
    again = collect_statistics(MIXED, MIXED_BLOBS[::-1], data, [3, 0, 4, 2, 1], threads=threads)
    assert all(same(again[blob], found[blob]) for blob in MIXED_BLOBS)


def test_blobs_of_four_dimensions() -> None:
    graph = random_net("Input x 0 1 x", "Reshape r 1 1 x v 0=5 1=4 11=3 2=8", "ReLU relu 1 1 v out 0=0.5")
    data = normal_data(2, 8, 12, 5)
    found = collect_statistics(graph, ["v", "out"], data, range(2))
    expected = values_of(graph, data)
    for blob in ("v", "out"):
        channels = np.concatenate([by_channel(values) for values in expected[blob]], axis=1)
        np.testing.assert_array_equal(found[blob].channel_minimum, channels.min(axis=1))
        np.testing.assert_array_equal(found[blob].channel_maximum, channels.max(axis=1))
        assert found[blob].sampled == channels.size


def test_ranks_that_the_layers_do_not_tell_are_found_out() -> None:
    # The rank of a Reshape by expression is not derived, and a convolution of a vector is taken for one of an image.
    graph = random_net("Input x 0 1 x", 'Reshape r 1 1 x v 6="60"', "Convolution c 1 1 v out 0=6 1=1 5=1 6=360 9=1")
    assert ranks_of(graph).get("out") == 3
    data = normal_data(3, 3, 4, 5)
    found = collect_statistics(graph, ["x", "v", "out"], data, range(3))
    expected = values_of(graph, data)
    for blob in ("x", "v", "out"):
        channels = np.concatenate([by_channel(values) for values in expected[blob]], axis=1)
        np.testing.assert_allclose(found[blob].channel_maximum, channels.max(axis=1), rtol=1e-6)
        assert found[blob].sampled == channels.size


LARGE = (16, 64, 40)


def test_large_blobs_are_sampled_at_places_that_move() -> None:
    """Each item has one place that differs from the others; the histogram sees as many of them as it looks at."""
    graph = random_net("Input x 0 1 x", "ReLU r 1 1 x out")
    size = int(np.prod(LARGE))
    step = size // SAMPLE_SIZE
    sets = []
    for index in range(2 * step):
        tensor = np.ones((1, *LARGE), np.float32)
        # The same place in every item: a fixed phase would see it always or never.
        tensor[0, 0, 7, 9] = 3.0
        tensor[0, 0, 7, 10] = 1.0 + index / 1000
        sets.append({"x": tensor})
    found = collect_statistics(graph, ["x"], ListedData(sets), range(2 * step))["x"]
    threes = int(found.histogram[int(3.0 / found.edge * BINS)])
    assert threes == 2
    assert found.count == size * 2 * step
    assert found.sampled == pytest.approx(SAMPLE_SIZE * 2 * step, rel=0.2)
    assert found.maximum == 3.0


def test_with_many_items_each_histogram_still_sees_many() -> None:
    lines = ["Input x 0 1 b0", *(f"Sigmoid s{i} 1 1 b{i} b{i + 1}" for i in range(40))]
    graph = random_net(*lines)
    data = normal_data(200, 2, 2, 2, inputs=("b0",))
    found = collect_statistics(graph, graph.blobs, data, range(200))
    assert min(item.sampled for item in found.values()) >= 64 * 8
    assert {item.count for item in found.values()} == {200 * 8}
    # Not every item pays for every histogram.
    assert max(item.sampled for item in found.values()) < 200 * 8


class TestMerge:
    @staticmethod
    def of(values: NDArray[np.float32]) -> BlobStatistics:
        histogram = MagnitudeHistogram()
        assert histogram.add(values)
        counts, edge = histogram.within(float(np.abs(values).max()))
        low, high = values.min(keepdims=True), values.max(keepdims=True)
        return BlobStatistics(
            blob="b",
            count=values.size,
            channel_minimum=low,
            channel_maximum=high,
            histogram=counts,
            edge=edge,
            zeros=histogram.zeros,
        )

    def test_any_order_gives_what_all_at_once_give(self) -> None:
        random = np.random.default_rng(0)
        parts = [
            (random.normal(size=1000) * scale).astype(np.float32) for scale in (1.0, 1e-3, 250.0, 0.0, 1e-38, 3e30, 7.0)
        ]
        whole = self.of(np.concatenate(parts))
        for order in (range(7), range(6, -1, -1), (3, 5, 0, 1, 6, 2, 4)):
            merged = self.of(parts[order[0]])
            for index in order[1:]:
                merged = merged.merge(self.of(parts[index]))
            assert same(merged, whole)

    def test_growing_counts_are_the_same(self) -> None:
        random = np.random.default_rng(1)
        values = (random.normal(size=(50, 20)) * np.geomspace(1e-4, 1e4, 50)[:, None]).astype(np.float32)
        histogram = MagnitudeHistogram()
        for row in values:
            assert histogram.add(row)
        counts, edge = histogram.within(0.0)
        assert np.array_equal(counts, self.of(values).histogram)
        assert edge == self.of(values).edge

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_not_counted(self, value: float) -> None:
        histogram = MagnitudeHistogram()
        assert not histogram.add(np.array([1.0, value], np.float32))
        assert not histogram.within(0.0)[0].any()

    @pytest.mark.parametrize("magnitude", [0.0, 1e-45, 0.3, 0.5, 1.0, 6.0, 8.0, 3.4e38])
    def test_edges_are_powers_of_two_above(self, magnitude: float) -> None:
        edge = edge_above(magnitude)
        assert edge > magnitude
        assert np.frexp(edge)[0] == 0.5
        assert edge <= 2 * magnitude or magnitude < 1e-29


class TestWhatIsNotFinite:
    def test_a_blob_is_named_with_the_item(self) -> None:
        graph = random_net("Input x 0 1 x", "UnaryOp log 1 1 x y 0=8", "Convolution c 1 1 y out 0=4 1=1 6=12 9=1")
        good = {"x": np.linspace(1, 2, 48, dtype=np.float32).reshape(1, 3, 4, 4)}
        bad = {"x": good["x"].copy()}
        bad["x"][0, 1, 0, 0] = -1.0
        with pytest.raises(CalibrationDataError, match=r"blob y holds NaN or infinity on calibration item item-2") as e:
            collect_statistics(graph, ["y"], ListedData([good, {"x": good["x"] * 2}, bad]), range(3))
        assert e.value.hint

    def test_overflow_is_found_behind_what_hides_it(self) -> None:
        graph = random_net(
            "Input x 0 1 x",
            "Convolution big 1 1 x y 0=4 1=1 6=12",
            "Convolution next 1 1 y z 0=4 1=1 6=16 9=3 -23310=2,0.0,6.0",
        )
        graph = with_values(graph, "big", "weight", np.full((4, 3, 1, 1), 3e38))
        with pytest.raises(CalibrationDataError, match="blob y "):
            collect_statistics(graph, ["y", "z"], normal_data(2, 3, 4, 4), range(2))

    def test_minus_infinity_is_found(self) -> None:
        graph = random_net("Input x 0 1 x", "UnaryOp log 1 1 x y 0=8", "Sigmoid s 1 1 y out")
        tensor = np.linspace(0, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)
        with pytest.raises(CalibrationDataError, match="blob y "):
            collect_statistics(graph, ["y"], ListedData([{"x": tensor}]), [0])

    def test_matrices_too(self) -> None:
        graph = random_net("Input x 0 1 x", "Reshape r 1 1 x m 0=4 1=6", "UnaryOp log 1 1 m y 0=8")
        with pytest.raises(CalibrationDataError, match="blob y "):
            collect_statistics(graph, ["y"], normal_data(2, 24), range(2))


class TestDataThatSaysNothing:
    GRAPH = random_net("Input x 0 1 x", "ReLU r 1 1 x out")

    def run(self, *tensors: NDArray[np.float32]) -> dict[str, BlobStatistics]:
        sets = [{"x": np.asarray(tensor, np.float32)} for tensor in tensors]
        return collect_statistics(self.GRAPH, ["x"], ListedData(sets), range(len(sets)))

    def test_no_items(self) -> None:
        with pytest.raises(CalibrationDataError, match="no calibration data") as error:
            self.run()
        assert error.value.hint

    @pytest.mark.parametrize("count", [1, 4])
    def test_images_of_one_color(self, count: int) -> None:
        color = np.float32([0.1, 0.5, -2.0]).reshape(1, 3, 1, 1)
        with pytest.raises(CalibrationDataError, match="images of one color"):
            self.run(*(np.broadcast_to(color * index, (1, 3, 4, 4)) for index in range(count)))

    def test_one_image_again_and_again(self) -> None:
        image = np.random.default_rng(0).normal(size=(1, 3, 4, 4))
        with pytest.raises(CalibrationDataError, match="all 5 calibration items are the same"):
            self.run(*[image] * 5)

    def test_one_that_differs_is_enough(self) -> None:
        image = np.random.default_rng(0).normal(size=(1, 3, 4, 4))
        other = image.copy()
        other[0, 2, 3, 3] += 1
        assert self.run(*[image] * 4, other)["x"].count == 240
        assert self.run(image)["x"].count == 48
        assert self.run(np.zeros((1, 3, 4, 4)), image)["x"].count == 96

    def test_vectors_of_equal_elements_are_data(self) -> None:
        assert self.run(np.full((1, 4), 2.0), np.full((1, 4), 3.0))["x"].maximum == 3.0

    def test_a_blob_without_data_is_all_zero(self) -> None:
        graph = random_net("Input x 0 1 x", "Convolution dead 1 1 x y 0=4 1=1 5=1 6=12 9=1", "ReLU r 1 1 y out")
        graph = with_values(graph, "dead", "weight", np.zeros((4, 3, 1, 1)))
        graph = with_values(graph, "dead", "bias", np.full(4, -1.0))
        found = collect_statistics(graph, ["y"], normal_data(2, 3, 4, 4), range(2))["y"]
        assert found.absmax == 0
        assert found.zeros == found.sampled == found.count == 128


def test_unreadable_items_are_all_listed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.bmp"), random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    how = Preprocessing(color=ColorOrder.BGR, resize=Resize.BILINEAR, mean=(0.0,) * 3, scale=(1.0,) * 3)
    data = open_data(tmp_path, (InputSpec(name="image", shape=(1, 3, 8, 8), preprocessing=how),), ("x",))
    for index in (2, 4):
        path = tmp_path / f"{index}.bmp"
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableInputError, match=r"2 of 6 .*\n.*2\.bmp.*\n.*4\.bmp"):
        collect_statistics(TestDataThatSaysNothing.GRAPH, ["x"], data, range(6))


def test_errors_of_the_data_end_it_soon() -> None:
    class Failing(ListedData):
        def item(self, index: int) -> Item:
            if index == 3:
                raise RuntimeError("the disk is gone")
            time.sleep(0.001)
            return super().item(index)

    data = Failing(normal_data(5000, 1, 2, 2).sets)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="the disk is gone"):
        collect_statistics(TestDataThatSaysNothing.GRAPH, ["x"], data, range(5000))
    assert time.monotonic() - start < 2.0


def test_progress_ends_with_all_and_tells_the_time_left() -> None:
    class Slow(ListedData):
        def item(self, index: int) -> Item:
            time.sleep(0.05)
            return super().item(index)

    progress = RememberedProgress()
    collect_statistics(
        TestDataThatSaysNothing.GRAPH,
        ["x"],
        Slow(normal_data(12, 1, 2, 2).sets),
        range(12),
        threads=1,
        progress=progress,
    )
    assert progress.updates[-1] == (12, 12, "")
    assert any(note.endswith(" left") for _, _, note in progress.updates)


@pytest.mark.parametrize(
    ("done", "elapsed_s", "text"),
    [(0, 5.0, ""), (100, 60.0, "2 min left"), (299, 60.0, "1 s left"), (150, 80.0, "80 s left"), (300, 60.0, "")],
)
def test_time_left(done: int, elapsed_s: float, text: str) -> None:
    assert time_left(done, 300, elapsed_s) == text


def test_a_network_that_the_engine_cannot_run_is_an_error_not_a_crash() -> None:
    graph = random_net("Input x 0 1 x", "ReLU r 1 1 x y", "Convolution c 1 1 y out 0=2 1=9 6=486")
    with pytest.raises(ConversionError, match="cannot compute blob out"):
        collect_statistics(graph, ["x", "out"], normal_data(2, 3, 4, 4), range(2))


def test_items_of_different_shapes() -> None:
    data = ListedData([normal_data(1, 3, 4, 4).sets[0], normal_data(1, 3, 4, 5).sets[0]])
    with pytest.raises(ShapeMismatchError, match="different shapes"):
        collect_statistics(TestDataThatSaysNothing.GRAPH, ["x"], data, range(2))
