"""``manifest.json``, schema 1: what a release is made of, as ``docs/contracts.md`` says it.

Everything that reads a manifest, on the host or from a board, reads it through ``parse_manifest``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgedeploy.artifacts import ColorOrder, InputSpec, Preprocessing, Resize, canonical_json
from edgedeploy.errors import BundleError
from edgedeploy.reading import MIB, describe_faults, key_of, require_modest_json, shown

MANIFEST_FILE = "manifest.json"
SIGNATURES_DIRECTORY = "signatures"
LONGEST_PATH = 255
MANIFEST_LIMIT_BYTES = MIB

_SAFE_COMPONENT = re.compile(r"[A-Za-z0-9._+@=-]+\Z")


def safe_path(text: str) -> str:
    """Return ``text`` unchanged where it is fit to be created below a release's directory.

    Relative, without ``.`` and ``..``, and of letters, digits and ``._+@=-`` only: no shell, no file system and no
    terminal gives those characters a meaning of their own.

    Raises:
        ValueError: Anything else.
    """
    if text == MANIFEST_FILE:
        raise ValueError(f"{MANIFEST_FILE} cannot list itself")
    if text.split("/", maxsplit=1)[0] == SIGNATURES_DIRECTORY:
        raise ValueError(f"{text!r} lies in {SIGNATURES_DIRECTORY}, which is made later than the manifest")
    if len(text) > LONGEST_PATH:
        raise ValueError(f"a path of {len(text)} characters is longer than {LONGEST_PATH}")
    for component in text.split("/"):
        if component in {"", ".", ".."} or not _SAFE_COMPONENT.match(component):
            raise ValueError(
                f"{text!r} is not a relative path of letters, digits and ._+@=- without '.', '..' and empty parts"
            )
    return text


SafePath = Annotated[str, AfterValidator(safe_path)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
BlobName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Extent = Annotated[int, Field(ge=1, le=1 << 30)]
InputShape = Annotated[tuple[Extent, ...], Field(min_length=2, max_length=5)]
OutputShape = Annotated[tuple[Extent, ...], Field(min_length=1, max_length=4)]
FileMode = Annotated[str, Field(pattern=r"^[0-7][0145]{2}$")]
"""Nobody but the owner may write."""


class Part(BaseModel):
    """A JSON object of the manifest: unknown keys, numbers in strings and non-finite numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Versions(Part):
    edgedeploy: str
    engine: str
    converter: str
    build_id: str


class PreprocessingPart(Part):
    color: Literal["bgr", "rgb", "gray"]
    resize: Literal["bilinear", "none"]
    mean: tuple[float, ...]
    scale: tuple[float, ...]


class InputPart(Part):
    """An input: ncnn's name, the user's name, and the shape with the batch of 1."""

    name: BlobName
    source_name: BlobName
    shape: InputShape
    preprocessing: PreprocessingPart | None

    @model_validator(mode="after")
    def _shape_fits(self) -> InputPart:
        if self.shape[0] != 1:
            raise ValueError(f"the batch of shape must be 1, not {self.shape[0]}")
        part = self.preprocessing
        if part is not None:
            channels = 1 if part.color == "gray" else 3
            if len(self.shape) != 4 or self.shape[1] != channels:
                raise ValueError(f"an image with color {part.color} has the shape [1, {channels}, height, width]")
            if len(part.mean) != channels or len(part.scale) != channels:
                raise ValueError(f"mean and scale need {channels} values each for color {part.color}")
        return self

    def to_source_spec(self) -> InputSpec:
        """Return the input as the user described it: the form that the fingerprint is taken of."""
        part = self.preprocessing
        preprocessing = None
        if part is not None:
            preprocessing = Preprocessing(
                color=ColorOrder(part.color), resize=Resize(part.resize), mean=part.mean, scale=part.scale
            )
        return InputSpec(name=self.source_name, shape=self.shape, preprocessing=preprocessing)


class OutputPart(Part):
    """An output: ncnn's name, the source model's name, and ncnn's shape, without batch."""

    name: BlobName
    source_name: BlobName
    shape: OutputShape


class ModelPart(Part):
    param: SafePath
    weights: SafePath
    precision: Literal["fp32", "fp16-storage", "fp16"]
    inputs: Annotated[tuple[InputPart, ...], Field(min_length=1)]
    outputs: Annotated[tuple[OutputPart, ...], Field(min_length=1)]


class PostprocessingPart(Part):
    kind: Literal["none", "argmax", "threshold"]
    threshold: float


class GoldenFile(Part):
    name: BlobName
    file: SafePath


class GoldenLimits(Part):
    cosine: Annotated[float, Field(ge=-1, le=1)]
    max_abs_error: Annotated[float, Field(gt=0)]


class GoldenPart(Part):
    inputs: tuple[GoldenFile, ...]
    outputs: tuple[GoldenFile, ...]
    limits: GoldenLimits


class RequirementsPart(Part):
    """What the binaries need. ``glibc_symbol`` asks for that glibc; the key is left out where there is none."""

    architecture: Annotated[str, Field(min_length=1)]
    isa: tuple[str, ...]
    glibc: Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")] | None
    glibc_symbol: str | None = None
    memory_bytes: Annotated[int, Field(ge=0)]


class FilePart(Part):
    path: SafePath
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]
    mode: FileMode

    @property
    def mode_bits(self) -> int:
        return int(self.mode, 8)


class Manifest(Part):
    """The whole document; ``digest_of`` its bytes names the release."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    app: Name
    board: Name
    triple: Annotated[str, Field(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)+$")]
    versions: Versions
    model: ModelPart
    postprocessing: PostprocessingPart
    preprocessing_fingerprint: Sha256
    golden: GoldenPart
    requirements: RequirementsPart
    files: Annotated[tuple[FilePart, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _holds_together(self) -> Manifest:
        paths = [item.path for item in self.files]
        known = set(paths)
        _check_distinct("files", paths)
        _check_no_path_is_a_directory(paths)
        for path in self.referenced_paths:
            if path not in known:
                raise ValueError(f"{path!r} is referred to but not among the files")
        for kind, declared, golden in (
            ("inputs", [item.name for item in self.model.inputs], [item.name for item in self.golden.inputs]),
            ("outputs", [item.name for item in self.model.outputs], [item.name for item in self.golden.outputs]),
        ):
            _check_distinct(f"the model's {kind}", declared)
            if sorted(declared) != sorted(golden):
                raise ValueError(f"golden {kind} {golden} are not the model's {declared}")
        expected = preprocessing_fingerprint(tuple(item.to_source_spec() for item in self.model.inputs))
        if self.preprocessing_fingerprint != expected:
            raise ValueError(f"preprocessing_fingerprint is not that of the inputs, {expected}")
        return self

    @property
    def referenced_paths(self) -> tuple[str, ...]:
        golden = (item.file for item in (*self.golden.inputs, *self.golden.outputs))
        return (self.model.param, self.model.weights, *golden)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON that goes to the board."""
        document = self.model_dump(mode="json", by_alias=True)
        if document["requirements"]["glibc_symbol"] is None:
            del document["requirements"]["glibc_symbol"]
        return canonical_json(document)


def preprocessing_fingerprint(inputs: tuple[InputSpec, ...]) -> str:
    """Return the SHA-256 (hex) over every input's name, shape and preprocessing."""
    document = [
        {
            "name": item.name,
            "shape": list(item.shape),
            "preprocessing": item.preprocessing.to_json() if item.preprocessing else None,
        }
        for item in inputs
    ]
    return hashlib.sha256(canonical_json(document)).hexdigest()


def parse_manifest(content: bytes, *, origin: str) -> Manifest:
    """Read a manifest.

    Args:
        content: The file's bytes.
        origin: Where they come from, for the message: a path, or a path on a board.

    Raises:
        BundleError: Not JSON, a schema that this version does not read, or a fault; the first fifty faults are listed.
    """
    try:
        if len(content) > MANIFEST_LIMIT_BYTES:
            raise ValueError(f"it has {len(content)} bytes; {MANIFEST_LIMIT_BYTES} are the most that are read")
        require_modest_json(content)
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        faults = describe_faults(error, _describe)
    except ValueError as error:
        faults = f"  {error}"
    raise BundleError(
        f"{origin} is not a valid manifest:\n{faults}",
        hint="make the bundle again with edgedeploy flash; a manifest is never edited by hand",
    )


def _check_distinct(what: str, values: Sequence[str]) -> None:
    twice = sorted(value for value, count in Counter(values).items() if count > 1)
    if twice:
        raise ValueError(f"{what} name {', '.join(twice)} more than once")


def _check_no_path_is_a_directory(paths: Sequence[str]) -> None:
    directories = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    both = sorted(directories & set(paths))
    if both:
        raise ValueError(f"{', '.join(both)} cannot be a file and a directory")


def _describe(fault: Any) -> str:
    key = key_of(fault["loc"]) or "the document"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    value = fault.get("input")
    found = "" if isinstance(value, (dict, list, bytes)) else f" (is {shown(value)})"
    return f"  {key}: {message}{found}"
