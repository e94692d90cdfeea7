"""The record of a quantization, out of what the stage's parts answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edgedeploy.artifacts import FloatArray
from edgedeploy.cli.quantize_data import Sources
from edgedeploy.cli.subjects import Subject
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph, Layer
from edgedeploy.graph.passes.linear import LINEAR_TYPES, Activation, activation_of, activation_params_of
from edgedeploy.project import QuantizationSection
from edgedeploy.quantfile import (
    AccumulatorEntry,
    EncodingEntry,
    EqualizationEntry,
    EqualizedEntry,
    Fidelity,
    FilesRecord,
    LayerEntry,
    MetricRecord,
    ModelRecord,
    OutputEntry,
    PassEntry,
    PrecisionStep,
    QuantizationRecord,
    SensitivityEntry,
    Setting,
    SkippedEntry,
    SpeedSection,
    TargetRecord,
    TrialEntry,
    WeightBits,
    WeightScales,
    WorstItem,
)
from edgedeploy.quantize.choices import Encoding, Int8Model, LayerChoice
from edgedeploy.quantize.equalize import Equalization
from edgedeploy.quantize.error_sums import SQNR_CAP_DB
from edgedeploy.quantize.evaluation import Evaluation
from edgedeploy.quantize.layer_errors import LayerError
from edgedeploy.quantize.metrics import FULL_POINTS
from edgedeploy.quantize.pipeline import Prepared
from edgedeploy.quantize.precision import Action, Goal, PrecisionSearch
from edgedeploy.quantize.search import SettingsSearch
from edgedeploy.quantize.settings import Settings, Target
from edgedeploy.runfile import stamped_id

FULL_BITS = 8
_NOT_STATED = "the reason was not stated"


@dataclass(frozen=True, kw_only=True)
class About:
    """What the record says beside the result."""

    subject: Subject
    target: Target
    versions: dict[str, str]
    command: str
    sources: Sources
    goal: Goal | None
    section: QuantizationSection


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the stage's parts answered: the settings used, those tried, the network, what it costs, and how much of the
    multiplications is in int8, as a share."""

    settings: Settings
    trials: SettingsSearch | None
    prepared: Prepared
    int8: Int8Model
    evaluation: Evaluation
    precision: PrecisionSearch | None
    int8_macs: float


def make_record(about: About, made: Made, errors: Sequence[LayerError], files: FilesRecord) -> QuantizationRecord:
    """Return the record; speed is not measured yet."""
    created_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    model = about.subject.model
    by_name = {error.name: error for error in errors}
    prepared = made.prepared
    return QuantizationRecord(
        id=stamped_id(created_at, [files.param.sha256, files.weights.sha256, about.command]),
        created_at=created_at,
        model=ModelRecord(
            name=about.subject.name,
            source=about.subject.source,
            param_sha256=file_sha256(model.param),
            weights_sha256=file_sha256(model.weights),
        ),
        versions=about.versions,
        command=about.command,
        target=TargetRecord(board=about.target.name, dotprod=about.target.dotprod, own_layers=about.target.own_layers),
        settings=_settings(made, about.section),
        trials=_trials(made.trials),
        data=about.sources.calibration.record,
        passes=tuple(
            PassEntry(
                name=item.name,
                layers_before=item.layers_before,
                layers_after=item.layers_after,
                max_difference=item.max_difference,
                kept=item.kept,
            )
            for item in prepared.passes
        ),
        equalization=_equalization(prepared.equalization),
        layers=tuple(_layer(choice, prepared.graph, by_name.get(choice.name)) for choice in made.int8.layers),
        int8_macs=min(1.0, made.int8_macs),
        outputs=tuple(
            OutputEntry(name=output.name, error=fidelity(output.sqnr_db, output.cosine))
            for output in made.evaluation.outputs
        ),
        metric=_metric(about, made),
        worst=tuple(
            WorstItem(
                index=item.index,
                name=item.name,
                float_score=item.float_score * FULL_POINTS,
                int8_score=item.int8_score * FULL_POINTS,
                sqnr_db=item.sqnr_db,
            )
            for item in made.evaluation.worst
        ),
        speed=SpeedSection(measured=None),
        files=files,
        warnings=about.sources.warnings,
    )


def _settings(made: Made, section: QuantizationSection) -> dict[str, Setting]:
    """Return what decided the result; with a table there is no calibrator."""
    settings: dict[str, Setting] = made.prepared.settings.to_json()
    if section.from_table is not None:
        settings = {name: value for name, value in settings.items() if name not in ("calibrator", "percentile")}
        settings["from_table"] = section.from_table
    return settings


def fidelity(sqnr_db: float, cosine: float) -> Fidelity:
    """Return an error; equal bit for bit is null in the record, where the stage has its largest figure."""
    return Fidelity(sqnr_db=None if sqnr_db >= SQNR_CAP_DB else sqnr_db, cosine=cosine)


def _layer(choice: LayerChoice, graph: Graph, error: LayerError | None) -> LayerEntry:
    own = error if choice.int8 else None
    return LayerEntry(
        name=choice.name,
        type=choice.type,
        int8=choice.int8,
        reason="" if choice.int8 else choice.reason or _NOT_STATED,
        input=_encoding(choice.input),
        output=_encoding(choice.output),
        requantized=choice.output is not None,
        activation=_activation(graph.layer(choice.name)),
        weight_bits=_bits(choice.weight_bits),
        weight_scales=_scales(choice.weight_scales),
        accumulator=_accumulator(choice),
        winograd=choice.winograd.value,
        clipping=None if own is None else own.clipping,
        own=None if own is None else fidelity(own.own_sqnr_db, own.own_cosine),
        accumulated=None if error is None else fidelity(error.accumulated_sqnr_db, error.accumulated_cosine),
        bias_correction=float(choice.bias_correction),
    )


def _encoding(encoding: Encoding | None) -> EncodingEntry | None:
    if encoding is None:
        return None
    return EncodingEntry(
        scale=float(encoding.scale), direction=1 if encoding.direction > 0 else -1, middle=float(encoding.middle)
    )


def _activation(layer: Layer) -> str:
    """Return for example ``ReLU`` or ``clip 0 to 6``."""
    if layer.type not in LINEAR_TYPES:
        return "none"
    found = activation_of(layer)
    if found is Activation.CLIP:
        low, high = activation_params_of(layer)
        return f"clip {low:g} to {high:g}"
    return found.name.lower().replace("_", " ")


def _bits(bits: tuple[int, ...]) -> WeightBits | None:
    if not bits:
        return None
    reduced = sum(item < FULL_BITS for item in bits)
    return WeightBits(least=min(bits), most=max(bits), reduced_channels=reduced, channels=len(bits))


def _scales(scales: FloatArray) -> WeightScales | None:
    return WeightScales(least=float(scales.min()), most=float(scales.max())) if scales.size else None


def _accumulator(choice: LayerChoice) -> AccumulatorEntry | None:
    bound, limit = choice.accumulator_bound, choice.accumulator_limit
    if bound is None or limit is None:
        return None
    headroom = math.log2(limit / bound) if bound > 0 and limit > 0 else None
    return AccumulatorEntry(bound=bound, limit=limit, headroom_bits=headroom, choice=choice.accumulator_reason)


def _equalization(found: Equalization | None) -> EqualizationEntry | None:
    if found is None:
        return None
    return EqualizationEntry(
        pairs=tuple(
            EqualizedEntry(
                first=pair.first,
                second=pair.second,
                channels=pair.channels,
                scale_min=float(pair.scale_min),
                scale_max=float(pair.scale_max),
            )
            for pair in found.pairs
        ),
        skipped=tuple(SkippedEntry(first=pair.first, reader=pair.reader, reason=pair.reason) for pair in found.skipped),
        max_difference=found.max_difference,
        kept=found.kept,
    )


def _metric(about: About, made: Made) -> MetricRecord:
    found, precision = made.evaluation, made.precision
    return MetricRecord(
        name=found.metric,
        data=about.sources.evaluation.record,
        shares_calibration=about.sources.shared,
        labelled=about.sources.evaluation.labelled,
        float_score=found.float_score,
        int8_score=found.int8_score,
        drop=found.drop,
        drop_margin=found.drop_margin,
        max_drop=about.section.max_drop,
        min_sqnr_db=about.section.min_sqnr,
        held=None if about.goal is None else about.goal.is_met(found),
        put_back=precision.keep_float if precision is not None else (),
        steps=_steps(precision),
        layers=_layer_sensitivities(precision),
    )


def _steps(precision: PrecisionSearch | None) -> tuple[PrecisionStep, ...]:
    return tuple(
        PrecisionStep(
            layers=step.layers,
            to_float=step.action is Action.TO_FLOAT,
            reason=step.reason,
            drop_before=step.drop_before,
            drop_after=step.drop_after,
            sqnr_after=step.sqnr_db,
            holds=step.holds,
        )
        for step in (precision.steps if precision is not None else ())
    )


def _layer_sensitivities(precision: PrecisionSearch | None) -> tuple[SensitivityEntry, ...]:
    return tuple(
        SensitivityEntry(
            layer=layer.name,
            alone_db=layer.sqnr_db if layer.noise else None,
            noise_share=min(1.0, layer.noise_share),
            drop=layer.drop,
            cost=layer.cost,
            wins_db=layer.wins_db,
            wins=layer.wins,
        )
        for layer in (precision.layers if precision is not None else ())
    )


def _trials(search: SettingsSearch | None) -> tuple[TrialEntry, ...]:
    return tuple(
        TrialEntry(
            settings=trial.settings.to_json(),
            drop=trial.drop,
            sqnr_db=trial.sqnr_db,
            chosen=search is not None and trial.settings == search.best,
        )
        for trial in (search.trials if search is not None else ())
    )
