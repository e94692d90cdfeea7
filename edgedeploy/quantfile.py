"""``quantization.json``: what a quantization did to a model, layer by layer.

``edgedeploy quantize`` writes it, and the page is made from it. Strict: an unknown key, a missing one or a value of
another type is a :class:`RunFileError`. Numbers that are not finite (the error ratio of outputs that are equal bit for
bit, say) are null.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from edgedeploy.artifacts import Clock, Provenance
from edgedeploy.errors import RunFileError
from edgedeploy.files import write_whole
from edgedeploy.latency_stats import Frozen, Interval
from edgedeploy.runfile import check_version, dump_record, list_faults, read_record_text

QUANTIZATION_SCHEMA = 1
RECORD_FILE = "quantization.json"
PAGE_FILE = "quantization.html"

_AGAIN = "edgedeploy quantize writes it again"


def finite(value: Any) -> Any:
    """Return None for numbers that JSON does not have, everything else unchanged."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


MaybeFloat = Annotated[float | None, BeforeValidator(finite)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Setting = str | int | float | bool | None


class ModelRecord(Frozen):
    """The float model: the app or the file it came from, and the hashes of the converted files."""

    name: str
    source: str
    param_sha256: Sha256
    weights_sha256: Sha256


class TargetRecord(Frozen):
    """The board that the int8 model is for, what its cores have, and whether the runner's own layers run it."""

    board: str
    dotprod: bool
    own_layers: bool = False


class DataRecord(Frozen):
    """Where inputs come from: ``items`` that there are, and the names of those that were used."""

    source: str
    items: Count
    used: tuple[str, ...]


class PassEntry(Frozen):
    """A graph pass; ``max_difference`` is relative to an output's largest magnitude, null where nothing was run."""

    name: str
    layers_before: Count
    layers_after: Count
    max_difference: MaybeFloat
    kept: bool


class EqualizedEntry(Frozen):
    """Two neighbours whose common channels were rescaled, by factors from ``scale_min`` to ``scale_max``."""

    first: str
    second: str
    channels: Count
    scale_min: float
    scale_max: float


class SkippedEntry(Frozen):
    """A layer whose output could not be rescaled, and why."""

    first: str
    reader: str | None
    reason: str


class EqualizationEntry(Frozen):
    """Cross-layer equalisation. ``kept`` false: the outputs changed too much and all of it was undone."""

    pairs: tuple[EqualizedEntry, ...]
    skipped: tuple[SkippedEntry, ...]
    max_difference: MaybeFloat
    kept: bool


class EncodingEntry(Frozen):
    """How a blob's codes stand for numbers: ``number = direction * code / scale + middle``."""

    scale: float
    direction: Literal[-1, 1]
    middle: float


class WeightBits(Frozen):
    """Fewest and most bits of any channel's weights, and how many channels have fewer than 8."""

    least: Annotated[int, Field(ge=1, le=8)]
    most: Annotated[int, Field(ge=1, le=8)]
    reduced_channels: Count
    channels: Count


class WeightScales(Frozen):
    """Codes a unit of the weights: the least and the most of any channel."""

    least: float
    most: float


class AccumulatorEntry(Frozen):
    """Largest magnitude to expect, largest that the target computes exactly, bits between the two, what it led to."""

    bound: Count
    limit: Count
    headroom_bits: MaybeFloat
    choice: str


class Fidelity(Frozen):
    """An int8 result against the float one: signal to error in dB (null: no error at all), cosine (null: zeros)."""

    sqnr_db: MaybeFloat
    cosine: MaybeFloat


class LayerEntry(Frozen):
    """One layer with weights.

    Args:
        reason: Why it stayed in float; empty for int8.
        requantized: It hands int8 on to the next layer ("fused"); false: it hands on floats.
        weight_scales: Null where the scales are not known, and of layers in float.
        clipping: Share of its calibrated input values that lie beyond the input's range.
        own: Its error with exact inputs: what its own quantization costs; null of layers in float.
        accumulated: Its error in the whole int8 network, also of layers in float.
        bias_correction: Largest change of a bias, relative to the outputs' largest magnitude.
    """

    name: str
    type: str
    int8: bool
    reason: str
    input: EncodingEntry | None
    output: EncodingEntry | None
    requantized: bool
    activation: str
    weight_bits: WeightBits | None
    weight_scales: WeightScales | None = None
    accumulator: AccumulatorEntry | None
    winograd: Literal["not used", "on", "off"]
    clipping: Share | None
    own: Fidelity | None
    accumulated: Fidelity | None
    bias_correction: float

    @model_validator(mode="after")
    def _reason_fits(self) -> LayerEntry:
        if self.int8 == bool(self.reason):
            raise ValueError("a layer is int8, or has a reason why not")
        return self


class OutputEntry(Frozen):
    """One output of the whole network, int8 against float, over the evaluated items."""

    name: str
    error: Fidelity


class SensitivityEntry(Frozen):
    """What a layer in int8 loses by itself, on a few items, and what it would cost in float.

    Args:
        alone_db: The outputs' SQNR with all other layers in float; null: no error.
        noise_share: Share of the error of all layers, each measured alone: about what goes away with it in float.
        drop: Points of the metric on the same items; null: not known.
        cost: Its multiplications, and the conversions around it, as a share of all that int8 layers could do.
        wins_db: Decibels that the worst output wins with this layer alone in float; null: not measured.
        wins: Points of the metric that it wins; null: not measured.
    """

    layer: str
    alone_db: MaybeFloat
    drop: MaybeFloat = None
    noise_share: Share
    cost: Annotated[float, Field(ge=0)]
    wins_db: MaybeFloat = None
    wins: MaybeFloat = None


class PrecisionStep(Frozen):
    """One trial of the search for mixed precision: layers put back to float, or back to int8. Drops in points.

    ``holds`` says whether what is asked for holds with it; a trial with which it does not is taken back.
    """

    layers: tuple[str, ...]
    to_float: bool
    reason: str
    drop_before: MaybeFloat
    drop_after: MaybeFloat
    sqnr_after: MaybeFloat = None
    holds: bool


class TrialEntry(Frozen):
    """Settings that ``--search`` tried, and what they cost on items held out."""

    settings: dict[str, Setting]
    drop: MaybeFloat
    sqnr_db: MaybeFloat
    chosen: bool


class MetricRecord(Frozen):
    """The task metric on the evaluation data in points (0 to 100), in float and in int8.

    Args:
        data: What it was evaluated on.
        shares_calibration: Items that calibration had seen as well: a score on them flatters.
        labelled: Items that have a label; null: not known.
        drop_margin: Points that the drop may be off on other such items, in 19 cases of 20; null: not known.
        max_drop: What was allowed; null: no limit.
        min_sqnr_db: What the outputs were to have; null: no limit.
        held: Whether both limits hold; null without any.
        put_back: Layers that were put back to float so that it holds.
        layers: What each layer alone loses; empty where nobody asked.
    """

    name: str
    data: DataRecord
    shares_calibration: Count
    labelled: Count | None = None
    float_score: float
    int8_score: float
    drop: float
    drop_margin: MaybeFloat = None
    max_drop: float | None
    min_sqnr_db: float | None = None
    held: bool | None
    put_back: tuple[str, ...]
    steps: tuple[PrecisionStep, ...]
    layers: tuple[SensitivityEntry, ...]


class WorstItem(Frozen):
    """An item on which int8 differs most from float, by its place in the evaluated items; scores in points."""

    index: Count
    name: str
    float_score: MaybeFloat
    int8_score: MaybeFloat
    sqnr_db: MaybeFloat


class SpeedFigure(Frozen):
    """One release's inference on the target: the median, in the unit beside it."""

    label: str
    value: float
    runs: Count
    release: Sha256


class SpeedRecord(Frozen):
    """int8 against float, measured on the target or its twin.

    Args:
        unit: ``ms`` on hardware; on a twin ``million instructions``, which is no time.
        ratio: int8 over the fastest float release: below 1 int8 is faster (or takes fewer instructions).
        interval: Of the ratio, 95 %; null where too few runs tell.
        verdict: ``faster``, ``slower`` or ``no difference shown``.
        recommendation: The precision to ship, and why, in a sentence.
    """

    provenance: Provenance
    clock: Clock | None
    unit: Literal["ms", "million instructions"]
    float32: SpeedFigure
    float16: SpeedFigure | None
    int8: SpeedFigure
    ratio: float
    interval: Interval | None
    verdict: Literal["faster", "slower", "no difference shown"]
    recommended: Literal["int8", "fp16", "fp32"]
    recommendation: str

    @model_validator(mode="after")
    def _unit_fits(self) -> SpeedRecord:
        if (self.provenance is Provenance.HARDWARE) != (self.unit == "ms") or (self.unit == "ms") != (
            self.clock is None
        ):
            raise ValueError("times are a board's alone: a twin's figures count instructions")
        return self


class SpeedSection(Frozen):
    """``measured`` is null until a board or a twin was asked."""

    measured: SpeedRecord | None


class FileEntry(Frozen):
    """A file of the int8 model, by its name beside the record."""

    name: str
    sha256: Sha256
    size_bytes: Count


class FilesRecord(Frozen):
    param: FileEntry
    weights: FileEntry


class QuantizationRecord(Frozen):
    """The whole of ``quantization.json``. ``command`` is the line that does it again.

    ``int8_macs`` is the share of the multiplications with weights that is done in int8.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{8}$")]
    created_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    model: ModelRecord
    versions: dict[str, str]
    command: str
    target: TargetRecord
    settings: dict[str, Setting]
    trials: tuple[TrialEntry, ...]
    data: DataRecord
    passes: tuple[PassEntry, ...]
    equalization: EqualizationEntry | None
    layers: tuple[LayerEntry, ...]
    int8_macs: Share
    outputs: tuple[OutputEntry, ...]
    metric: MetricRecord
    worst: tuple[WorstItem, ...]
    speed: SpeedSection
    files: FilesRecord
    warnings: tuple[str, ...]

    @property
    def int8_layers(self) -> tuple[LayerEntry, ...]:
        return tuple(layer for layer in self.layers if layer.int8)

    @property
    def float_layers(self) -> tuple[LayerEntry, ...]:
        return tuple(layer for layer in self.layers if not layer.int8)


def write_quantization(record: QuantizationRecord, path: Path) -> None:
    """Write the file, whole or not at all."""
    write_whole(path, dump_record(record))


def parse_quantization(text: str, *, source: str) -> QuantizationRecord:
    """Read a quantization.json's text; ``source`` names it in errors.

    Raises:
        RunFileError: Not JSON, a newer schema (the message has both versions), or damaged.
    """
    check_version(text, what=source, known=QUANTIZATION_SCHEMA, again=_AGAIN)
    try:
        return QuantizationRecord.model_validate_json(text)
    except ValidationError as error:
        raise RunFileError(f"{source} is damaged:\n{list_faults(error)}", hint=_AGAIN) from None


def read_quantization(path: Path) -> QuantizationRecord:
    """Read a quantization.json.

    Raises:
        RunFileError: As :func:`parse_quantization`, or the file is missing or unreadable.
    """
    text = read_record_text(path, missing="edgedeploy quantize writes one", again=_AGAIN)
    return parse_quantization(text, source=str(path))
