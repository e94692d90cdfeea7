"""The note of a release's health on the board: what is taken, and what counts as damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from health_notes import DIGEST, EARLIER, OUTPUT, answer, note, older_answer

from edgedeploy.healthfile import Budget, GoldenHealth, Health, LatencyHealth, parse_health


def parsed(**changes: Any) -> Health | None:
    return parse_health(json.dumps(note(**changes)))


def test_a_proven_release() -> None:
    assert parsed() == Health(
        release=DIGEST,
        state="proven",
        time="2026-01-02T03:04:05Z",
        back=EARLIER,
        reason="",
        emulated=False,
        budget=Budget(latency_ms=20, memory_mb=None),
        golden=GoldenHealth(passed=True, cosine=0.99999, max_abs_error=0.003),
        latency=LatencyHealth(median_ms=12.3, min_ms=12, max_ms=15, runs=20, warmup=3, threads=6),
        memory_mb=85.1,
    )


def test_one_that_is_pending_and_one_that_crashed() -> None:
    pending = parsed(state="pending", answer=None)
    assert pending is not None and (pending.state, pending.golden, pending.memory_mb) == ("pending", None, None)
    crashed = parsed(state="failed", reason="status 139", answer=None, back=None)
    assert crashed is not None and (crashed.reason, crashed.back) == ("status 139", None)


def test_an_older_programs_selftest() -> None:
    found = parsed(answer=older_answer())
    assert found is not None and found.golden is not None
    assert (found.golden.cosine, found.latency, found.memory_mb) == (0.99999, None, 9)


def test_the_worst_output_counts() -> None:
    outputs = [OUTPUT, {**OUTPUT, "name": "out1", "cosine": 0.5, "max_abs_error": 2.0, "passed": False}]
    found = parsed(state="failed", answer=answer(golden={"passed": False, "outputs": outputs}))
    assert found is not None and found.golden == GoldenHealth(passed=False, cosine=0.5, max_abs_error=2.0)
    outputs.append({**OUTPUT, "cosine": None, "max_abs_error": None})
    found = parsed(state="failed", answer=answer(golden={"passed": False, "outputs": outputs}))
    assert found is not None and found.golden == GoldenHealth(passed=False, cosine=None, max_abs_error=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"release": "../x"},
        {"state": "well"},
        {"back": "-"},
        {"terms": {"emulated": "no", "latency_ms": None, "memory_mb": None}},
        {"reason": None},
        {"more": 1},
        {"answer": None},
        {"answer": answer(passed="true")},
        {"answer": answer(more=1)},
        {"answer": older_answer(peak_rss_bytes=-1)},
        {"answer": older_answer(peak_rss_bytes=1 << 70)},
    ],
)
def test_what_is_damaged_is_not_known(changes: dict[str, Any]) -> None:
    assert parsed(**changes) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 10_000, '{"answer": NaN}'])
def test_what_is_no_note(text: str) -> None:
    assert parse_health(text) is None


def test_an_answer_that_cannot_be_read_may_be_why_it_failed() -> None:
    found = parsed(state="failed", reason="status 3", answer={"schema": 1, "passed": False, "x": 1})
    assert found is not None and (found.reason, found.golden) == ("status 3", None)
