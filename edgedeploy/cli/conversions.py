"""What ``convert`` is asked for: the project's model, or a file and shapes on the command line."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from edgedeploy.artifacts import ComparisonLimits, ConvertedModel, InputSpec, Precision, Sample
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import OpenProject, load_samples
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.errors import MissingFileError, UsageError, close_matches
from edgedeploy.preprocessing import load_sample
from edgedeploy.project import InputSection

RANDOM_SEED = 20261123


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversion."""

    source: Path
    inputs: tuple[InputSpec, ...]
    samples: tuple[Sample, ...]
    precision: Precision
    limits: ComparisonLimits


def of_project(
    opened: OpenProject,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    precision: Precision | None = None,
    progress: ConsoleProgress,
) -> Request:
    """Return the project's conversion, with other shapes where the command line gives them."""
    project = opened.project
    names = [item.name for item in project.input_specs]
    for name in shapes:
        if name not in names:
            raise UsageError(f"the project has no input {name!r}", hint=close_matches(name, names))
    inputs = tuple(
        _checked({**item.model_dump(), "shape": shapes.get(item.name, item.shape)}) for item in project.model.inputs
    )
    return Request(
        source=opened.resolve(project.model.source, progress=progress),
        inputs=inputs,
        samples=load_samples(opened, inputs, progress=progress),
        precision=precision or project.model.precision,
        limits=project.model.limits.to_limits(),
    )


def of_file(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    samples: Sequence[Path],
    *,
    precision: Precision | None = None,
    progress: ConsoleProgress,
) -> Request:
    """Return the conversion of a model file whose inputs take float32 tensors as they are."""
    if not model.is_file():
        raise MissingFileError(f"the model {model} does not exist", hint="give the path of an .onnx or .pt file")
    if not shapes:
        raise UsageError("a model file needs the shape of each input", hint="for example --input x=1,3,48,192")
    inputs = tuple(_checked({"name": name, "shape": shape}) for name, shape in shapes.items())
    if not samples:
        progress.say("warning: no --sample given: the comparison feeds random values in 0..1")
    return Request(
        source=model.absolute(),
        inputs=inputs,
        samples=tuple(load_sample(path, inputs) for path in samples) or (random_sample(inputs),),
        precision=precision or Precision.FP32,
        limits=ComparisonLimits(),
    )


def run(request: Request, *, accept_differences: bool, progress: ConsoleProgress) -> ConvertedModel:
    """Convert and compare."""
    return convert_model(
        request.source,
        request.inputs,
        request.samples,
        fp16=request.precision.half_weights,
        limits=request.limits,
        accept_differences=accept_differences,
        progress=progress,
    )


def copy_to(model: ConvertedModel, directory: Path) -> ConvertedModel:
    """Copy the two files into a directory, each whole or not at all, and return where they are.

    Raises:
        UsageError: They cannot be written there.
    """
    make_directory(directory)
    return replace(
        model,
        param=copy_file(model.param, directory / "model.param"),
        weights=copy_file(model.weights, directory / "model.bin"),
    )


def _checked(section: Mapping[str, Any]) -> InputSpec:
    try:
        return InputSection.model_validate(section).to_spec()
    except ValidationError as error:
        faults = "; ".join(fault["msg"] for fault in error.errors())
        shape = ",".join(map(str, section["shape"]))
        raise UsageError(f"--input {section['name']}={shape}: {faults}", hint="for example x=1,3,48,192") from None


def copy_file(source: Path, target: Path) -> Path:
    """Copy a file to where the user wants it, whole or not at all.

    Raises:
        UsageError: It cannot be written there.
    """
    unfinished = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(source, unfinished)
        unfinished.rename(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise _unwritable(target, error) from None
    return target


def make_directory(directory: Path) -> None:
    """Make the directory that the user wants files in.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from None


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror}", hint="name a place that can be written")


def random_sample(inputs: tuple[InputSpec, ...]) -> Sample:
    """Return values in 0..1, always the same, for inputs that nobody gave a sample for."""
    rng = np.random.default_rng(RANDOM_SEED)
    tensors = {item.name: rng.random(item.shape, dtype=np.float32) for item in inputs}
    return Sample(name="random", raw=dict(tensors), tensors=tensors)
