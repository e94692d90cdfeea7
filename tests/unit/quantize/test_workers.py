"""Tasks in this process and in processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits
from worker_tasks import Counter, add, blas_threads, count_calls, end_process, fail_at, process_of

from edgedeploy.errors import MetricError, SchedulerError
from edgedeploy.quantize.tasks import instruction_sets, versions
from edgedeploy.quantize.workers import LocalWorkers, SerialWorkers, Workers, open_workers


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalWorkers]:
    with LocalWorkers(2) as workers:
        yield workers


@pytest.fixture(params=["serial", "processes"])
def workers(request: pytest.FixtureRequest, processes: LocalWorkers) -> Workers:
    return processes if request.param == "processes" else SerialWorkers()


def test_results_keep_the_order_of_the_arguments(workers: Workers) -> None:
    seen: list[int] = []
    assert workers.map(add, Counter(100), [3, 1, 2, 5, 4], done=seen.append) == [103, 101, 102, 105, 104]
    assert seen == [1, 2, 3, 4, 5]


def test_no_arguments_give_no_results(workers: Workers) -> None:
    assert workers.map(add, Counter(), []) == []


def test_the_first_error_by_order_comes_out_as_it_was(workers: Workers) -> None:
    with pytest.raises(MetricError) as caught:
        workers.map(fail_at, 4, range(10))
    assert caught.value.message == "no score for 4"
    assert caught.value.hint == "try another"
    assert workers.map(add, Counter(), [1]) == [1]  # they go on


def test_another_payload_replaces_the_first(workers: Workers) -> None:
    assert workers.map(add, Counter(1), [1, 2]) == [2, 3]
    assert workers.map(add, Counter(10), [1, 2]) == [11, 12]


def test_a_task_has_one_thread_for_matrix_products(workers: Workers) -> None:
    with threadpool_limits(2, user_api="blas"):
        assert workers.map(blas_threads, None, [0, 1]) == [1, 1]
        assert blas_threads(None, 0) == 2  # only while the tasks run


def test_each_process_keeps_one_payload_over_calls(processes: LocalWorkers) -> None:
    payload = Counter()
    found = processes.map(count_calls, payload, range(8)) + processes.map(count_calls, payload, range(8))
    by_process: dict[int, list[int]] = {}
    for process, calls in found:
        by_process.setdefault(process, []).append(calls)
    assert os.getpid() not in by_process
    assert all(sorted(calls) == list(range(1, len(calls) + 1)) for calls in by_process.values())
    assert payload.calls == []


def test_a_process_that_ends_is_reported() -> None:
    with LocalWorkers(1) as workers, pytest.raises(SchedulerError, match="ended before its task did"):
        workers.map(end_process, None, [0])


def test_what_cannot_travel_is_reported(processes: LocalWorkers) -> None:
    with pytest.raises(SchedulerError, match="cannot be sent") as caught:
        processes.map(process_of, lambda: None, [0])
    assert "lambdas" in caught.value.hint


def test_processes_end_with_the_block() -> None:
    with LocalWorkers(1) as workers:
        (process,) = workers.map(process_of, None, [0])
        assert Path(f"/proc/{process}").exists()
    assert not Path(f"/proc/{process}").exists()


def test_workers_by_what_was_asked_for() -> None:
    with open_workers(processes=1) as workers:
        assert isinstance(workers, SerialWorkers)
    with open_workers(processes=3) as workers:
        assert isinstance(workers, LocalWorkers)
        assert workers.count == 3
    with open_workers() as workers:
        assert workers.count == len(os.sched_getaffinity(0))


def test_facts_that_results_depend_on() -> None:
    assert set(versions()) == {"edgedeploy", "ncnn", "numpy", "python"}
    assert versions()["python"].startswith("3.")
    assert instruction_sets().split()[0] == os.uname().machine
