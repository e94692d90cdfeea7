"""How fast int8 is beside float on a quantization's page and in its terminal summary."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.artifacts import Provenance
from edgedeploy.quantfile import QuantizationRecord, SpeedFigure
from edgedeploy.report import wording
from edgedeploy.report.details import Fact


@dataclass(frozen=True, kw_only=True)
class SpeedRow:
    label: str
    value: str
    runs: str
    part: float


def speed_rows(record: QuantizationRecord) -> tuple[SpeedRow, ...]:
    """Return the measured releases; ``part`` is of the slowest."""
    speed = record.speed.measured
    if speed is None:
        return ()
    figures = [figure for figure in (speed.float32, speed.float16, speed.int8) if figure is not None]
    largest = max(figure.value for figure in figures) or 1.0
    return tuple(_speed_row(figure, speed.unit, largest) for figure in figures)


def speed_facts(record: QuantizationRecord) -> tuple[Fact, ...]:
    """Return how the speed was measured; empty where it was not."""
    speed = record.speed.measured
    if speed is None:
        return ()
    interval = speed.interval
    shown = f" (95 % interval {interval.low:.3f} to {interval.high:.3f})" if interval is not None else ""
    where = "the board" if speed.provenance is Provenance.HARDWARE else "the emulated twin, by counting instructions"
    return (
        Fact(name="Measured on", value=where),
        Fact(name="int8 against the best float", value=f"{speed.ratio:.3f}{shown}: {speed.verdict}"),
        Fact(name="Recommended", value=speed.recommendation),
    )


def _speed_row(figure: SpeedFigure, unit: str, largest: float) -> SpeedRow:
    return SpeedRow(
        label=figure.label,
        value=f"{wording.number(figure.value)} {unit}",
        runs=wording.plural(figure.runs, "run"),
        part=figure.value / largest,
    )
