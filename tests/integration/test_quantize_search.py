"""The search gives the same results in this process, on processes of this machine and on a real Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dask_cluster import Cluster, dask_cluster
from int8_toys import BadlyScaled, Noise, prepared_by_hand
from random_nets import random_net

from edgedeploy.quantize.metrics import load_metric
from edgedeploy.quantize.pipeline import decision_items, prepare
from edgedeploy.quantize.precision import Goal, PrecisionSearch, choose_precision
from edgedeploy.quantize.search import SettingsSearch, search_settings
from edgedeploy.quantize.settings import Calibrator, Rounding, Settings, Target
from edgedeploy.quantize.workers import LocalWorkers, SerialWorkers, Workers, open_workers

ITEMS = 40
OWN_METRIC = "def score(item, expected, found):\n    return item.label == found['out0'].argmax()\n"
TARGET = Target(name="toy", dotprod=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def on_dask(cluster: Cluster) -> Iterator[Workers]:
    with open_workers(scheduler=cluster.address) as workers:
        yield workers


def _mixed(workers: Workers, directory: Path) -> PrecisionSearch:
    data = Noise(ITEMS)
    prepared = prepared_by_hand(BadlyScaled().graph, data)
    metric = load_metric("top1", directory)
    return choose_precision(prepared, data, range(ITEMS), metric, goal=Goal(max_drop=0.0), workers=workers)


def _with_own_metric(workers: Workers, directory: Path) -> PrecisionSearch:
    (directory / "own.py").write_text(OWN_METRIC)
    metric = load_metric("own.py:score", directory)
    (directory / "own.py").unlink()  # workers on other machines have no such file
    data = Noise(ITEMS, classes=10)
    prepared = prepared_by_hand(BadlyScaled().graph, data)
    return choose_precision(
        prepared, data, range(ITEMS), metric, goal=Goal(max_drop=50.0), always_measure=True, workers=workers
    )


def _with_biases(workers: Workers, directory: Path) -> PrecisionSearch:
    data, settings = Noise(ITEMS), Settings(calibrator=Calibrator.ABSMAX, rounding=Rounding.NEAREST, images=16)
    prepared = prepare(BadlyScaled().graph, data, target=TARGET, settings=settings)
    found = choose_precision(
        prepared,
        data,
        range(ITEMS),
        load_metric("cosine", directory),
        goal=Goal(max_drop=0.01),
        calibration=decision_items(data, settings),
        workers=workers,
    )
    assert found.biases
    return found


def _settings(workers: Workers, directory: Path) -> SettingsSearch:
    base = Settings(calibrator=Calibrator.ABSMAX, rounding=Rounding.NEAREST, images=8)
    metric = load_metric("cosine", directory)
    graph = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=8 1=3 3=2 5=1 6=216 9=1",
        "Convolution second 1 1 a out0 0=4 1=1 5=1 6=32",
    )
    return search_settings(graph, Noise(16), TARGET, base, metric, workers=workers)


@pytest.mark.parametrize("search", [_mixed, _with_own_metric, _with_biases, _settings])
def test_same_results_wherever_it_runs(search, on_dask: Workers, tmp_path: Path) -> None:
    expected = search(SerialWorkers(), tmp_path)
    with LocalWorkers(2) as processes:
        assert search(processes, tmp_path) == expected
    assert search(on_dask, tmp_path) == expected
    assert len(getattr(expected, "layers", ()) or expected.trials) >= 6
