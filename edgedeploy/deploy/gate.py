"""The health gate: what an active release has to prove on the board, where the board goes where it fails, and how both
are said.

The verdict falls on the board, in the script that activates; here are its terms and what it means.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgedeploy.deploy import history
from edgedeploy.deploy.activation_script import NOTHING, STAY
from edgedeploy.deploy.survey import Survey
from edgedeploy.errors import HealthError, LatencyBudgetError, MemoryBudgetError, UnhealthyError
from edgedeploy.healthfile import Budget, Health

WARMUP_RUNS = 3
TIMED_RUNS = 20
TIMED_SECONDS = 10.0
"""No run begins later, once three are done: a slow model is judged by fewer."""
LEAST_INFERENCES = 1 + WARMUP_RUNS + 3
SLACK = 2.0
"""How much slower than in the self-test an inference may be before the program counts as hanging."""

_HINTS: dict[type[HealthError], str] = {
    UnhealthyError: "edgedeploy status has the history; where the board is short of memory, stop other programs",
    LatencyBudgetError: "see whether the board is busy or hot (edgedeploy bench says), make the model faster, or raise "
    "latency_ms of [budget] in edgedeploy.toml",
    MemoryBudgetError: "make the model or its input smaller, or raise memory_mb of [budget] in edgedeploy.toml",
}


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The terms.

    Args:
        threads: Of the timed runs; None takes every core.
        emulated: On a twin: nothing is timed, and no latency judged.
        limit_s: What the on-board program may take in all; longer counts as hanging.
        is_open: Nothing is asked: a trial, which is measured and goes again.
    """

    budget: Budget
    threads: int | None
    emulated: bool
    limit_s: float
    is_open: bool = False

    @property
    def judged(self) -> Budget:
        """What the board is told to judge by."""
        return Budget(latency_ms=None if self.emulated else self.budget.latency_ms, memory_mb=self.budget.memory_mb)

    def words(self) -> str:
        """Return the runner's options.

        Example:
            ``"--warmup 3 --runs 20 --seconds 10 --threads 6 --latency-ms 20"``
        """
        runs = 0 if self.emulated else TIMED_RUNS
        words = ["--warmup", str(WARMUP_RUNS), "--runs", str(runs), "--seconds", f"{TIMED_SECONDS:g}"]
        words += ["--threads", str(self.threads)] if self.threads else []
        words += ["--latency-ms", repr(self.judged.latency_ms)] if self.judged.latency_ms else []
        words += ["--memory-mb", repr(self.judged.memory_mb)] if self.judged.memory_mb else []
        return " ".join(words)

    def terms(self) -> str:
        """Return what is written down beside the verdict, as JSON."""
        document = {"latency_ms": self.budget.latency_ms, "memory_mb": self.budget.memory_mb}
        return json.dumps({"emulated": self.emulated, **document})

    def is_held(self, health: Health | None) -> bool:
        """Return whether the board has the proof already, on these very terms."""
        known = health is not None and health.state == "proven"
        return known and health is not None and (health.budget, health.emulated) == (self.budget, self.emulated)


def limit_s(deadline_s: float, *, selftest_s: float, emulated: bool) -> float:
    """Return what the gate may take.

    Args:
        deadline_s: What any self-test may take.
        selftest_s: What this release's took just now: once what the gate does several times, on a board.
    """
    return deadline_s + SLACK * selftest_s * (1 if emulated else LEAST_INFERENCES)


def way_back(survey: Survey, digest: str) -> str:
    """Return what is to be active where ``digest`` fails its gate: a release, nothing (``-``), or ``stay``.

    It is what was active before the activation that the gate is about. A release that was active without an activation
    that is still pending stays: a command that fails leaves the board as it was.
    """
    if survey.current != digest:
        return survey.current or NOTHING
    health = survey.health.get(digest)
    if health is None or health.state != "pending":
        return STAY
    if health.back is None:
        return NOTHING
    if health.back in survey.releases and health.back != digest:
        return health.back
    return history.previous_release(survey.history, current=digest, present=survey.releases) or STAY


def health_error(health: Health, *, now: str) -> HealthError:
    """Return the error for a release that failed; ``now`` says what is active."""
    kind: type[HealthError] = UnhealthyError
    if health.golden is not None and health.golden.passed:
        memory, limit = health.memory_mb, health.budget.memory_mb
        over = memory is not None and limit is not None and memory > limit
        kind = MemoryBudgetError if over else LatencyBudgetError if health.latency is not None else UnhealthyError
    return kind(f"release {health.release[:12]} is not healthy: {health.reason}; {now}", hint=_HINTS[kind])


def describe(health: Health) -> str:
    """Return what was measured, for a step's note.

    Example:
        ``"12.3 ms, 85.0 MB"``
    """
    parts = [f"{health.latency.median_ms:.3g} ms"] if health.latency else []
    parts += ["latency not judged: emulated"] if health.emulated and health.budget.latency_ms else []
    parts += [f"{health.memory_mb:.1f} MB"] if health.memory_mb else []
    return ", ".join(parts)
