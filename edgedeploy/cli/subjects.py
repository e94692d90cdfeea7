"""What is brought to int8: the project's model, or a file on the command line, converted with float32 weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgedeploy.artifacts import ConvertedModel, FloatArray, InputSpec, ModelOutput, Precision, Sample
from edgedeploy.cli import conversions
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import OpenProject
from edgedeploy.errors import CalibrationDataError, MissingFileError, ShapeMismatchError, UsageError
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph, Storage, Weight, read_graph
from edgedeploy.graph.engine import Engine
from edgedeploy.quantize.items import Item

NCNN_SUFFIX = ".param"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A float model.

    Args:
        name: The app's, or the file's without its suffix.
        source: Where it came from, for the record.
        model: Converted; its inputs carry the engine's names.
        samples: At least one.
        directory: What data and metrics are named relative to.
    """

    name: str
    source: str
    model: ConvertedModel
    samples: tuple[Sample, ...]
    directory: Path

    def graph(self, progress: ConsoleProgress) -> Graph:
        """Return the network with float32 weights."""
        graph = read_graph(self.model.param, self.model.weights)
        if not any(weight.storage in _HALF for layer in graph.layers for weight in layer.weights):
            return graph
        progress.say("warning: the weights were rounded to half precision before; convert with --precision fp32")
        return replace(graph, layers=tuple(replace(layer, weights=_widened(layer.weights)) for layer in graph.layers))


_HALF = frozenset({Storage.FP16, Storage.BF16})


def _widened(weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    return tuple(
        weight.with_array(weight.array.astype(np.float32), Storage.FP32) if weight.storage in _HALF else weight
        for weight in weights
    )


@dataclass(frozen=True, kw_only=True)
class SampleData:
    """The project's samples as calibration data.

    Args:
        engine_names: The engine's name of each input -> the source's.
    """

    samples: tuple[Sample, ...]
    engine_names: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.samples)

    def item(self, index: int) -> Item:
        sample = self.samples[index]
        return Item(
            name=sample.name, tensors={own: sample.tensors[source] for own, source in self.engine_names.items()}
        )


def sample_data(subject: Subject) -> SampleData:
    """Return the subject's samples as data."""
    pairs = zip(subject.model.inputs, subject.model.source_inputs, strict=True)
    return SampleData(samples=subject.samples, engine_names={own.name: source.name for own, source in pairs})


def of_project(opened: OpenProject, *, accept_differences: bool, progress: ConsoleProgress) -> Subject:
    """Convert the project's model."""
    request = conversions.of_project(opened, {}, precision=Precision.FP32, progress=progress)
    model = conversions.run(request, accept_differences=accept_differences, progress=progress)
    return Subject(
        name=opened.project.app.name,
        source=request.source.name,
        model=model,
        samples=request.samples,
        directory=opened.file.parent,
    )


def of_file(
    path: Path, shapes: Mapping[str, tuple[int, ...]], *, accept_differences: bool, progress: ConsoleProgress
) -> Subject:
    """Take a ``.param`` with its ``.bin``, or convert an ``.onnx`` or ``.pt`` file. Inputs take tensors as they are."""
    if path.suffix == NCNN_SUFFIX:
        return _of_ncnn(path, shapes)
    request = conversions.of_file(path, shapes, [], precision=Precision.FP32, progress=progress)
    model = conversions.run(request, accept_differences=accept_differences, progress=progress)
    return Subject(name=path.stem, source=path.name, model=model, samples=request.samples, directory=Path.cwd())


def _of_ncnn(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Subject:
    weights = path.with_suffix(".bin")
    for file in (path, weights):
        if not file.is_file():
            raise MissingFileError(
                f"{file} does not exist", hint="give a .param file with its .bin of the same name beside it"
            )
    graph = read_graph(path, weights)
    inputs = tuple(_spec(name, shapes) for name in graph.inputs)
    unknown = sorted(set(shapes) - set(graph.inputs))
    if unknown:
        raise UsageError(f"the model has no input {unknown[0]!r}", hint=f"it has: {', '.join(graph.inputs)}")
    sample = conversions.random_sample(inputs)
    # One run says whether the shapes fit, and which the outputs have.
    found = Engine(path, weights).run(graph.outputs, sample.tensors)
    return Subject(
        name=path.stem,
        source=path.name,
        model=ConvertedModel(
            param=path.absolute(),
            weights=weights.absolute(),
            inputs=inputs,
            source_inputs=inputs,
            outputs=tuple(_output(name, found[name]) for name in graph.outputs),
            source_sha256=file_sha256(path),
            converter_version="given as .param",
        ),
        samples=(sample,),
        directory=Path.cwd(),
    )


def _spec(name: str, shapes: Mapping[str, tuple[int, ...]]) -> InputSpec:
    if name not in shapes:
        raise UsageError(
            f"the shape of the input {name!r} is not known", hint=f"for example --input {name}=1,3,224,224"
        )
    if not shapes[name] or shapes[name][0] != 1:
        raise ShapeMismatchError(
            f"--input {name}: the first dimension is the batch and has to be 1", hint=f"for example {name}=1,3,224,224"
        )
    return InputSpec(name=name, shape=shapes[name])


def _output(name: str, values: FloatArray) -> ModelOutput:
    if not values.size:
        raise CalibrationDataError(f"the output {name} is empty for this input", hint="give another --input shape")
    return ModelOutput(name=name, source_name=name, shape=values.shape)
