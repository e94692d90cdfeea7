"""What a run says, in words and ready-made table rows: the page and the terminal show the same.

The rule for emulated runs is enforced here: headline and tiles hold no time, layers hold shares only, and the times
that remain carry the unit ``emulated ms``.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.artifacts import Clock, Provenance
from edgedeploy.latency_stats import Interval, LatencySummary, Verdict
from edgedeploy.report import wording
from edgedeploy.report.details import TypeRow, type_rows
from edgedeploy.runfile import RunRecord

HARDWARE_LATENCY_TITLE = "Latency"
EMULATED_LATENCY_TITLE = "Emulator time (not the board's)"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One number of the headline row. ``tone`` is ``good``, ``bad`` or ``plain``."""

    label: str
    value: str
    note: str = ""
    tone: str = "plain"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Name, value and a remark."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The verdict and the latency section."""

    headline: str
    tone: str
    sentences: tuple[str, ...]
    banner: str
    tiles: tuple[Tile, ...]
    latency_title: str
    latency_notes: tuple[str, ...]
    latency_rows: tuple[Row, ...]
    chart_description: str


def summarize_run(record: RunRecord) -> Summary:
    """Return the verdict in plain words, the banner of an emulated run and the latency section."""
    return Summary(
        headline=_headline(record),
        tone="bad" if golden_failed(record) else "good",
        sentences=(_golden_sentence(record), *_speed_sentences(record)),
        banner=_banner(record),
        tiles=_tiles(record),
        latency_title=EMULATED_LATENCY_TITLE if record.emulated else HARDWARE_LATENCY_TITLE,
        latency_notes=_latency_notes(record),
        latency_rows=_latency_rows(record),
        chart_description=_chart_description(record),
    )


def golden_failed(record: RunRecord) -> bool:
    return record.golden is not None and not record.golden.passed


def _headline(record: RunRecord) -> str:
    where = f"the emulated {record.board.name}" if record.emulated else record.board.name
    if golden_failed(record):
        return f"{record.app} gives wrong results on {where}"
    if record.emulated:
        start = "runs right" if record.golden is not None else "runs"
        return f"{record.app} {start} on {where}; its speed on the board is not measured"
    latency = record.statistics.inference
    time = wording.milliseconds(latency.median_us, emulated=False)
    trust = {
        Verdict.STABLE: "stable",
        Verdict.NOISY: "but noisy",
        Verdict.DRIFTING: "but drifting",
        Verdict.TOO_FEW: "from too few runs to judge",
    }
    return f"{record.app} takes {time} per inference on {where}, {trust[latency.verdict]}"


def _golden_sentence(record: RunRecord) -> str:
    if record.golden is None:
        return "The golden self-test was not run: whether the results are right is not known."
    worst = min((item.cosine for item in record.golden.outputs if item.cosine is not None), default=None)
    errors = [item.max_abs_error for item in record.golden.outputs if item.max_abs_error is not None]
    figures = ""
    if worst is not None and errors:
        figures = f" (cosine {worst:.6f}, largest error {wording.number(max(errors))})"
    if record.golden.passed:
        return f"The golden self-test passed: the outputs match the reference within the limits{figures}."
    return f"The golden self-test failed: the outputs are beyond the limits{figures}. Do not rely on this release."


def _speed_sentences(record: RunRecord) -> tuple[str, ...]:
    if record.emulated:
        shares = ", ".join(f"{row.type} {wording.percent(row.share)}" for row in type_rows(record)[:3])
        return (f"Inside the emulator the time went to {shares}.",) if shares else ()
    latency = record.statistics.inference
    sentences = [f"That is {wording.number(1e6 / latency.median_us)} inferences a second."] if latency.median_us else []
    if latency.median_ci is not None:
        sentences.append(
            f"The median's 95 % confidence interval is {wording.millisecond_range(latency.median_ci, emulated=False)} "
            f"({wording.plural(latency.n, 'run')})."
        )
    return (*sentences, *_stability_sentences(latency))


def _stability_sentences(latency: LatencySummary) -> tuple[str, ...]:
    sentences = []
    if latency.drift is not None and latency.drift.detected:
        sentences.append(
            f"The second half of the runs differs from the first by {wording.change(latency.drift.ratio)}: "
            "look at temperatures and frequencies below."
        )
    if latency.verdict is Verdict.NOISY:
        spread = latency.iqr_us / latency.median_us if latency.median_us else 0.0
        sentences.append(
            f"The middle half of the runs spans {wording.percent(spread)} of the median and "
            f"{wording.plural(latency.outliers, 'run')} lie far out: something else was at work on the board."
        )
    if latency.verdict is Verdict.TOO_FEW:
        sentences.append(f"{wording.plural(latency.n, 'run')} cannot show how stable it is; six or more can.")
    return tuple(sentences)


def _banner(record: RunRecord) -> str:
    if not record.emulated:
        return ""
    name = f"{wording.emulator_name(record)}, {wording.clock_name(record)}"
    text = f"Measured on an emulated board ({name}): times are not the board's."
    if record.clock is Clock.INSTRUCTIONS:
        text += " Guest time counts instructions: it repeats, but knows neither caches nor pipelines."
    if record.provenance is Provenance.QEMU_USER:
        text += " Kernel and core count are the host's."
    return text


def _tiles(record: RunRecord) -> tuple[Tile, ...]:
    tiles = [] if record.emulated else list(_speed_tiles(record.statistics.inference))
    if record.golden is None:
        tiles.append(Tile(label="Golden self-test", value="not run", tone="bad"))
    else:
        passed = record.golden.passed
        tiles.append(
            Tile(
                label="Golden self-test",
                value="passed" if passed else "failed",
                note=wording.plural(len(record.golden.outputs), "output"),
                tone="good" if passed else "bad",
            )
        )
    if record.peak_rss_bytes is not None:
        note = "in the emulated board" if record.emulated else ""
        tiles.append(Tile(label="Peak memory", value=wording.mebibytes(record.peak_rss_bytes), note=note))
    if record.emulated:
        tiles += _emulated_tiles(record)
    return tuple(tiles)


def _speed_tiles(latency: LatencySummary) -> tuple[Tile, ...]:
    median = Tile(
        label="Median latency",
        value=wording.milliseconds(latency.median_us, emulated=False),
        note=f"{wording.plural(latency.n, 'run')}, {latency.verdict.value}",
    )
    tail = ("95th percentile", latency.p95_us) if latency.p95_us is not None else ("Slowest run", latency.max_us)
    return median, Tile(label=tail[0], value=wording.milliseconds(tail[1], emulated=False))


def _emulated_tiles(record: RunRecord) -> list[Tile]:
    rows: tuple[TypeRow, ...] = type_rows(record)
    tiles = []
    if rows:
        tiles.append(
            Tile(
                label="Heaviest layer type",
                value=rows[0].type,
                note=f"{wording.percent(rows[0].share)} of emulator time",
            )
        )
    tiles.append(Tile(label="Timed runs", value=str(record.statistics.inference.n), note="in the emulator"))
    return tiles


def _latency_notes(record: RunRecord) -> tuple[str, ...]:
    latency = record.statistics.inference
    notes = []
    if record.emulated:
        unit = (
            "An emulated ms is a fixed number of guest instructions"
            if record.clock is Clock.INSTRUCTIONS
            else "An emulated ms is host time that the emulator took"
        )
        notes.append(f"{unit}: good for comparing two runs in the same emulator, never for the board.")
    missing = [name for name, value in _percentiles(latency) if value is None]
    if missing:
        notes.append(f"Too few runs for {', '.join(missing)} ({latency.n}).")
    if latency.median_ci is None:
        notes.append("Fewer than six runs give no confidence interval.")
    return tuple(notes)


def _percentiles(latency: LatencySummary) -> tuple[tuple[str, float | None], ...]:
    return (("p90", latency.p90_us), ("p95", latency.p95_us), ("p99", latency.p99_us))


def _latency_rows(record: RunRecord) -> tuple[Row, ...]:
    latency, emulated = record.statistics.inference, record.emulated

    def time(value_us: float) -> str:
        return wording.milliseconds(value_us, emulated=emulated)

    interval = latency.median_ci
    rows = [
        Row(
            name="Inference, median",
            value=time(latency.median_us),
            note=f"95 % interval {wording.millisecond_range(interval, emulated=emulated)}" if interval else "",
        ),
        Row(
            name="Inference, fastest to slowest",
            value=wording.millisecond_range(Interval(low=latency.min_us, high=latency.max_us), emulated=emulated),
        ),
        Row(
            name="Inference, mean",
            value=time(latency.mean_us),
            note=f"coefficient of variation {wording.percent(latency.coefficient_of_variation)}",
        ),
    ]
    rows += [
        Row(name=f"Inference, {name}", value=time(value)) for name, value in _percentiles(latency) if value is not None
    ]
    if latency.outliers:
        rows.append(Row(name="Outliers", value=str(latency.outliers), note="beyond 1.5 interquartile ranges"))
    load = record.measurement.load
    return (
        *rows,
        Row(name="Preprocessing, median", value=time(record.statistics.preprocessing.median_us)),
        Row(name="Postprocessing, median", value=time(record.statistics.postprocessing.median_us)),
        Row(name="End to end, median", value=time(record.statistics.total.median_us)),
        Row(name="First inference", value=time(record.measurement.first_inference_us)),
        Row(name="Load, cold", value=time(load.cold_us), note=_cold_note(load.cold_method)),
        Row(name="Load, warm", value=time(load.warm_us)),
    )


def _cold_note(method: str) -> str:
    if method == "none":
        return "the files may have been in the page cache"
    return f"files dropped from the page cache by {method}"


def _chart_description(record: RunRecord) -> str:
    latency = record.statistics.inference
    if record.emulated:
        return f"Emulator time of {wording.plural(latency.n, 'run')} in order, relative to their median."
    return (
        f"Latency of {wording.plural(latency.n, 'run')} in order: median "
        f"{wording.milliseconds(latency.median_us, emulated=False)}, from "
        f"{wording.millisecond_range(Interval(low=latency.min_us, high=latency.max_us), emulated=False)}."
    )
