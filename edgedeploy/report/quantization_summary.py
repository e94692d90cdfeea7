"""What a quantization says, in words: the head of the page and of the terminal summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from edgedeploy.artifacts import Provenance
from edgedeploy.quantfile import LayerEntry, QuantizationRecord, SpeedRecord
from edgedeploy.report import wording
from edgedeploy.report.summary import Tile

FEW_ITEMS = 50
"""Calibration on fewer inputs than this knows the ranges of inner blobs badly."""
POOR_SQNR_DB = 15.0
"""A layer that loses this much by itself is worth a look: its error is over a sixth of its signal."""
MUCH_CLIPPING = 0.01
SMALL_SCORE = 0.001
MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class QuantizationSummary:
    """The head of the page; ``advice`` is what to do next, the most important first."""

    headline: str
    tone: str
    sentences: tuple[str, ...]
    banner: str
    tiles: tuple[Tile, ...]
    advice: tuple[str, ...]
    chart_description: str


def summarize_quantization(record: QuantizationRecord) -> QuantizationSummary:
    """Return the verdict in plain words."""
    return QuantizationSummary(
        headline=_headline(record),
        tone="bad" if record.metric.held is False else "good",
        sentences=tuple(_sentences(record)),
        banner=_banner(record),
        tiles=tuple(_tiles(record)),
        advice=tuple(_advice(record)),
        chart_description=_chart_description(record),
    )


def score(value: float, record: QuantizationRecord) -> str:
    """Return a score, or a difference of scores, in points: cosines lie so close to 100 that they need a digit more."""
    if 0 < abs(value) < SMALL_SCORE:
        return f"{value:.1e}"
    return f"{value:.3f}" if record.metric.name == "cosine" else f"{value:.2f}"


def speed_change(speed: SpeedRecord) -> str:
    """Return ``38.2 % less time`` or, on a twin, ``12.0 % fewer instructions``."""
    less, what = ("less", "time") if speed.provenance is Provenance.HARDWARE else ("fewer", "instructions")
    return f"{abs(speed.ratio - 1) * 100:.1f} % {less if speed.ratio < 1 else 'more'} {what}"


def worst_layers(record: QuantizationRecord, count: int) -> tuple[LayerEntry, ...]:
    """Return the int8 layers that lose most by themselves, worst first."""
    measured = [layer for layer in record.int8_layers if layer.own is not None and layer.own.sqnr_db is not None]
    return tuple(sorted(measured, key=_own_sqnr)[:count])


def _own_sqnr(layer: LayerEntry) -> float:
    value = layer.own.sqnr_db if layer.own is not None else None
    return float("inf") if value is None else value


def _headline(record: QuantizationRecord) -> str:
    name, metric = record.model.name, record.metric
    if not record.int8_layers:
        return f"No layer of {name} could be brought to int8"
    change = f"{metric.name} {score(metric.float_score, record)} in float, {score(metric.int8_score, record)} in int8"
    if metric.held is False:
        return f"int8 costs {name} more than was allowed: {change}"
    if metric.held:
        return f"int8 keeps the accuracy of {name}: {change}"
    return f"{name} in int8: {change}"


def _sentences(record: QuantizationRecord) -> Iterator[str]:
    metric = record.metric
    limit = "" if metric.max_drop is None else f" of the {score(metric.max_drop, record)} that were allowed"
    margin = f", give or take {score(metric.drop_margin, record)} on others like them" if metric.drop_margin else ""
    items = wording.plural(len(metric.data.used), "item")
    yield f"The drop is {score(metric.drop, record)}{limit}, on {items}{margin}."
    if metric.name == "top1" and metric.labelled == 0:
        yield "No item has a label, so top1 is how often int8 agrees with float, not accuracy."
    if metric.min_sqnr_db is not None:
        yield f"The outputs have {_worst_output(record)} of the {metric.min_sqnr_db:g} dB that were asked for."
    total, quantized = len(record.layers), len(record.int8_layers)
    fused = sum(layer.requantized for layer in record.layers)
    yield (
        f"{quantized} of {wording.plural(total, 'layer')} with weights compute in int8; {fused} of them hand int8 on "
        "to the next layer without going through floats. int8 does "
        f"{wording.percent(record.int8_macs)} of the multiplications."
    )
    yield from _float_sentence(record)
    yield _accumulator_sentence(record)
    speed = record.speed.measured
    if speed is not None:
        where = record.target.board if speed.provenance is Provenance.HARDWARE else f"the twin of {record.target.board}"
        yield f"Measured on {where}, int8 takes {speed_change(speed)} than the best float release. {_not_time(speed)}"


def _worst_output(record: QuantizationRecord) -> str:
    measured = [output.error.sqnr_db for output in record.outputs if output.error.sqnr_db is not None]
    return f"{min(measured):.1f} dB" if measured else "no error instead"


def _float_sentence(record: QuantizationRecord) -> Iterator[str]:
    reasons = Counter(layer.reason for layer in record.float_layers)
    if reasons:
        listed = "; ".join(
            f"{count}{', each' if count > 1 else ''} because {reason}" for reason, count in reasons.most_common(3)
        )
        more = len(reasons) - 3
        yield f"Left in float: {listed}" + (f"; and {more} other reasons" if more > 0 else "") + "."


def _accumulator_sentence(record: QuantizationRecord) -> str:
    if record.target.dotprod:
        return f"{record.target.board} has the dot product instructions: all weights keep 8 bits."
    lacking = f"{record.target.board} lacks the dot product instructions"
    reduced = sum(1 for layer in record.layers if layer.weight_bits is not None and layer.weight_bits.reduced_channels)
    off = sum(layer.winograd == "off" for layer in record.layers)
    if record.target.own_layers and not reduced and not off:
        return f"{lacking}, which costs no weight bits here: all weights keep 8."
    if not reduced and not off:
        return f"{lacking}, but no layer comes near the bound of its fast 3x3 convolution: all weights keep 8 bits."
    return (
        f"{lacking}, which bounds the accumulators of the engine's fast 3x3 convolution: "
        f"{wording.plural(reduced, 'layer')} got fewer weight bits for it, {wording.plural(off, 'layer')} "
        f"{'does' if off == 1 else 'do'} without it."
    )


def _not_time(speed: SpeedRecord) -> str:
    if speed.provenance is Provenance.HARDWARE:
        return speed.recommendation
    return f"{speed.recommendation} Counted instructions are no time: a board has caches and pipelines."


def _banner(record: QuantizationRecord) -> str:
    speed = record.speed.measured
    if speed is None or speed.recommended == "int8":
        return ""
    return f"int8 is not faster here ({speed_change(speed)}): ship {speed.recommended} instead."


def _tiles(record: QuantizationRecord) -> Iterator[Tile]:
    metric = record.metric
    tone = "plain" if metric.held is None else "good" if metric.held else "bad"
    limit = _without_limit(record) if metric.max_drop is None else f"allowed: {score(metric.max_drop, record)}"
    yield Tile(label=f"Drop in {metric.name}", value=score(metric.drop, record), note=limit, tone=tone)
    kept = len(record.float_layers)
    yield Tile(
        label="Layers in int8", value=f"{len(record.int8_layers)} of {len(record.layers)}", note=f"{kept} in float"
    )
    worst = worst_layers(record, 1)
    if worst:
        yield Tile(label="Worst layer by itself", value=f"{_own_sqnr(worst[0]):.1f} dB", note=worst[0].name)
    size_bytes = record.files.weights.size_bytes
    size = wording.mebibytes(size_bytes) if size_bytes >= MEBIBYTE else f"{size_bytes / 1024:.1f} KiB"
    yield Tile(label="Weights", value=size, note="on the board")
    speed = record.speed.measured
    if speed is not None:
        hardware = speed.provenance is Provenance.HARDWARE
        label = "int8 inference" if hardware else "int8 inference, on the twin"
        value = f"{wording.number(speed.int8.value)} {'ms' if hardware else 'M'}"
        tone = "good" if speed.recommended == "int8" else "bad"
        yield Tile(label=label, value=value, note=speed_change(speed), tone=tone)


def _without_limit(record: QuantizationRecord) -> str:
    asked = record.metric.min_sqnr_db
    return "no limit was set" if asked is None else f"{asked:g} dB were asked for"


def _advice(record: QuantizationRecord) -> Iterator[str]:
    metric, speed = record.metric, record.speed.measured
    if metric.held is False:
        yield "Do not ship this model as it is: give it more data, ask for less, or ship half precision."
    if speed is not None and speed.recommended != "int8":
        yield f'Ship {speed.recommended}: [model] precision = "{speed.recommended}" and [quantization] enabled = false.'
    elif speed is None:
        yield (
            f"See whether int8 is faster at all: edgedeploy quantize --board {record.target.board} --emulated counts "
            "instructions on the twin, --host times it on the board."
        )
    if len(record.data.used) < FEW_ITEMS and not record.warnings:
        used = wording.plural(len(record.data.used), "input")
        yield f"Calibrate on more than {used}: put a few hundred real ones into a directory and name it as data."
    if metric.shares_calibration:
        which = f"{metric.shares_calibration} of {wording.plural(len(metric.data.used), 'item')}"
        yield f"Name evaluation data: {which} evaluated on had been calibrated on as well, which flatters."
    if metric.put_back:
        yield from _mixed_advice(record)
    yield from _layer_advice(record)
    if metric.held is None:
        yield "State what may be lost (--max-drop): layers are then put back to float until it holds."
    if metric.held is not False and (speed is None or speed.recommended == "int8"):
        yield "Ship it: [quantization] enabled = true in edgedeploy.toml, then edgedeploy flash."


def _mixed_advice(record: QuantizationRecord) -> Iterator[str]:
    """Say what layers put back to float do to the figures."""
    put_back = wording.plural(len(record.metric.put_back), "layer")
    yield (
        f"{put_back} went back to float, chosen on the very items that the drop is of, which flatters: judge the model "
        "on others before you rely on it."
    )
    if len(record.float_layers) >= len(record.int8_layers):
        yield "Half of the layers or more are in float: int8 wins little. Asking for less leaves more of them in int8."


def _layer_advice(record: QuantizationRecord) -> Iterator[str]:
    poor = [layer.name for layer in worst_layers(record, 3) if _own_sqnr(layer) < POOR_SQNR_DB]
    if poor:
        flags = " ".join(f"--keep-float {name}" for name in poor)
        yield f"These layers lose most by themselves; leave them in float and see what it wins: {flags}"
    clipped = [layer for layer in record.int8_layers if (layer.clipping or 0.0) > MUCH_CLIPPING]
    if clipped:
        worst = max(clipped, key=lambda layer: layer.clipping or 0.0)
        what = "1 layer clips" if len(clipped) == 1 else f"{len(clipped)} layers clip"
        yield (
            f"{what} over {wording.percent(MUCH_CLIPPING)} of the input ({worst.name}: "
            f"{wording.percent(worst.clipping or 0.0)}); --calibrator absmax clips nothing."
        )


def _chart_description(record: QuantizationRecord) -> str:
    measured = [layer for layer in record.layers if layer.accumulated is not None]
    worst = worst_layers(record, 1)
    lowest = f"; the lowest by itself is {worst[0].name} with {_own_sqnr(worst[0]):.1f} dB" if worst else ""
    return f"Signal to error of {wording.plural(len(measured), 'layer')} in the network's order{lowest}."
