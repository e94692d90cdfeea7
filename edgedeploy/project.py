"""``edgedeploy.toml``: the model, its inputs and preprocessing, targets and limits. The schema is this file's models.

A project directory without the file uses the demo's, which lies in ``examples/ppocr-det`` and is what ``init`` copies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgedeploy.artifacts import (
    ColorOrder,
    ComparisonLimits,
    InputSpec,
    Postprocessing,
    PostprocessingKind,
    Precision,
    Preprocessing,
    Resize,
)
from edgedeploy.assets import PackagedFile
from edgedeploy.errors import ProjectFileError, close_matches
from edgedeploy.healthfile import Budget
from edgedeploy.paths import resource_dir
from edgedeploy.reading import can_be_detailed, describe_faults, key_of, read_toml, shown

PROJECT_FILE = "edgedeploy.toml"
DEMO_DIRECTORY = Path("examples") / "ppocr-det"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Section(BaseModel):
    """A table of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileInPackage(Section):
    """A file inside a published Python package, pinned by version and by its own hash."""

    package: str
    version: str
    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    def to_packaged_file(self) -> PackagedFile:
        return PackagedFile(package=self.package, version=self.version, path=self.path, sha256=self.sha256)


Source = str | FileInPackage


class PreprocessingSection(Section):
    color: ColorOrder = ColorOrder.BGR
    resize: Resize = Resize.BILINEAR
    mean: tuple[float, ...]
    scale: tuple[float, ...]


class InputSection(Section):
    name: str
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    preprocessing: PreprocessingSection | None = None

    @model_validator(mode="after")
    def _shape_fits(self) -> InputSection:
        if not 2 <= len(self.shape) <= 4 or self.shape[0] != 1:
            raise ValueError("shape has 2 to 4 dimensions and starts with batch 1")
        if self.preprocessing is not None:
            if len(self.shape) != 4:
                raise ValueError("an input with preprocessing has the shape [1, channels, height, width]")
            channels = 1 if self.preprocessing.color is ColorOrder.GRAY else 3
            if self.shape[1] != channels:
                color = self.preprocessing.color.value
                raise ValueError(f"color {color} needs {channels} channels, not {self.shape[1]}")
            if len(self.preprocessing.mean) != channels or len(self.preprocessing.scale) != channels:
                raise ValueError(f"mean and scale need {channels} values each")
        return self

    def to_spec(self) -> InputSpec:
        section = self.preprocessing
        if section is None:
            return InputSpec(name=self.name, shape=self.shape)
        preprocessing = Preprocessing(
            color=section.color, resize=section.resize, mean=section.mean, scale=section.scale
        )
        return InputSpec(name=self.name, shape=self.shape, preprocessing=preprocessing)


class LimitsSection(Section):
    """Limits of the compare gate and of the golden self-test."""

    max_abs_error: Annotated[float, Field(gt=0)]
    cosine: Annotated[float, Field(ge=-1, le=1)]
    sqnr_db: float = 30.0

    def to_limits(self) -> ComparisonLimits:
        return ComparisonLimits(max_abs_error=self.max_abs_error, cosine=self.cosine, sqnr_db=self.sqnr_db)


class ModelSection(Section):
    source: Source
    precision: Precision = Precision.FP32
    inputs: Annotated[tuple[InputSection, ...], Field(min_length=1)]
    limits: LimitsSection = LimitsSection(max_abs_error=1e-2, cosine=0.999)


class BuildSection(Section):
    """``engine``: ``whole`` serves any model and board of the triple, ``model`` this model on this board."""

    engine: Literal["whole", "model"] = "whole"


class PostprocessingSection(Section):
    kind: PostprocessingKind = PostprocessingKind.NONE
    threshold: float = 0.5


class GoldenSection(Section):
    limits: LimitsSection = LimitsSection(max_abs_error=5e-2, cosine=0.999)


class QuantizationSection(Section):
    """int8. ``data`` None takes the samples; ``evaluation`` None takes items of ``data`` that are left over.

    ``stock``: for programs with the engine's own layers alone. ``from_table``: a table whose scales are taken.
    """

    enabled: bool = False
    data: str | None = None
    evaluation: str | None = None
    labels: str | None = None
    images: Annotated[int, Field(ge=1)] = 300
    evaluation_images: Annotated[int, Field(ge=1)] = 200
    seed: Annotated[int, Field(ge=0)] = 0
    calibrator: Literal["absmax", "percentile", "kl", "mse"] = "mse"
    percentile: Annotated[float, Field(gt=50, le=100)] = 99.99
    metric: Annotated[str, Field(min_length=1)] = "cosine"
    max_drop: Annotated[float, Field(ge=0)] | None = None
    min_sqnr: float | None = None
    keep_float: tuple[str, ...] = ()
    stock: bool = False
    from_table: Annotated[str, Field(min_length=1)] | None = None


class BenchSection(Section):
    warmup: Annotated[int, Field(ge=0)] = 3
    runs: Annotated[int, Field(ge=1)] = 30
    seconds: Annotated[float, Field(ge=0)] = 5.0
    threads: Annotated[int, Field(ge=1)] | None = None
    layers: bool = True
    emulated_warmup: Annotated[int, Field(ge=0)] = 0
    emulated_runs: Annotated[int, Field(ge=1)] = 2


class BudgetSection(Section):
    """What a release may need on the board once it is active, else the board goes back to the one before."""

    latency_ms: Annotated[float, Field(gt=0, le=1e9)] | None = None
    memory_mb: Annotated[float, Field(gt=0, le=1e9)] | None = None

    def to_budget(self) -> Budget:
        return Budget(latency_ms=self.latency_ms, memory_mb=self.memory_mb)


class TargetSection(Section):
    """Where one of the user's boards answers; the table's name is the board's."""

    host: str
    key_file: str | None = None


class ReportSection(Section):
    """``overlay`` draws the first sample's outputs on its image: text boxes of a DB detector, or nothing."""

    overlay: Literal["none", "db-text-boxes"] = "none"
    output: str | None = None
    threshold: float = 0.3
    box_threshold: float = 0.5
    unclip_ratio: float = 1.6


class SigningSection(Section):
    """``key`` signs what is flashed: a name of ``edgedeploy keys``, or a private key's file."""

    key: Annotated[str, Field(min_length=1)] | None = None


class AppSection(Section):
    name: Name


class Project(Section):
    """The whole file."""

    app: AppSection
    model: ModelSection
    samples: Annotated[tuple[Source, ...], Field(min_length=1)]
    build: BuildSection = BuildSection()
    postprocessing: PostprocessingSection = PostprocessingSection()
    golden: GoldenSection = GoldenSection()
    quantization: QuantizationSection = QuantizationSection()
    bench: BenchSection = BenchSection()
    budget: BudgetSection = BudgetSection()
    report: ReportSection = ReportSection()
    signing: SigningSection = SigningSection()
    targets: dict[str, TargetSection] = {}

    @property
    def input_specs(self) -> tuple[InputSpec, ...]:
        return tuple(item.to_spec() for item in self.model.inputs)

    @property
    def postprocessing_spec(self) -> Postprocessing:
        return Postprocessing(kind=self.postprocessing.kind, threshold=self.postprocessing.threshold)


def find_project_file(directory: Path) -> Path:
    """Return the project's file, or the demo's where the directory has none."""
    own = directory / PROJECT_FILE
    return own if own.is_file() else resource_dir() / DEMO_DIRECTORY / PROJECT_FILE


def load_project(path: Path) -> Project:
    """Read and validate a project file.

    Raises:
        ProjectFileError: Not TOML, an unknown key, or a value that is not allowed; the first fifty faults are listed.
    """
    try:
        document = read_toml(path)
    except FileNotFoundError:
        raise ProjectFileError(f"{path} does not exist", hint="edgedeploy init writes one to start from") from None
    except OSError as error:
        raise ProjectFileError(
            f"{path} cannot be read: {error.strerror}", hint="edgedeploy init writes one to start from"
        ) from None
    except ValueError as error:
        raise ProjectFileError(f"{path} is not valid TOML: {error}", hint="see docs/guide.md for an example") from None
    try:
        return Project.model_validate(document)
    except ValidationError as error:
        faults = describe_faults(error, _describe)
        raise ProjectFileError(f"{path} is not valid:\n{faults}", hint=_key_hint(error)) from None


def _describe(fault: Any) -> str:
    key = key_of(fault["loc"]) or "the file"
    value = fault.get("input")
    found = "" if isinstance(value, dict) else f" (is {shown(value)})"
    return f"  {key}: {fault['msg'].removeprefix('Value error, ')}{found}"


def _key_hint(error: ValidationError) -> str:
    for fault in error.errors() if can_be_detailed(error.error_count()) else ():
        if fault["type"] == "extra_forbidden":
            fields = {name for section in _sections() for name in section.model_fields}
            return close_matches(str(fault["loc"][-1])[:100], fields)
    return "docs/guide.md lists every key with its allowed values"


def _sections() -> tuple[type[Section], ...]:
    return (Project, *Section.__subclasses__())
