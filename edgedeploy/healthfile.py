"""``health/DIGEST`` on the board: what the health gate found out about a release, and the budgets it is held against.

Defined below the stages, because ``deploy`` writes and reads it and results carry it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgedeploy.reading import require_modest_json

HEALTH_SCHEMA = 1
_MOST_BYTES = 1 << 62
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a release may need on the board; None is no limit.

    Args:
        latency_ms: Median of preprocessing, inference and postprocessing together, after a warm-up.
        memory_mb: Resident memory of the on-board program at its peak, in 10^6 bytes.
    """

    latency_ms: float | None = None
    memory_mb: float | None = None


NO_BUDGET = Budget()


@dataclass(frozen=True, kw_only=True)
class GoldenHealth:
    """The worst of all outputs: least cosine and largest error; None where they are not finite."""

    passed: bool
    cosine: float | None
    max_abs_error: float | None


@dataclass(frozen=True, kw_only=True)
class LatencyHealth:
    """Timed runs on the board, after ``warmup`` runs that do not count."""

    median_ms: float
    min_ms: float
    max_ms: float
    runs: int
    warmup: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is known of a release on a board.

    Args:
        state: ``pending``: activated, and then nobody told; ``proven`` or ``failed``: the gate's verdict.
        time: Of the verdict, or of the activation while it is pending, by the board's clock, ISO 8601.
        back: What was active before the activation that is pending; None where nothing was.
        reason: Why it failed, else empty.
        emulated: Judged on a twin, whose times are not the board's: latency was not measured.
        golden, latency, memory_mb: What was measured, as far as the on-board program came.
    """

    release: str
    state: Literal["pending", "proven", "failed"]
    time: str
    back: str | None
    reason: str
    emulated: bool
    budget: Budget
    golden: GoldenHealth | None = None
    latency: LatencyHealth | None = None
    memory_mb: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Output(_Frozen):
    name: str
    cosine: float | None
    max_abs_error: float | None
    sqnr_db: float | None
    passed: bool


class _Golden(_Frozen):
    passed: bool
    outputs: tuple[_Output, ...]

    def to_health(self) -> GoldenHealth:
        cosines = [item.cosine for item in self.outputs if item.cosine is not None]
        errors = [item.max_abs_error for item in self.outputs if item.max_abs_error is not None]
        return GoldenHealth(
            passed=self.passed and bool(self.outputs) and all(item.passed for item in self.outputs),
            cosine=min(cosines) if len(cosines) == len(self.outputs) and cosines else None,
            max_abs_error=max(errors) if len(errors) == len(self.outputs) and errors else None,
        )


class _Latency(_Frozen):
    median_us: float
    min_us: float
    max_us: float
    runs: int
    warmup: int
    threads: int
    budget_ms: float | None
    passed: bool

    def to_health(self) -> LatencyHealth:
        return LatencyHealth(
            median_ms=self.median_us / 1e3,
            min_ms=self.min_us / 1e3,
            max_ms=self.max_us / 1e3,
            runs=self.runs,
            warmup=self.warmup,
            threads=self.threads,
        )


class _Memory(_Frozen):
    peak_rss_bytes: Annotated[int, Field(ge=0, le=_MOST_BYTES)]
    budget_mb: float | None
    passed: bool


class _Answer(_Frozen):
    """What the runner's ``health`` prints."""

    schema_version: Literal[1] = Field(alias="schema")
    passed: bool
    reason: str
    golden: _Golden
    latency: _Latency | None
    memory: _Memory
    duration_us: float


class _OlderAnswer(_Frozen):
    """What its ``selftest`` prints: all that a program from before ``health`` can be asked."""

    schema_version: Literal[1] = Field(alias="schema")
    passed: bool
    outputs: tuple[_Output, ...]
    duration_us: float
    peak_rss_bytes: Annotated[int, Field(ge=0, le=_MOST_BYTES)]


class _Terms(_Frozen):
    emulated: bool
    latency_ms: float | None
    memory_mb: float | None


class _Note(_Frozen):
    schema_version: Literal[1] = Field(alias="schema")
    release: Digest
    state: Literal["pending", "proven", "failed"]
    time: str
    back: Digest | None
    terms: _Terms
    reason: str
    answer: dict[str, Any] | None


def parse_health(text: str) -> Health | None:
    """Read what a board keeps of a release's health, a JSON document.

    Returns:
        None where it is damaged or of another schema. Of a release that failed, an answer that cannot be read counts as
        none: that may be why it failed.
    """
    try:
        require_modest_json(text)
        note = _Note.model_validate_json(text)
    except ValueError:
        return None
    measured = _measured(note.answer)
    if note.state == "proven" and not measured:
        return None
    return Health(
        release=note.release,
        state=note.state,
        time=note.time,
        back=note.back,
        reason=note.reason,
        emulated=note.terms.emulated,
        budget=Budget(latency_ms=note.terms.latency_ms, memory_mb=note.terms.memory_mb),
        **measured,
    )


def _measured(answer: dict[str, Any] | None) -> dict[str, Any]:
    """Return the fields of ``Health`` that an answer of the runner fills; none where it cannot be read."""
    try:
        text = json.dumps(answer)
        if "golden" not in (answer or {}):
            older = _OlderAnswer.model_validate_json(text)
            golden = _Golden(passed=older.passed, outputs=older.outputs)
            return {"golden": golden.to_health(), "memory_mb": older.peak_rss_bytes / 1e6}
        found = _Answer.model_validate_json(text)
    except ValueError:
        return {}
    return {
        "golden": found.golden.to_health(),
        "latency": found.latency.to_health() if found.latency else None,
        "memory_mb": found.memory.peak_rss_bytes / 1e6,
    }
