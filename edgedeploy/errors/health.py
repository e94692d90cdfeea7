"""11x: the health gate: what was just activated does not do on the board what it must."""

from __future__ import annotations

from edgedeploy.errors.deployment import DeployError


class HealthError(DeployError):
    """An active release fails the health gate; the message says what was measured and what is active now."""


class UnhealthyError(HealthError):
    """It does not reproduce its golden outputs, or it does not run to its end."""

    slug = "unhealthy"
    exit_code = 110


class LatencyBudgetError(HealthError):
    """It is slower than ``[budget] latency_ms``."""

    slug = "latency-budget"
    exit_code = 111


class MemoryBudgetError(HealthError):
    """It needs more memory than ``[budget] memory_mb``."""

    slug = "memory-budget"
    exit_code = 112
