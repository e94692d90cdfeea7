"""The tables of a quantization's page, as rows of finished text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgedeploy.quantfile import (
    EncodingEntry,
    Fidelity,
    LayerEntry,
    PassEntry,
    QuantizationRecord,
    SensitivityEntry,
    WeightScales,
    WorstItem,
)
from edgedeploy.report import wording
from edgedeploy.report.details import Fact
from edgedeploy.report.quantization_summary import score, worst_layers

NOTHING = "–"
CHOSEN_ANEW = "chosen anew"
"""Where the engine scales each input by itself."""
LARGEST_CODE = 127
SHORT_HEADROOM_BITS = 1.0
_TRIED = ("calibrator", "percentile", "equalize", "ranges")


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """``poor`` marks what the eye is to find."""

    name: str
    type: str
    kind: str
    fused: str
    own_sqnr: str
    own_cosine: str
    sqnr: str
    cosine: str
    range: str
    scale: str
    weight_scales: str
    activation: str
    bits: str
    bits_note: str
    headroom: str
    accumulator_choice: str
    winograd: str
    clipping: str
    bias: str
    reason: str
    int8: bool


@dataclass(frozen=True, kw_only=True)
class StepRow:
    what: str
    reason: str
    before: str
    after: str
    sqnr: str
    holds: str


@dataclass(frozen=True, kw_only=True)
class SensitivityRow:
    layer: str
    alone: str
    drop: str
    noise: str
    cost: str
    wins: str


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    what: str
    drop: str
    sqnr: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class PassRow:
    name: str
    layers: str
    difference: str
    kept: str


def layer_rows(record: QuantizationRecord) -> tuple[LayerRow, ...]:
    """Return all layers with weights in the network's order."""
    return tuple(replace(_layer_row(layer), reason=_reason(layer, record)) for layer in record.layers)


def worst_rows(record: QuantizationRecord, count: int) -> tuple[LayerRow, ...]:
    """Return the int8 layers that lose most by themselves, worst first."""
    return tuple(_layer_row(layer) for layer in worst_layers(record, count))


def accumulator_rows(record: QuantizationRecord) -> tuple[LayerRow, ...]:
    """Return the layers whose accumulators needed care: fewer bits, no Winograd, or under a bit of headroom."""
    return tuple(_layer_row(layer) for layer in record.int8_layers if _needed_care(layer))


def step_rows(record: QuantizationRecord) -> tuple[StepRow, ...]:
    """Return the trials of the search for mixed precision, in order."""
    return tuple(
        StepRow(
            what=f"{', '.join(step.layers)} to {'float' if step.to_float else 'int8'}",
            reason=step.reason,
            before=_score(step.drop_before, record),
            after=_score(step.drop_after, record),
            sqnr=_db(step.sqnr_after),
            holds="holds" if step.holds else "not met",
        )
        for step in record.metric.steps
    )


def sensitivity_rows(
    record: QuantizationRecord, entries: Sequence[SensitivityEntry], count: int, *, by_error: bool = True
) -> tuple[SensitivityRow, ...]:
    """Return the layers that lose most by themselves, most first, or the first ones as they come."""
    ordered = sorted(entries, key=lambda entry: entry.noise_share, reverse=True) if by_error else entries
    return tuple(
        SensitivityRow(
            layer=entry.layer,
            alone=_db(entry.alone_db),
            drop=_score(entry.drop, record),
            noise=wording.percent(entry.noise_share),
            cost=wording.percent(entry.cost),
            wins=_wins(entry, record),
        )
        for entry in ordered[:count]
    )


def _wins(entry: SensitivityEntry, record: QuantizationRecord) -> str:
    if entry.wins_db is None:
        return NOTHING
    return f"{wording.signed(entry.wins_db, 1)} dB, {wording.signed(entry.wins or 0.0, 2)}"


def kept_rows(record: QuantizationRecord) -> tuple[SensitivityRow, ...]:
    """Return the layers that were put back to float, in the network's order: what each won, and what it costs."""
    return sensitivity_rows(record, _kept(record), len(record.metric.put_back), by_error=False)


def kept_together(record: QuantizationRecord) -> str:
    """Return for example ``71.2 % of the error for 14.0 % of the cost``; empty where no layer was put back."""
    kept = _kept(record)
    if not kept:
        return ""
    noise, cost = sum(entry.noise_share for entry in kept), sum(entry.cost for entry in kept)
    return (
        f"{wording.percent(min(1.0, noise))} of the error, for {wording.percent(cost)} of what all multiplications cost"
    )


def _kept(record: QuantizationRecord) -> list[SensitivityEntry]:
    return [entry for entry in record.metric.layers if entry.layer in record.metric.put_back]


def trial_rows(record: QuantizationRecord) -> tuple[TrialRow, ...]:
    """Return the settings that were tried."""
    return tuple(
        TrialRow(
            what=", ".join(f"{name} {value}" for name, value in trial.settings.items() if name in _TRIED),
            drop=_score(trial.drop, record),
            sqnr=_db(trial.sqnr_db),
            chosen=trial.chosen,
        )
        for trial in record.trials
    )


def pass_rows(record: QuantizationRecord) -> tuple[PassRow, ...]:
    """Return the graph passes in order."""
    return tuple(
        PassRow(
            name=item.name,
            layers=f"{item.layers_before} → {item.layers_after}",
            difference=_difference(item.max_difference),
            kept=_outcome(item),
        )
        for item in record.passes
    )


def identity_facts(record: QuantizationRecord) -> tuple[Fact, ...]:
    """Return what was quantized, with what, for what."""
    data, metric = record.data, record.metric
    return (
        Fact(name="Quantization", value=f"{record.id}, {record.created_at}"),
        Fact(name="Model", value=f"{record.model.name}, from {record.model.source}"),
        Fact(name="Converted .param", value=record.model.param_sha256),
        Fact(name="int8 .param", value=record.files.param.sha256),
        Fact(name="int8 .bin", value=record.files.weights.sha256),
        Fact(
            name="For",
            value=f"{record.target.board}, {'with' if record.target.dotprod else 'without'} dot product instructions, "
            f"run with {'our runner' if record.target.own_layers else 'the engine alone'}",
        ),
        Fact(name="Calibrated on", value=f"{len(data.used)} of {wording.plural(data.items, 'item')}: {data.source}"),
        Fact(
            name="Evaluated on",
            value=f"{len(metric.data.used)} of {wording.plural(metric.data.items, 'item')}: {metric.data.source}",
        ),
        *(Fact(name=f"Setting {name}", value=str(value)) for name, value in sorted(record.settings.items())),
        *(Fact(name=f"Version of {name}", value=value) for name, value in sorted(record.versions.items())),
    )


def output_facts(record: QuantizationRecord) -> tuple[Fact, ...]:
    """Return how each output of the network differs."""
    return tuple(
        Fact(name=item.name, value=f"SQNR {_db(item.error.sqnr_db)}, cosine {_cosine(item.error.cosine)}")
        for item in record.outputs
    )


def worst_captions(record: QuantizationRecord) -> tuple[tuple[str, str], ...]:
    """Return name and caption of the items on which int8 differs most."""
    return tuple((item.name, ", ".join(_item_parts(item, record))) for item in record.worst)


def _item_parts(item: WorstItem, record: QuantizationRecord) -> Iterator[str]:
    if item.float_score is not None and item.int8_score is not None:
        scores = [score(value, record) for value in (item.float_score, item.int8_score)]
        yield f"{record.metric.name} {' → '.join(scores)}"
    if item.sqnr_db is not None:
        yield f"SQNR {item.sqnr_db:.1f} dB"


def _layer_row(layer: LayerEntry) -> LayerRow:
    own, whole = layer.own or _NOT_MEASURED, layer.accumulated or _NOT_MEASURED
    return LayerRow(
        name=layer.name,
        type=layer.type,
        kind="int8" if layer.int8 else "float",
        fused=("yes" if layer.requantized else "no") if layer.int8 else NOTHING,
        own_sqnr=_fidelity_db(layer.own),
        own_cosine=_cosine(own.cosine),
        sqnr=_fidelity_db(layer.accumulated),
        cosine=_cosine(whole.cosine),
        range=CHOSEN_ANEW if layer.int8 and layer.input is None else _range(layer.input),
        scale=NOTHING if layer.input is None else wording.number(layer.input.scale),
        weight_scales=_weight_scales(layer.weight_scales),
        activation=layer.activation,
        bits=_bits(layer),
        bits_note=_bits_note(layer),
        headroom=_headroom(layer),
        accumulator_choice=NOTHING if layer.accumulator is None else layer.accumulator.choice,
        winograd=layer.winograd,
        clipping=NOTHING if layer.clipping is None else wording.percent(layer.clipping),
        bias=wording.percent(layer.bias_correction) if layer.bias_correction else NOTHING,
        reason=layer.reason,
        int8=layer.int8,
    )


_NOT_MEASURED = Fidelity(sqnr_db=None, cosine=None)


def _reason(layer: LayerEntry, record: QuantizationRecord) -> str:
    """Return why a layer is in float; of one that was put back also what that wins and costs."""
    entry = next((entry for entry in _kept(record) if entry.layer == layer.name), None)
    if entry is None:
        return layer.reason
    noise, cost = wording.percent(entry.noise_share), wording.percent(entry.cost)
    return f"{layer.reason}: it made {noise} of the error and costs {cost}"


def _needed_care(layer: LayerEntry) -> bool:
    reduced = layer.weight_bits is not None and layer.weight_bits.reduced_channels > 0
    bits = layer.accumulator.headroom_bits if layer.accumulator is not None else None
    return reduced or layer.winograd == "off" or (bits is not None and bits < SHORT_HEADROOM_BITS)


def _range(encoding: EncodingEntry | None) -> str:
    """Return the numbers that the codes reach, for example ``0 to 6``."""
    if encoding is None:
        return NOTHING
    reach = LARGEST_CODE / encoding.scale
    low, high = (_near_zero(end, reach) for end in (encoding.middle - reach, encoding.middle + reach))
    return f"{_signed(low)} to {_signed(high)}"


def _near_zero(value: float, reach: float) -> float:
    """Return 0 for what only rounding keeps from it: the end of a range that starts at zero."""
    return 0.0 if abs(value) < reach * 1e-4 else value


def _signed(value: float) -> str:
    return "0" if value == 0 else wording.number(value).replace("-", "−")


def _weight_scales(scales: WeightScales | None) -> str:
    if scales is None:
        return NOTHING
    ends = [wording.number(end) for end in (scales.least, scales.most)]
    return " to ".join(dict.fromkeys(ends))


def _difference(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "none" if value == 0 else f"{value:.1e}"


def _outcome(item: PassEntry) -> str:
    if not item.kept:
        return "undone"
    # A pass that found something was held against the network before it.
    return "nothing to do" if item.max_difference is None else "kept"


def _bits(layer: LayerEntry) -> str:
    bits = layer.weight_bits
    if bits is None:
        return NOTHING
    if bits.least == bits.most:
        return str(bits.most)
    return f"{bits.least}–{bits.most}"


def _bits_note(layer: LayerEntry) -> str:
    bits = layer.weight_bits
    reduced = bits.reduced_channels if bits is not None else 0
    return f"{reduced} of {wording.plural(bits.channels, 'channel')} below 8" if bits is not None and reduced else ""


def _headroom(layer: LayerEntry) -> str:
    if layer.accumulator is None or layer.accumulator.headroom_bits is None:
        return NOTHING
    return f"{layer.accumulator.headroom_bits:.1f} bits"


def _fidelity_db(value: Fidelity | None) -> str:
    if value is None:
        return NOTHING
    return "exact" if value.sqnr_db is None else f"{value.sqnr_db:.1f}"


def _db(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} dB"


def _cosine(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.5f}"


def _score(value: float | None, record: QuantizationRecord) -> str:
    return NOTHING if value is None else score(value, record)
