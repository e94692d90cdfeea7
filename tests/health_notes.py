"""What a board keeps of a release's health, as documents."""

from __future__ import annotations

from typing import Any

DIGEST, EARLIER = "ab" * 32, "cd" * 32
OUTPUT = {"name": "out0", "cosine": 0.99999, "max_abs_error": 0.003, "sqnr_db": None, "passed": True}


def answer(**changes: Any) -> dict[str, Any]:
    """Return what the on-board program's ``health`` prints."""
    latency = {"median_us": 12300.0, "min_us": 12000.0, "max_us": 15000.0, "runs": 20, "warmup": 3, "threads": 6}
    return {
        "schema": 1,
        "passed": True,
        "reason": "",
        "golden": {"passed": True, "outputs": [OUTPUT]},
        "latency": {**latency, "budget_ms": 20.0, "passed": True},
        "memory": {"peak_rss_bytes": 85_100_000, "budget_mb": None, "passed": True},
        "duration_us": 400000.5,
        **changes,
    }


def older_answer(**changes: Any) -> dict[str, Any]:
    """Return what ``selftest`` prints, all that an older program knows."""
    document = {"schema": 1, "passed": True, "outputs": [OUTPUT], "duration_us": 812.5, "peak_rss_bytes": 9_000_000}
    return {**document, **changes}


def note(**changes: Any) -> dict[str, Any]:
    """Return a proven release's note."""
    return {
        "schema": 1,
        "release": DIGEST,
        "state": "proven",
        "time": "2026-01-02T03:04:05Z",
        "back": EARLIER,
        "terms": {"emulated": False, "latency_ms": 20.0, "memory_mb": None},
        "reason": "",
        "answer": answer(),
        **changes,
    }
