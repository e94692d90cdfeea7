"""From a model file to a converted, checked and compared ncnn model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from edgedeploy.artifacts import (
    Comparison,
    ComparisonLimits,
    ConvertedModel,
    FloatArray,
    InputSpec,
    ModelOutput,
    Sample,
)
from edgedeploy.convert import store
from edgedeploy.convert.compare import check_shape, compare_outputs, judge, require_passed, with_limits
from edgedeploy.convert.engine import engine_tensors, probe_in_child
from edgedeploy.convert.half import with_half_weights
from edgedeploy.convert.pnnx_tool import converter_version, run_pnnx
from edgedeploy.convert.sources import (
    Format,
    OnnxReference,
    Reference,
    TorchReference,
    check_torchscript,
    companion_files,
    detect_format,
    onnx_names,
    prepare_onnx,
    torch_is_installed,
)
from edgedeploy.errors import ComparisonError, ConversionError, MissingFileError, ShapeMismatchError
from edgedeploy.files import file_sha256
from edgedeploy.graph import read_graph, require_known_types, write_graph
from edgedeploy.graph.engine import Engine, engine_version
from edgedeploy.progress import SILENT, Progress

_HINTS = {
    Format.ONNX: "simplify or re-export the model; docs/convert.md lists what the converter trips over",
    Format.TORCHSCRIPT: "scripted modules fail: save torch.jit.trace(model.eval(), example_inputs) instead",
}


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The model file, and what was asked of it."""

    path: Path
    kind: Format
    sha256: str
    inputs: tuple[InputSpec, ...]
    fp16: bool


@dataclass(frozen=True, kw_only=True)
class _Interface:
    """The original's inputs and outputs in its own order. Of TorchScript the outputs' number is not known before."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...] | None


def convert_model(
    source: Path,
    inputs: tuple[InputSpec, ...],
    samples: Sequence[Sample],
    *,
    fp16: bool,
    limits: ComparisonLimits,
    accept_differences: bool = False,
    progress: Progress = SILENT,
) -> ConvertedModel:
    """Convert a model, or take it from the cache, and compare it with the original.

    Args:
        source: ONNX or TorchScript file.
        inputs: Every input with its static shape, batch 1, under the source's name (TorchScript: in0, in1 ...).
        samples: Real inputs to compare on; at least one.
        fp16: Store the weights in half precision. The comparison runs in float32 arithmetic either way: what
            half-precision arithmetic adds depends on the CPU, and the self-test on the board judges it.
        limits: What the comparison allows.
        accept_differences: Go on where the comparison fails, or where torch is missing for it; the model's ``warnings``
            then say so.

    Returns:
        The model in the cache. Its ``comparison`` is None only where torch is missing and differences are accepted.

    Raises:
        MissingFileError: No such file.
        CorruptModelError: The file is damaged.
        UnsupportedOperatorError: Operators that ncnn lacks; all are listed.
        ShapeMismatchError: The inputs or the samples do not fit the model.
        ConversionError: The converter failed or left something that the engine cannot run.
        ComparisonError: The outputs differ by more than the limits.
    """
    wanted = _describe_source(source, inputs, fp16)
    _check_samples(inputs, samples)
    entry, converter = _converted(wanted, progress)
    model = ConvertedModel(
        param=entry.param,
        weights=entry.weights,
        inputs=tuple(replace(spec, name=name) for spec, name in zip(inputs, entry.input_names, strict=True)),
        source_inputs=inputs,
        outputs=entry.outputs,
        source_sha256=wanted.sha256,
        converter_version=converter,
    )
    if wanted.kind is Format.TORCHSCRIPT and not torch_is_installed():
        return _without_comparison(model, accept_differences)
    measured = _stored_comparison(wanted, entry, model, samples, progress)
    comparison = with_limits(measured, limits)
    if accept_differences and not comparison.passed:
        return replace(model, comparison=comparison, warnings=("the comparison failed and its result was accepted",))
    require_passed(comparison)
    return replace(model, comparison=comparison)


def _describe_source(source: Path, inputs: tuple[InputSpec, ...], fp16: bool) -> _Source:
    kind = detect_format(source)
    for spec in inputs:
        if not spec.shape or spec.shape[0] != 1:
            raise ShapeMismatchError(
                f"input {spec.name} has the shape {list(spec.shape)}; the first dimension is the batch and has to be 1",
                hint="the engine runs one input at a time",
            )
    return _Source(path=source, kind=kind, sha256=file_sha256(source), inputs=inputs, fp16=fp16)


def _check_samples(inputs: tuple[InputSpec, ...], samples: Sequence[Sample]) -> None:
    if not samples:
        raise ComparisonError(
            "there is no sample to compare on", hint="name at least one in the project file's samples"
        )
    for sample in samples:
        for spec in inputs:
            tensor = sample.tensors.get(spec.name)
            if tensor is None or tensor.shape != spec.shape:
                shown = "no tensor" if tensor is None else f"a tensor of shape {list(tensor.shape)}"
                raise ShapeMismatchError(
                    f"sample {sample.name} has {shown} for input {spec.name}, which needs {list(spec.shape)}",
                    hint="samples and model.inputs have to agree on names and shapes",
                )


# --- conversion ------------------------------------------------------------------------------------------------------


def _converted(wanted: _Source, progress: Progress) -> tuple[store.Entry, str]:
    converter = converter_version()
    key = store.conversion_key(
        {
            "source": wanted.sha256,
            "companions": [_companion_sha256(path) for path in companion_files(wanted.path, wanted.kind)],
            "inputs": [[item.name, list(item.shape)] for item in wanted.inputs],
            "fp16": wanted.fp16,
            "converter": converter,
            "engine": engine_version(),
        }
    )
    entry = store.find_entry(key)
    if entry is None:
        try:
            with progress.task(f"Converting {wanted.path.name}"), store.scratch_directory() as scratch:
                entry = _convert(wanted, key, scratch)
        except OSError as error:
            raise _unwritable(error) from error
    return entry, converter


def _unwritable(error: OSError) -> ConversionError:
    return ConversionError(
        f"the cache of conversions cannot be written: {error}",
        hint="check the free disk space, or set EDGEDEPLOY_CACHE to a directory of yours",
    )


def _companion_sha256(path: Path) -> str:
    if not path.is_file():
        raise MissingFileError(f"the model's weights {path} do not exist", hint="keep them beside the .onnx file")
    return file_sha256(path)


def _convert(wanted: _Source, key: str, scratch: Path) -> store.Entry:
    """Prepare, convert, and check what came out, all in the scratch directory."""
    copy, interface = _prepare(wanted, scratch)
    shapes = {item.name: item.shape for item in wanted.inputs}
    param, weights = run_pnnx(copy, [shapes[name] for name in interface.inputs], hint=_HINTS[wanted.kind])
    require_known_types(read_graph(param))
    graph = read_graph(param, weights)
    if wanted.fp16:
        write_graph(with_half_weights(graph), param, weights)
    input_names = _engine_inputs(wanted.inputs, interface.inputs, graph.inputs)
    outputs = _engine_outputs(interface.outputs, graph.blobs)
    zeros = {name: np.zeros(spec.shape, np.float32) for name, spec in zip(input_names, wanted.inputs, strict=True)}
    answers = probe_in_child(param, weights, [name for name, _ in outputs], zeros)
    described = [
        ModelOutput(name=name, source_name=source_name, shape=answers[name].shape) for name, source_name in outputs
    ]
    return store.add_entry(key, scratch, param=param, weights=weights, input_names=input_names, outputs=described)


def _prepare(wanted: _Source, scratch: Path) -> tuple[Path, _Interface]:
    """Put a copy for the converter into the scratch directory: it writes all its output beside the source."""
    if wanted.kind is Format.ONNX:
        model = prepare_onnx(wanted.path, wanted.inputs)
        copy = scratch / "model.onnx"
        onnx.save_model(model, copy)
        inputs, outputs = onnx_names(model)
        return copy, _Interface(inputs=inputs, outputs=outputs)
    check_torchscript(wanted.path, wanted.inputs)
    if torch_is_installed():
        TorchReference(wanted.path, wanted.inputs)
    copy = scratch / "model.pt"
    shutil.copyfile(wanted.path, copy)
    return copy, _Interface(inputs=tuple(f"in{index}" for index in range(len(wanted.inputs))), outputs=None)


def _engine_inputs(specs: Sequence[InputSpec], source_order: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    """Return the engine's name of every spec: the converter numbers inputs in the source's order."""
    names = tuple(f"in{list(source_order).index(spec.name)}" for spec in specs)
    missing = [spec.name for spec, name in zip(specs, names, strict=True) if name not in found]
    if missing:
        raise ConversionError(
            f"the converted model has no input for {', '.join(missing)}: nothing depends on it",
            hint="remove the unused input from the model",
        )
    return names


def _engine_outputs(source_names: Sequence[str] | None, blobs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return (engine's, source's) name of every output: the converter numbers outputs in the source's order."""
    if source_names is None:
        count = sum(name.removeprefix("out").isdecimal() and name.startswith("out") for name in blobs)
        source_names = [f"out{index}" for index in range(count)]
    missing = [name for index, name in enumerate(source_names) if f"out{index}" not in blobs]
    if missing or not source_names:
        raise ConversionError(
            f"the converted model lost its outputs {', '.join(missing)}".rstrip(),
            hint="an output that is an input, a constant or another output's copy is dropped; remove it from the model",
        )
    return tuple((f"out{index}", name) for index, name in enumerate(source_names))


# --- comparison ------------------------------------------------------------------------------------------------------


def _stored_comparison(
    wanted: _Source, entry: store.Entry, model: ConvertedModel, samples: Sequence[Sample], progress: Progress
) -> Comparison:
    key = store.samples_key(samples)
    stored = store.find_comparison(entry, key)
    if stored is None:
        stored = _compare(wanted, model, samples, progress)
        try:
            store.add_comparison(entry, key, stored)
        except OSError as error:
            raise _unwritable(error) from error
    return stored


def _compare(wanted: _Source, model: ConvertedModel, samples: Sequence[Sample], progress: Progress) -> Comparison:
    reference: Reference = (
        OnnxReference(wanted.path) if wanted.kind is Format.ONNX else TorchReference(wanted.path, wanted.inputs)
    )
    names = [item.name for item in model.outputs]
    engine = Engine(model.param, model.weights)
    pairs = []
    with progress.task(f"Comparing with {reference.name}") as task:
        for index, sample in enumerate(samples):
            task.update(index, len(samples), sample.name)
            expected = _by_source_name(model.outputs, reference.run(sample))
            pairs.append((expected, engine.run(names, engine_tensors(model.inputs, model.source_inputs, sample))))
    differences = compare_outputs(model.outputs, pairs)
    return judge(model.outputs, differences, reference=reference.name, samples=len(samples), limits=ComparisonLimits())


def _by_source_name(outputs: Sequence[ModelOutput], values: Sequence[FloatArray]) -> dict[str, FloatArray]:
    if len(values) != len(outputs):
        raise ConversionError(
            f"the original has {len(values)} outputs, the converted model {len(outputs)}",
            hint="outputs that are constants or copies of another are dropped; remove them from the model",
        )
    for output, value in zip(outputs, values, strict=True):
        check_shape(output, value)
    return {output.source_name: value for output, value in zip(outputs, values, strict=True)}


def _without_comparison(model: ConvertedModel, accept_differences: bool) -> ConvertedModel:
    if not accept_differences:
        raise ComparisonError(
            "torch is not installed, so the converted model cannot be compared with the TorchScript original",
            hint="pip install 'edgedeploy[torch]', or go on without a comparison by --accept-differences",
        )
    return replace(model, warnings=("torch is not installed: the model was not compared with the original",))
