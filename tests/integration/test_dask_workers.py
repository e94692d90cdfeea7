"""Tasks on a real Dask scheduler with workers in processes of their own, and what happens when these end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dask_cluster import Cluster, dask_cluster, free_port
from worker_tasks import Counter, add, add_slowly, count_calls, end_process, end_process_once, fail_at

from edgedeploy.errors import MetricError, SchedulerError
from edgedeploy.quantize import dask_workers
from edgedeploy.quantize.workers import DaskWorkers, Workers, open_workers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def on_dask(cluster: Cluster) -> Iterator[Workers]:
    with open_workers(scheduler=cluster.address) as workers:
        yield workers


# --- the cluster -----------------------------------------------------------------------------------------------------


def test_tasks_keep_their_order_and_both_workers_their_payload(on_dask: Workers) -> None:
    seen: list[int] = []
    payload = Counter(100)
    assert on_dask.count == 2
    assert on_dask.map(add, payload, [3, 1, 2], done=seen.append) == [103, 101, 102]
    assert seen == [1, 2, 3]
    found = on_dask.map(count_calls, payload, range(8)) + on_dask.map(count_calls, payload, range(8))
    by_process: dict[int, list[int]] = {}
    for process, calls in found:
        by_process.setdefault(process, []).append(calls)
    assert len(by_process) == 2
    assert all(sorted(calls) == list(range(1, len(calls) + 1)) for calls in by_process.values())


def test_an_error_of_a_task_comes_out_as_it_was(on_dask: Workers) -> None:
    with pytest.raises(MetricError) as caught:
        on_dask.map(fail_at, 4, range(10))
    assert (caught.value.message, caught.value.hint) == ("no score for 4", "try another")
    assert on_dask.map(add, Counter(), [1]) == [1]


def test_what_cannot_travel_is_reported(on_dask: Workers) -> None:
    with pytest.raises(SchedulerError, match="cannot be sent"):
        on_dask.map(fail_at, lambda: None, [0])


def test_other_versions_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = dask_workers.versions()
    monkeypatch.setattr(dask_workers, "versions", lambda: ours | {"ncnn": "0.9"})
    with pytest.raises(SchedulerError, match=rf"has .*ncnn {ours['ncnn']}.* this machine .*ncnn 0\.9"):
        DaskWorkers(cluster.address)


def test_late_workers_of_other_versions_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = dask_workers.versions()
    with DaskWorkers(cluster.address) as workers:
        monkeypatch.setattr(dask_workers, "versions", lambda: ours | {"numpy": "1.0"})
        with pytest.raises(SchedulerError, match=r"numpy 1\.0"):
            workers.map(add, Counter(), [1])


def test_other_cpus_are_noted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with DaskWorkers(cluster.address) as workers:
        assert workers.notes == ()
    monkeypatch.setattr(dask_workers, "instruction_sets", lambda: "another")
    with DaskWorkers(cluster.address) as workers:
        assert "CPUs of another kind" in workers.notes[0]


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "no address at all"])
def test_a_scheduler_that_does_not_answer(address: str) -> None:
    with pytest.raises(SchedulerError, match="cannot be reached"):
        DaskWorkers(address.format(port=free_port()), connect_timeout_s=1.0)


def test_a_scheduler_without_workers(tmp_path: Path) -> None:
    with (
        dask_cluster(tmp_path, workers=0) as cluster,
        pytest.raises(SchedulerError, match="has no workers after 1 s"),
    ):
        DaskWorkers(cluster.address, connect_timeout_s=1.0)


def test_workers_without_this_package(tmp_path: Path) -> None:
    older = tmp_path / "older" / "edgedeploy"
    older.mkdir(parents=True)
    (older / "__init__.py").write_text("")
    with dask_cluster(tmp_path, workers=1, python_path=(older.parent,)) as cluster:
        with pytest.raises(SchedulerError, match="cannot run edgedeploy") as caught:
            DaskWorkers(cluster.address)
        assert "install this version there" in caught.value.hint


def test_tasks_of_a_lost_worker_run_on_another(tmp_path: Path) -> None:
    with dask_cluster(tmp_path) as cluster, DaskWorkers(cluster.address) as workers:
        assert workers.map(end_process_once, tmp_path / "ended", range(12)) == list(range(12))
        assert (tmp_path / "ended").exists()
        assert workers.count == 1


def test_a_payload_lost_with_its_worker_is_sent_again(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=1) as cluster, DaskWorkers(cluster.address) as workers:
        payload = Counter(10)
        assert workers.map(add, payload, [1]) == [11]
        cluster.workers[0].send_signal(signal.SIGKILL)
        cluster.workers[0].wait()
        with cluster.another_worker():
            assert workers.map(add, payload, [1, 2, 3]) == [11, 12, 13]


def test_no_worker_left(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=1) as cluster, DaskWorkers(cluster.address, alone_timeout_s=1.5) as workers:
        started = time.monotonic()
        with pytest.raises(SchedulerError, match="is gone, or has had no worker"):
            workers.map(end_process, None, range(3))
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("when", ["before", "during"])
def test_the_scheduler_goes_away(tmp_path: Path, when: str) -> None:
    with (
        dask_cluster(tmp_path, workers=1) as cluster,
        DaskWorkers(cluster.address, connect_timeout_s=3.0, alone_timeout_s=1.5) as workers,
    ):
        if when == "before":
            end_scheduler(cluster)
        with pytest.raises(SchedulerError, match="is gone"):
            workers.map(add_slowly, Counter(), range(50), done=lambda done: end_scheduler(cluster))


def end_scheduler(cluster: Cluster) -> None:
    cluster.scheduler.send_signal(signal.SIGKILL)
    cluster.scheduler.wait()


def test_a_task_that_ends_every_worker(tmp_path: Path) -> None:
    with (
        dask_cluster(tmp_path, allowed_failures=0) as cluster,
        DaskWorkers(cluster.address) as workers,
        pytest.raises(SchedulerError, match="ended every worker"),
    ):
        workers.map(end_process, None, [0])
