"""``run.json``: one benchmark of one release on one board. ``bench`` writes it, ``report`` and ``compare`` read it.

Strict: an unknown key, a missing one or a value of another type is a :class:`RunFileError`. The document has a version
of its own (``schema``), and so has the runner's document under ``measurement``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from edgedeploy.artifacts import BoardFacts, Clock, Provenance, canonical_json
from edgedeploy.errors import RunFileError
from edgedeploy.latency_stats import Frozen, LatencySummary, summarize
from edgedeploy.reading import MIB, describe_faults, key_of, load_json, read_limited, require_modest_json, shown

RUN_SCHEMA = 1
MEASUREMENT_SCHEMA = 1
RECORD_LIMIT_BYTES = 16 * MIB
_AGAIN = "measure again with edgedeploy bench"

Count = Annotated[int, Field(ge=0)]
Microseconds = Annotated[float, Field(ge=0)]


# --- the runner's document -------------------------------------------------------------------------------------------


class MeasurementConfig(Frozen):
    """What the runner was told; ``cpus_applied`` is what the kernel granted (without a request: all it may use)."""

    warmup: Count
    runs: Count
    seconds: Annotated[float, Field(ge=0)]
    threads: Annotated[int, Field(ge=1)]
    cpus_requested: tuple[int, ...]
    cpus_applied: tuple[int, ...]
    precision: Literal["fp32", "fp16-storage", "fp16"]


class LoadTimes(Frozen):
    """Time to load the model with its files out of the page cache (as ``cold_method`` could manage) and in it."""

    cold_us: Microseconds
    warm_us: Microseconds
    cold_method: str


class PreprocessedInput(Frozen):
    """An input and the operator that preprocesses it; None for one that takes floats as they are."""

    input: str
    kernel: str | None


class SampleTimes(Frozen):
    """One timed run: preprocessing, inference, postprocessing."""

    pre_us: Microseconds
    inference_us: Microseconds
    post_us: Microseconds

    @property
    def total_us(self) -> float:
        return self.pre_us + self.inference_us + self.post_us


class LayerTime(Frozen):
    """One layer, over runs of their own. Shapes are C, H, W without batch."""

    index: Count
    name: str
    type: str
    input_shapes: tuple[tuple[int, ...], ...]
    output_shapes: tuple[tuple[int, ...], ...]
    precision: str
    implementation: str
    median_us: Microseconds
    min_us: Microseconds
    runs: Count


class MemoryPoint(Frozen):
    """The runner's resident memory at the end of a phase, and the peak so far."""

    phase: str
    rss_bytes: Count
    peak_rss_bytes: Count


class ConditionsSnapshot(Frozen):
    """What the board shows of its state; an empty table is a fact that it does not show."""

    governors: dict[str, str]
    frequencies_khz: dict[str, int]
    temperatures_mc: dict[str, int]


class Conditions(Frozen):
    before: ConditionsSnapshot
    after: ConditionsSnapshot


class MeasuredOutput(Frozen):
    """An output of the last run; ``file`` is its .npy on the board (null without ``--output-dir``)."""

    name: str
    shape: tuple[int, ...]
    file: str | None = None


class PostprocessedOutput(Frozen):
    name: str
    values: tuple[float | None, ...]


class PostprocessingResult(Frozen):
    kind: str
    outputs: tuple[PostprocessedOutput, ...] = ()


class Measurement(Frozen):
    """What ``edgedeploy-runner bench`` prints."""

    schema_version: Literal[1] = Field(alias="schema")
    runner: str
    engine: str
    config: MeasurementConfig
    preprocessing: tuple[PreprocessedInput, ...] = ()
    load: LoadTimes
    first_inference_us: Microseconds
    samples: Annotated[tuple[SampleTimes, ...], Field(min_length=1)]
    layers: tuple[LayerTime, ...] = ()
    memory: tuple[MemoryPoint, ...] = ()
    conditions: Conditions
    outputs: tuple[MeasuredOutput, ...] = ()
    postprocessing: PostprocessingResult | None = None


# --- what bench puts around it ---------------------------------------------------------------------------------------


class ClusterSummary(Frozen):
    """Cores of one kind in the board's definition."""

    core: str
    count: Annotated[int, Field(ge=1)]
    max_mhz: float | None = None


class BoardSummary(Frozen):
    """The definition's side of a board: what it ought to be."""

    name: str
    soc: str
    clusters: tuple[ClusterSummary, ...]


class CoreRecord(Frozen):
    index: Count
    implementer: str
    part: str


class FactsRecord(Frozen):
    """The probe's side of a board: what it said about itself. ``features`` are those that every core has."""

    architecture: str
    kernel: str
    os_name: str
    libc: str | None
    model: str | None
    cores: tuple[CoreRecord, ...]
    features: tuple[str, ...]
    memory_total_bytes: Count
    memory_available_bytes: Count
    governors: dict[str, str]
    max_frequencies_khz: dict[str, int]
    thermal_zones: tuple[str, ...]

    @classmethod
    def from_facts(cls, facts: BoardFacts) -> FactsRecord:
        return cls(
            architecture=facts.architecture,
            kernel=facts.kernel,
            os_name=facts.os_name,
            libc=facts.libc,
            model=facts.model,
            cores=tuple(
                CoreRecord(index=core.index, implementer=core.implementer, part=core.part) for core in facts.cores
            ),
            features=tuple(sorted(facts.features)),
            memory_total_bytes=facts.memory_total_bytes,
            memory_available_bytes=facts.memory_available_bytes,
            governors=dict(facts.governors),
            max_frequencies_khz=dict(facts.max_frequencies_khz),
            thermal_zones=tuple(zone.name for zone in facts.thermal_zones),
        )


class GoldenOutputRecord(Frozen):
    """One output of the golden self-test; a number that was not finite is null."""

    name: str
    cosine: float | None
    max_abs_error: float | None
    sqnr_db: float | None
    passed: bool


class GoldenRecord(Frozen):
    """The self-test on the board with the release that was measured."""

    passed: bool
    outputs: tuple[GoldenOutputRecord, ...]


class GoldenLimits(Frozen):
    """The limits in the release's manifest."""

    cosine: float
    max_abs_error: float


class Limits(Frozen):
    """What the release was held to. ``memory_bytes`` is what its manifest says that it needs."""

    golden: GoldenLimits | None = None
    memory_bytes: int | None = None


class RunStatistics(Frozen):
    """Summaries of the timed runs, by part and end to end."""

    preprocessing: LatencySummary
    inference: LatencySummary
    postprocessing: LatencySummary
    total: LatencySummary

    @classmethod
    def of(cls, samples: tuple[SampleTimes, ...]) -> RunStatistics:
        return cls(
            preprocessing=summarize([sample.pre_us for sample in samples]),
            inference=summarize([sample.inference_us for sample in samples]),
            postprocessing=summarize([sample.post_us for sample in samples]),
            total=summarize([sample.total_us for sample in samples]),
        )


class BoardRecord(BoardSummary):
    """Definition and probe side by side."""

    facts: FactsRecord


class RunRecord(Frozen):
    """The whole of ``run.json``. ``clock`` is null on hardware, ``command`` the line that measures again."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{8}$")]
    created_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    app: str
    release: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    board: BoardRecord
    provenance: Provenance
    clock: Clock | None
    versions: dict[str, str]
    command: str
    golden: GoldenRecord | None
    limits: Limits
    measurement: Measurement
    statistics: RunStatistics

    @model_validator(mode="after")
    def _clock_fits_provenance(self) -> RunRecord:
        if self.emulated == (self.clock is None):
            raise ValueError("clock is null on hardware and 'real' or 'instructions' on an emulated board")
        return self

    @property
    def emulated(self) -> bool:
        """Whether times are an emulator's: nothing may then show them as the board's."""
        return self.provenance is not Provenance.HARDWARE

    @property
    def inference_us(self) -> tuple[float, ...]:
        return tuple(sample.inference_us for sample in self.measurement.samples)

    @property
    def peak_rss_bytes(self) -> int | None:
        return max((point.peak_rss_bytes for point in self.measurement.memory), default=None)


def stamped_id(created_at: str, content: object) -> str:
    """Return an id that sorts by time and differs with the content.

    Example:
        >>> stamped_id("2026-01-02T03:04:05Z", {"a": 1})
        '20260102T030405Z-e3464320'
    """
    stamp = created_at.replace("-", "").replace(":", "")
    return f"{stamp}-{hashlib.sha256(canonical_json(content)).hexdigest()[:8]}"


def dump_record(record: BaseModel) -> bytes:
    """Return a record's file: indented JSON, UTF-8, one newline at the end."""
    return record.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


def parse_measurement(text: str) -> Measurement:
    """Read the runner's document.

    Raises:
        RunFileError: Not JSON, another schema version, or fields that are missing, unknown or of another type.
    """
    check_version(text, what="the runner's document", known=MEASUREMENT_SCHEMA)
    try:
        return Measurement.model_validate_json(text)
    except ValidationError as error:
        raise RunFileError(
            "the runner's document breaks its schema:\n" + list_faults(error),
            hint="flash again: runner and driver may be of different versions",
        ) from None


def parse_run(text: str, *, source: str) -> RunRecord:
    """Read a run.json's text; ``source`` names it in errors.

    Raises:
        RunFileError: Not JSON, a newer schema (the message has both versions), or damaged.
    """
    check_version(text, what=source, known=RUN_SCHEMA)
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        raise RunFileError(f"{source} is damaged:\n{list_faults(error)}", hint=_AGAIN) from None


def read_run(path: Path) -> RunRecord:
    """Read a run.json.

    Raises:
        RunFileError: As :func:`parse_run`, or the file is missing or unreadable.
    """
    text = read_record_text(
        path, missing="edgedeploy bench measures and writes one", again="name a run.json that edgedeploy bench wrote"
    )
    return parse_run(text, source=str(path))


def read_record_text(path: Path, *, missing: str, again: str) -> str:
    """Read a record's file as text.

    Args:
        missing: The hint where there is no such file.
        again: The hint where it cannot be read.

    Raises:
        RunFileError: One or the other.
    """
    try:
        return read_limited(path, RECORD_LIMIT_BYTES).decode("utf-8")
    except FileNotFoundError:
        raise RunFileError(f"{path} does not exist", hint=missing) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFileError(f"{path} cannot be read: {error}", hint=again) from None


def check_version(text: str, *, what: str, known: int, again: str = _AGAIN) -> None:
    """Check that a document is of the version that this release reads.

    Args:
        what: Names the document in errors.
        known: The version.
        again: The hint: how to make the document anew.

    Raises:
        RunFileError: Not JSON, no version, or another one (the message has both).
    """
    try:
        require_modest_json(text)
        document = load_json(text)
    except ValueError as error:
        raise RunFileError(f"{what} is not JSON that can be read: {error}", hint=again) from None
    version = document.get("schema") if isinstance(document, dict) else None
    if type(version) is not int:
        raise RunFileError(f"{what} has no schema version: {shown(version)}", hint=again)
    if version != known:
        hint = "a newer edgedeploy reads it" if version > known else again
        raise RunFileError(f"{what} has schema {shown(version)}; this edgedeploy reads schema {known}", hint=hint)


def list_faults(error: ValidationError) -> str:
    """Return the faults of a document, a line each with the key's path, eight at most."""
    return describe_faults(error, lambda fault: f"  {key_of(fault['loc']) or 'document'}: {fault['msg']}", most=8)
