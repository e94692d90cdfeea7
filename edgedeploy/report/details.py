"""The tables under the verdict, as rows of finished text: conditions, layers, memory, golden outputs, identity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from edgedeploy.report import wording
from edgedeploy.runfile import ConditionsSnapshot, LayerTime, RunRecord

OWN_IMPLEMENTATION = "edgedeploy"


@dataclass(frozen=True, kw_only=True)
class Fact:
    name: str
    value: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """``time`` is empty for emulated runs, which show shares only; ``share`` is of all layers' time."""

    index: int
    name: str
    type: str
    input_shapes: str
    output_shapes: str
    precision: str
    implementation: str
    share: float
    time: str

    @property
    def own(self) -> bool:
        return self.implementation == OWN_IMPLEMENTATION


@dataclass(frozen=True, kw_only=True)
class TypeRow:
    """All layers of one type. ``own_share`` is the part of ``share`` that edgedeploy's operators ran."""

    type: str
    count: int
    share: float
    own_share: float
    time: str


@dataclass(frozen=True, kw_only=True)
class MemoryRow:
    """``rss_part`` and ``peak_part`` are of the largest peak: the lengths of the bars."""

    phase: str
    rss: str
    peak: str
    rss_part: float
    peak_part: float


@dataclass(frozen=True, kw_only=True)
class GoldenRow:
    name: str
    cosine: str
    max_abs_error: str
    sqnr_db: str
    passed: bool


def layer_rows(record: RunRecord) -> tuple[LayerRow, ...]:
    """Return the layers in the network's order."""
    total = _divisor_us(record.measurement.layers)
    return tuple(_layer_row(layer, total, record.emulated) for layer in record.measurement.layers)


def top_layers(record: RunRecord, count: int) -> tuple[LayerRow, ...]:
    """Return the layers that took longest, longest first."""
    return tuple(sorted(layer_rows(record), key=lambda row: row.share, reverse=True)[:count])


def type_rows(record: RunRecord) -> tuple[TypeRow, ...]:
    """Return the layer types, the one that took longest first."""
    layers = record.measurement.layers
    total = _divisor_us(layers)
    groups: dict[str, list[LayerTime]] = defaultdict(list)
    for layer in layers:
        groups[layer.type].append(layer)
    rows = [
        TypeRow(
            type=kind,
            count=len(members),
            share=_sum_us(members) / total,
            own_share=_sum_us([item for item in members if item.implementation == OWN_IMPLEMENTATION]) / total,
            time=_layer_time(_sum_us(members), record.emulated),
        )
        for kind, members in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: row.share, reverse=True))


def memory_rows(record: RunRecord) -> tuple[MemoryRow, ...]:
    """Return resident and peak memory at the end of each phase."""
    points = record.measurement.memory
    largest = max((point.peak_rss_bytes for point in points), default=0) or 1
    return tuple(
        MemoryRow(
            phase=point.phase.replace("_", " "),
            rss=wording.mebibytes(point.rss_bytes),
            peak=wording.mebibytes(point.peak_rss_bytes),
            rss_part=min(1.0, point.rss_bytes / largest),
            peak_part=point.peak_rss_bytes / largest,
        )
        for point in points
    )


def golden_rows(record: RunRecord) -> tuple[GoldenRow, ...]:
    """Return the self-test's outputs; numbers that were not finite are said to be so."""

    def show(value: float | None, digits: int) -> str:
        return "not finite" if value is None else f"{value:.{digits}f}"

    outputs = record.golden.outputs if record.golden is not None else ()
    return tuple(
        GoldenRow(
            name=item.name,
            cosine=show(item.cosine, 6),
            max_abs_error="not finite" if item.max_abs_error is None else wording.number(item.max_abs_error),
            sqnr_db=show(item.sqnr_db, 1),
            passed=item.passed,
        )
        for item in outputs
    )


def condition_facts(record: RunRecord) -> tuple[Fact, ...]:
    """Return how it was measured, with what the board did not show said so."""
    config, states = record.measurement.config, record.measurement.conditions
    cores = len(record.board.facts.cores)
    return (
        Fact(name="Source", value=f"{record.provenance.value}, {wording.clock_name(record)}"),
        Fact(
            name="Runs",
            value=f"{wording.plural(len(record.measurement.samples), 'timed run')} after {config.warmup} for warm-up "
            f"(asked for at least {config.runs} and {config.seconds:g} seconds)",
        ),
        Fact(
            name="Threads", value=f"{config.threads} on {wording.plural(cores, 'core')}", warning=config.threads > cores
        ),
        _affinity(record),
        Fact(name="Precision asked for", value=wording.precision(config.precision)),
        *(
            Fact(name=f"Preprocessing of {item.input}", value=item.kernel)
            for item in record.measurement.preprocessing
            if item.kernel
        ),
        _state("Governor", states.before.governors, states.after.governors),
        _frequencies(states.before, states.after),
        _temperatures(states.before, states.after),
        Fact(name="Memory available before", value=wording.mebibytes(record.board.facts.memory_available_bytes)),
    )


def identity_facts(record: RunRecord) -> tuple[Fact, ...]:
    """Return what was measured on what."""
    facts = record.board.facts
    clusters = ", ".join(
        f"{item.count} × {item.core}" + (f" at {item.max_mhz:g} MHz" if item.max_mhz else "")
        for item in record.board.clusters
    )
    parts = sorted({f"{core.implementer}/{core.part}" for core in facts.cores})
    return (
        Fact(name="Run", value=f"{record.id}, {record.created_at}"),
        Fact(name="Release", value=record.release),
        *(Fact(name=f"Version of {name}", value=value) for name, value in sorted(record.versions.items())),
        Fact(name="Board's definition", value=f"{record.board.name}, {record.board.soc}: {clusters}"),
        Fact(name="Board's own account", value=facts.model or "no model name"),
        Fact(
            name="Cores seen",
            value=f"{len(facts.cores)} × {facts.architecture} ({', '.join(parts) or 'no part numbers'})",
        ),
        Fact(name="CPU features", value=" ".join(facts.features) or "none listed"),
        Fact(name="Memory seen", value=wording.gibibytes(facts.memory_total_bytes)),
        Fact(name="System", value=f"{facts.os_name}, {facts.kernel}, {facts.libc or 'libc not known'}"),
    )


def _layer_row(layer: LayerTime, total_us: float, emulated: bool) -> LayerRow:
    return LayerRow(
        index=layer.index,
        name=layer.name,
        type=layer.type,
        input_shapes=wording.shapes(layer.input_shapes),
        output_shapes=wording.shapes(layer.output_shapes),
        precision=layer.precision,
        implementation=layer.implementation,
        share=layer.median_us / total_us,
        time=_layer_time(layer.median_us, emulated),
    )


def _layer_time(value_us: float, emulated: bool) -> str:
    return "" if emulated else wording.milliseconds(value_us, emulated=False)


def _sum_us(layers: Sequence[LayerTime]) -> float:
    return sum(layer.median_us for layer in layers)


def _divisor_us(layers: Sequence[LayerTime]) -> float:
    """Return the layers' time together, or something above 0 where they took none: then every share is 0."""
    return _sum_us(layers) or 1.0


def _affinity(record: RunRecord) -> Fact:
    config = record.measurement.config
    if not config.cpus_requested:
        return Fact(name="Affinity", value="none asked for: the scheduler chose the cores")
    asked = wording.cpu_list(config.cpus_requested)
    if config.cpus_applied == config.cpus_requested:
        return Fact(name="Affinity", value=f"pinned to {asked}")
    applied = wording.cpu_list(config.cpus_applied) if config.cpus_applied else "nothing"
    return Fact(name="Affinity", value=f"asked for {asked}, the board granted {applied}", warning=True)


def _state(name: str, before: dict[str, str], after: dict[str, str]) -> Fact:
    if not before and not after:
        return Fact(name=name, value="the board does not show it")
    same = before == after
    value = _grouped(before) if same else f"{_grouped(before)} before, {_grouped(after)} after"
    return Fact(name=name, value=value, warning=not same)


def _frequencies(before: ConditionsSnapshot, after: ConditionsSnapshot) -> Fact:
    if not before.frequencies_khz and not after.frequencies_khz:
        return Fact(name="Frequencies", value="the board does not show them")
    texts = [
        _grouped({cpu: f"{khz / 1000:g} MHz" for cpu, khz in state.frequencies_khz.items()})
        for state in (before, after)
    ]
    lower = any(after.frequencies_khz.get(cpu, khz) < khz for cpu, khz in before.frequencies_khz.items())
    value = texts[0] if texts[0] == texts[1] else f"{texts[0]} before; {texts[1]} after"
    return Fact(name="Frequencies", value=value, warning=lower)


def _temperatures(before: ConditionsSnapshot, after: ConditionsSnapshot) -> Fact:
    zones = sorted(before.temperatures_mc.keys() | after.temperatures_mc.keys())
    if not zones:
        return Fact(name="Temperatures", value="the board does not show them")

    def show(state: ConditionsSnapshot, zone: str) -> str:
        value = state.temperatures_mc.get(zone)
        return "?" if value is None else f"{value / 1000:.1f}"

    return Fact(
        name="Temperatures, before → after",
        value="; ".join(f"{zone} {show(before, zone)} → {show(after, zone)} °C" for zone in zones),
    )


def _grouped(values: dict[str, str]) -> str:
    """Return ``performance (cpu0-3), schedutil (cpu4)``, or the bare value where all agree."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(values, key=lambda item: (len(item), item)):
        groups[values[name]].append(name)
    if len(groups) == 1:
        return next(iter(groups))
    return ", ".join(f"{value} ({' '.join(names)})" for value, names in groups.items()) or "not shown"
