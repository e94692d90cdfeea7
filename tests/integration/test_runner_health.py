"""The on-board program's ``health``: golden outputs, time and memory, each against its limit, in one process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_program import Answer, Runner

pytestmark = pytest.mark.cross

NO_BUDGET_HAS = "1e9"
NOBODY_HOLDS = "1e-6"


def health(runner: Runner, release: Path, *words: str) -> Answer:
    return runner("health", "--release", release, "--threads", "1", *words)


def shift_golden(release: Path) -> None:
    path = release / "golden" / "out0.npy"
    golden = np.load(path)
    golden[2] += 0.5
    np.save(path, golden)


def test_a_healthy_release(runner: Runner, classifier_release: Path) -> None:
    budgets = ("--latency-ms", NO_BUDGET_HAS, "--memory-mb", NO_BUDGET_HAS)
    answer = health(runner, classifier_release, "--warmup", "1", "--runs", "5", *budgets)
    assert answer.exit_status == 0, answer.stderr
    assert answer.stdout.startswith('{"schema":1,"passed":true,"reason":"",'), "the script on the board relies on it"
    document = answer.document
    assert document["golden"]["passed"] is True
    assert document["golden"]["outputs"][0]["cosine"] == pytest.approx(1, abs=1e-6)
    latency = document["latency"]
    assert (latency["runs"], latency["warmup"], latency["threads"], latency["budget_ms"]) == (5, 1, 1, 1e9)
    assert 0 < latency["min_us"] <= latency["median_us"] <= latency["max_us"]
    assert document["memory"]["peak_rss_bytes"] > 1_000_000
    assert document["duration_us"] > 5 * latency["min_us"]


def test_without_runs_nothing_is_timed(runner: Runner, classifier_release: Path) -> None:
    document = health(runner, classifier_release, "--runs", "0").document
    assert document["latency"] is None
    assert document["passed"] is True
    assert document["memory"]["budget_mb"] is None


def test_every_core_computes_unless_told_otherwise(runner: Runner, classifier_release: Path) -> None:
    cores = runner.document("probe")["cpu"]["cores"]
    document = runner.document("health", "--release", classifier_release, "--runs", "1")
    assert document["latency"]["threads"] == cores


def test_time_ends_the_runs_but_for_three(runner: Runner, classifier_release: Path) -> None:
    document = health(runner, classifier_release, "--runs", "1000", "--seconds", "0.000001").document
    assert document["latency"]["runs"] == 3


def parts(document: dict[str, Any]) -> tuple[bool, bool, bool]:
    return document["golden"]["passed"], document["latency"]["passed"], document["memory"]["passed"]


@pytest.mark.parametrize(
    ("words", "passed", "told"),
    [
        (("--latency-ms", NOBODY_HOLDS), (True, False, True), r"latency [0-9.]+ ms, the median of 3 runs on 1 threads"),
        (("--memory-mb", NOBODY_HOLDS), (True, True, False), r"memory [0-9.]+ MB at its peak, over the budget"),
        (("--latency-ms", NOBODY_HOLDS, "--memory-mb", NOBODY_HOLDS), (True, False, False), r"latency .*; memory .*"),
    ],
)
def test_over_its_budget(
    runner: Runner, classifier_release: Path, words: tuple[str, ...], passed: tuple[bool, bool, bool], told: str
) -> None:
    answer = health(runner, classifier_release, "--runs", "3", *words)
    assert answer.exit_status == 10
    assert parts(answer.document) == passed
    assert answer.document["passed"] is False
    assert answer.document["reason"] == answer.error
    assert re.match(told, answer.error)


def test_golden_outputs_come_before_budgets(runner: Runner, classifier_release: Path) -> None:
    shift_golden(classifier_release)
    answer = health(runner, classifier_release, "--runs", "3", "--latency-ms", NOBODY_HOLDS)
    assert answer.exit_status == 3
    assert parts(answer.document) == (False, False, True)
    assert answer.error.startswith("outputs are beyond the limits of the golden outputs; latency ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--latency-ms", "0"), "--latency-ms: '0' is not a number above 0"),
        (("--latency-ms", "nan"), "--latency-ms: 'nan'"),
        (("--memory-mb", "-3"), "--memory-mb: '-3'"),
        (("--memory-mb", "1e10"), "--memory-mb: '1e10'"),
        (("--runs", "-1"), "--runs: '-1'"),
        (("--cpus", "0"), "'health' does not take '--cpus'"),
    ],
)
def test_options_that_are_none(runner: Runner, classifier_release: Path, words: tuple[str, ...], told: str) -> None:
    answer = health(runner, classifier_release, *words)
    assert answer.exit_status == 2
    assert answer.error.startswith(told)


def test_budgets_are_the_gates_alone(runner: Runner, classifier_release: Path) -> None:
    answer = runner("bench", "--release", classifier_release, "--latency-ms", "5")
    assert (answer.exit_status, answer.error) == (2, "'bench' does not take '--latency-ms'")
    assert runner("bench", "--release", classifier_release, "--runs", "0").exit_status == 2


def test_a_program_from_before_health_says_so(runner: Runner) -> None:
    """What the script on the board takes an older program by."""
    answer = runner("fitness")
    assert (answer.exit_status, answer.error) == (2, "unknown command 'fitness'")
