"""A comparison as finished text: the page and the terminal show the same rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgedeploy.report import wording
from edgedeploy.report.compare import LayerChange, Outcome, RunComparison, headline, outcome_of

TOP_LAYERS = 10
_ABSENT = "not there"


@dataclass(frozen=True, kw_only=True)
class PartText:
    name: str
    before: str
    after: str
    change: str
    interval: str
    reading: str


@dataclass(frozen=True, kw_only=True)
class LayerText:
    """Times on hardware, shares of the run's layer time where either side is emulated."""

    name: str
    type: str
    before: str
    after: str
    change: str


@dataclass(frozen=True, kw_only=True)
class ComparisonView:
    headline: str
    banner: str
    parts: tuple[PartText, ...]
    layers: tuple[LayerText, ...]
    memory_before: str
    memory_after: str
    memory_change: str


def view_comparison(comparison: RunComparison) -> ComparisonView:
    """Return the rows to show."""
    before, after = comparison.before, comparison.after
    one, two = before.peak_rss_bytes, after.peak_rss_bytes
    return ComparisonView(
        headline=headline(comparison) + ".",
        banner=_banner(comparison),
        parts=_parts(comparison),
        layers=tuple(_layer(item, comparison) for item in comparison.layers[:TOP_LAYERS]),
        memory_before=wording.mebibytes(one) if one is not None else "not shown",
        memory_after=wording.mebibytes(two) if two is not None else "not shown",
        memory_change=wording.change(two / one) if one and two is not None else "",
    )


def _banner(comparison: RunComparison) -> str:
    if not comparison.emulated:
        return ""
    sides = [
        f"{side} ({wording.emulator_name(record)}, {wording.clock_name(record)})"
        for side, record in (("before", comparison.before), ("after", comparison.after))
        if record.emulated
    ]
    return f"Measured on an emulated board: {' and '.join(sides)}. Times are not the board's, nor need their ratio be."


def _parts(comparison: RunComparison) -> tuple[PartText, ...]:
    rows = []
    for part in comparison.parts:
        interval = part.change.interval
        rows.append(
            PartText(
                name=part.name,
                before=wording.milliseconds(part.before_us, emulated=comparison.before.emulated),
                after=wording.milliseconds(part.after_us, emulated=comparison.after.emulated),
                change=wording.change(part.change.ratio),
                interval=f"{wording.change(interval.low)} to {wording.change(interval.high)}" if interval else "none",
                reading=outcome_of(part.change).value,
            )
        )
    if comparison.outcome is Outcome.MEANINGLESS:
        return tuple(replace(row, change="", interval="", reading=Outcome.MEANINGLESS.value) for row in rows)
    return tuple(rows)


def _layer(layer: LayerChange, comparison: RunComparison) -> LayerText:
    ratio = None if comparison.outcome is Outcome.MEANINGLESS else layer.ratio
    return LayerText(
        name=layer.name,
        type=layer.type,
        before=_layer_value(layer.before_us, layer.before_share, shares_only=comparison.emulated),
        after=_layer_value(layer.after_us, layer.after_share, shares_only=comparison.emulated),
        change=wording.change(ratio) if ratio is not None else "",
    )


def _layer_value(time_us: float | None, share: float | None, *, shares_only: bool) -> str:
    if time_us is None or share is None:
        return _ABSENT
    return wording.percent(share) if shares_only else wording.milliseconds(time_us, emulated=False)
