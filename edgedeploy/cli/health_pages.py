"""What people are shown of a release's health and of a board's history."""

from __future__ import annotations

from edgedeploy.cli.console import stdout
from edgedeploy.deploy.status import BoardStatus
from edgedeploy.healthfile import Health

SHOWN_ACTIVATIONS = 5
_STATES = {
    "proven": "proven after its activation, {time} by the board's clock",
    "failed": "FAILED when it was asked again, {time} by the board's clock",
    "pending": "not proven: cut off after its activation, {time} by the board's clock; flashing it again proves it",
}
UNKNOWN = "not known: the next flash or rollback to it finds out"


def show_health(found: BoardStatus) -> None:
    """Print the active release's health."""
    if found.current is None:
        return
    if found.health is None:
        _row("health", UNKNOWN)
        return
    for name, value in health_rows(found.health):
        _row(name, value)


def show_history(found: BoardStatus) -> None:
    """Print the last activations."""
    for item in found.history[-SHOWN_ACTIVATIONS:]:
        stdout.print(item.describe(), markup=False)


def health_rows(health: Health) -> list[tuple[str, str]]:
    """Return what is known, as names and values.

    Example:
        ``[("health", "proven after ..."), ("golden", "cosine 0.999998, largest error 0.0004"),
        ("latency", "12.3 ms, median of 20 runs on 6 threads; budget 20 ms"), ("memory", "85.1 MB; no budget")]``
    """
    rows = [("health", _STATES[health.state].format(time=health.time))]
    if health.reason:
        rows.append(("reason", health.reason))
    if health.golden is not None:
        rows.append(
            ("golden", f"cosine {_number(health.golden.cosine)}, largest error {_number(health.golden.max_abs_error)}")
        )
    if health.golden is not None or health.budget.latency_ms is not None:
        rows.append(("latency", f"{_latency(health)}; {_limit(health.budget.latency_ms, 'ms')}"))
    if health.memory_mb is not None:
        rows.append(("memory", f"{health.memory_mb:.1f} MB at its peak; {_limit(health.budget.memory_mb, 'MB')}"))
    return rows


def _latency(health: Health) -> str:
    if health.latency is None:
        return "not judged: emulated" if health.emulated else "not judged"
    found = health.latency
    return f"{found.median_ms:.3g} ms, median of {found.runs} runs on {found.threads} threads"


def _limit(value: float | None, unit: str) -> str:
    return f"budget {value:g} {unit}" if value is not None else "no budget"


def _number(value: float | None) -> str:
    return f"{value:.6g}" if value is not None else "not finite"


def _row(name: str, value: str) -> None:
    stdout.print(f"{name:<8}{value}", markup=False)
