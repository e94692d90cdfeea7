"""Two runs side by side: what changed, whether it is more than chance, and what else differed between them."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from edgedeploy.errors import IncomparableRunsError
from edgedeploy.latency_stats import MedianRatio, median_ratio
from edgedeploy.report import wording
from edgedeploy.runfile import RunRecord, SampleTimes

COMPARISON_SCHEMA = 1
# A difference can be beyond chance and still too small to matter.
RELEVANT_SHARE = 0.01
_RELEVANT_MILLICELSIUS = 5000


class Outcome(str, Enum):
    """What the inference times of two runs say."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference shown"
    TOO_FEW = "too few runs"
    MEANINGLESS = "not comparable"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that was not the same in both runs. ``blocking``: their times do not stand for the same thing."""

    name: str
    before: str
    after: str
    blocking: bool


@dataclass(frozen=True, kw_only=True)
class PartChange:
    """Median times of one part of a run."""

    name: str
    before_us: float
    after_us: float
    change: MedianRatio


@dataclass(frozen=True, kw_only=True)
class LayerChange:
    """A layer by its name; None where a run does not have it. Shares are of the run's layer time."""

    name: str
    type: str
    before_us: float | None
    after_us: float | None
    before_share: float | None
    after_share: float | None

    @property
    def ratio(self) -> float | None:
        return self.after_us / self.before_us if self.before_us and self.after_us is not None else None


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """``parts`` begins with inference; ``layers`` with the largest change."""

    before: RunRecord
    after: RunRecord
    differences: tuple[Difference, ...]
    outcome: Outcome
    parts: tuple[PartChange, ...]
    layers: tuple[LayerChange, ...]

    @property
    def inference(self) -> MedianRatio:
        return self.parts[0].change

    @property
    def emulated(self) -> bool:
        """Whether either side's times are an emulator's."""
        return self.before.emulated or self.after.emulated

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``compare --json`` prints; times in microseconds, emulated where the run is."""
        return {
            "schema": COMPARISON_SCHEMA,
            "before": _identity(self.before),
            "after": _identity(self.after),
            "emulated": self.emulated,
            "outcome": self.outcome.value,
            "differences": [asdict(item) for item in self.differences],
            "parts": [
                {
                    "name": part.name,
                    "before_us": part.before_us,
                    "after_us": part.after_us,
                    **part.change.model_dump(mode="json"),
                }
                for part in self.parts
            ],
            "layers": [asdict(layer) | {"ratio": layer.ratio} for layer in self.layers],
            "peak_rss_bytes": {"before": self.before.peak_rss_bytes, "after": self.after.peak_rss_bytes},
        }


def compare_runs(before: RunRecord, after: RunRecord, *, anyway: bool = False) -> RunComparison:
    """Compare two runs.

    Args:
        anyway: Compare even what does not measure the same thing; the outcome is then ``not comparable``.

    Raises:
        IncomparableRunsError: Board, app, provenance or clock differ, and ``anyway`` is off.
    """
    differences = find_differences(before, after)
    blocking = [item for item in differences if item.blocking]
    if blocking and not anyway:
        listed = "; ".join(f"{item.name} {item.before} against {item.after}" for item in blocking)
        raise IncomparableRunsError(
            f"runs {before.id} and {after.id} do not measure the same thing: {listed}",
            hint="measure again under the conditions of the first, or add --anyway to compare them all the same",
        )
    parts = _part_changes(before.measurement.samples, after.measurement.samples)
    return RunComparison(
        before=before,
        after=after,
        differences=differences,
        outcome=Outcome.MEANINGLESS if blocking else outcome_of(parts[0].change),
        parts=parts,
        layers=_layer_changes(before, after),
    )


def outcome_of(change: MedianRatio) -> Outcome:
    """Return what a ratio of medians says: a difference counts from 1 % and beyond chance."""
    if change.significant is None:
        return Outcome.TOO_FEW
    if not change.significant or abs(change.ratio - 1) < RELEVANT_SHARE:
        return Outcome.NO_DIFFERENCE
    return Outcome.FASTER if change.ratio < 1 else Outcome.SLOWER


def headline(comparison: RunComparison) -> str:
    """Return the outcome as a sentence, the same on the page and in the terminal."""
    change = comparison.inference
    subject = "In the emulator, inference" if comparison.emulated else "Inference"
    interval = ""
    if change.interval is not None:
        interval = f" (95 % interval {wording.change(change.interval.low)} to {wording.change(change.interval.high)})"
    if comparison.outcome is Outcome.MEANINGLESS:
        return "These runs do not measure the same thing: no ratio of theirs is a result"
    if comparison.outcome is Outcome.TOO_FEW:
        apart = "their ranges overlap" if change.ranges_overlap else "their ranges lie apart"
        return (
            f"{subject} changed by {wording.change(change.ratio)}, but too few runs can tell it from chance "
            f"(six a side can; {apart})"
        )
    if comparison.outcome is Outcome.NO_DIFFERENCE:
        return f"{subject} shows no difference that matters: {wording.change(change.ratio)}{interval}"
    return f"{subject} became {comparison.outcome.value}: {wording.change(change.ratio)} time{interval}"


def find_differences(before: RunRecord, after: RunRecord) -> tuple[Difference, ...]:
    """Return what was not the same: what forbids a comparison first, then conditions that may explain a change."""
    pairs = [
        ("board", before.board.name, after.board.name, True),
        ("provenance", before.provenance.value, after.provenance.value, True),
        ("clock", wording.clock_name(before), wording.clock_name(after), True),
        ("app", before.app, after.app, True),
        *(
            (name, one, other, False)
            for (name, one), (_, other) in zip(_conditions(before), _conditions(after), strict=True)
        ),
    ]
    found = [
        Difference(name=name, before=one, after=two, blocking=stop) for name, one, two, stop in pairs if one != two
    ]
    return (*found, *_temperature_differences(before, after))


def _conditions(record: RunRecord) -> tuple[tuple[str, str], ...]:
    config = record.measurement.config
    state = record.measurement.conditions.before
    governors = ", ".join(sorted(set(state.governors.values()))) or "not shown"
    golden = "not run" if record.golden is None else "passed" if record.golden.passed else "failed"
    return (
        ("golden self-test", golden),
        ("engine", record.versions.get("engine", "not known")),
        ("runner", record.versions.get("runner", "not known")),
        ("threads", str(config.threads)),
        ("affinity", wording.cpu_list(config.cpus_applied) if config.cpus_requested else "none"),
        ("precision asked for", config.precision),
        ("warm-up runs", str(config.warmup)),
        ("governor", governors),
        ("kernel", record.board.facts.kernel),
        ("cores seen", str(len(record.board.facts.cores))),
    )


def _temperature_differences(before: RunRecord, after: RunRecord) -> tuple[Difference, ...]:
    one, two = (record.measurement.conditions.before.temperatures_mc for record in (before, after))
    return tuple(
        Difference(
            name=f"temperature of {zone} at the start",
            before=f"{one[zone] / 1000:.1f} °C",
            after=f"{two[zone] / 1000:.1f} °C",
            blocking=False,
        )
        for zone in sorted(one.keys() & two.keys())
        if abs(one[zone] - two[zone]) >= _RELEVANT_MILLICELSIUS
    )


def _part_changes(before: tuple[SampleTimes, ...], after: tuple[SampleTimes, ...]) -> tuple[PartChange, ...]:
    return (
        _part_change("inference", [item.inference_us for item in before], [item.inference_us for item in after]),
        _part_change("preprocessing", [item.pre_us for item in before], [item.pre_us for item in after]),
        _part_change("postprocessing", [item.post_us for item in before], [item.post_us for item in after]),
        _part_change("end to end", [item.total_us for item in before], [item.total_us for item in after]),
    )


def _part_change(name: str, before_us: list[float], after_us: list[float]) -> PartChange:
    return PartChange(
        name=name,
        before_us=statistics.median(before_us),
        after_us=statistics.median(after_us),
        change=median_ratio(before_us, after_us),
    )


def _layer_changes(before: RunRecord, after: RunRecord) -> tuple[LayerChange, ...]:
    one = {layer.name: layer for layer in before.measurement.layers}
    two = {layer.name: layer for layer in after.measurement.layers}
    one_total = sum(layer.median_us for layer in one.values()) or 1.0
    two_total = sum(layer.median_us for layer in two.values()) or 1.0
    changes = []
    for name, known in (two | one).items():
        first, second = one.get(name), two.get(name)
        changes.append(
            LayerChange(
                name=name,
                type=known.type,
                before_us=first.median_us if first else None,
                after_us=second.median_us if second else None,
                before_share=first.median_us / one_total if first else None,
                after_share=second.median_us / two_total if second else None,
            )
        )
    return tuple(sorted(changes, key=lambda item: abs((item.after_us or 0) - (item.before_us or 0)), reverse=True))


def _identity(record: RunRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "app": record.app,
        "release": record.release,
        "board": record.board.name,
        "provenance": record.provenance.value,
        "clock": record.clock.value if record.clock else None,
    }
