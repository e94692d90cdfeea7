"""Runs converted models on the host, whole or in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgedeploy.artifacts import ConvertedModel, FloatArray, InputSpec, ModelOutput, Sample
from edgedeploy.errors import ConversionError, ShapeMismatchError
from edgedeploy.graph.engine import Engine

CHILD_DEADLINE_S = 600.0

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
"""The child starts here, so that it finds this package whether it is installed or not."""


def run_ncnn(
    param: Path,
    weights: Path,
    inputs: Sequence[InputSpec],
    outputs: Sequence[ModelOutput],
    tensors: Mapping[str, FloatArray],
    *,
    fp16: bool = False,
) -> dict[str, FloatArray]:
    """Load a converted model and run it once.

    Args:
        inputs: The model's inputs, under the engine's names.
        outputs: The model's outputs.
        tensors: Engine's input name -> float32 in the input's full shape.
        fp16: See ``Engine``.

    Returns:
        Output name (``out0`` ...) -> float32, without batch.

    Raises:
        ShapeMismatchError: A tensor is missing or has another shape than its input.
        ConversionError: The engine refuses the files or cannot compute an output.
    """
    for spec in inputs:
        found = tensors[spec.name].shape if spec.name in tensors else None
        if found != spec.shape:
            shown = "nothing" if found is None else str(list(found))
            raise ShapeMismatchError(
                f"input {spec.name} needs a tensor of shape {list(spec.shape)}, got {shown}", hint="see model.inputs"
            )
    fed = {spec.name: tensors[spec.name] for spec in inputs}
    return Engine(param, weights, fp16=fp16).run([item.name for item in outputs], fed)


def run_converted(model: ConvertedModel, sample: Sample, *, fp16: bool = False) -> dict[str, FloatArray]:
    """Run a converted model on a sample, whose tensors stand under the source's names."""
    tensors = engine_tensors(model.inputs, model.source_inputs, sample)
    return run_ncnn(model.param, model.weights, model.inputs, model.outputs, tensors, fp16=fp16)


def engine_tensors(
    inputs: Sequence[InputSpec], source_inputs: Sequence[InputSpec], sample: Sample
) -> dict[str, FloatArray]:
    """Return a sample's tensors under the engine's input names.

    Raises:
        ShapeMismatchError: The sample lacks an input.
    """
    for source in source_inputs:
        if source.name not in sample.tensors:
            raise ShapeMismatchError(f"sample {sample.name} has no tensor for input {source.name}", hint="see samples")
    return {spec.name: sample.tensors[source.name] for spec, source in zip(inputs, source_inputs, strict=True)}


def probe_in_child(
    param: Path, weights: Path, outputs: Sequence[str], tensors: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Run once in a process of its own: some broken networks crash the engine, and with it whoever runs it.

    Raises:
        ConversionError: The engine refused the model, could not compute an output, crashed, or took too long.
    """
    with tempfile.TemporaryDirectory() as name:
        fed, answers = Path(name) / "inputs.npz", Path(name) / "outputs.npz"
        np.savez(fed, allow_pickle=False, **dict(tensors))
        command = [sys.executable, "-m", "edgedeploy.convert.engine_child"]
        arguments = [str(item.absolute()) for item in (param, weights, fed, answers)]
        try:
            done = subprocess.run(
                [*command, *arguments, *outputs],
                cwd=PACKAGE_ROOT,
                capture_output=True,
                timeout=CHILD_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConversionError(
                f"one inference of the converted model took over {CHILD_DEADLINE_S:g} s", hint="use a smaller input"
            ) from None
        if done.returncode != 0 or not answers.is_file():
            tail = "\n".join(done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-5:])
            raise ConversionError(
                f"ncnn cannot run the converted model (status {done.returncode})\n{tail}".rstrip(),
                hint="an operator was translated into something the engine cannot do; see docs/convert.md",
            )
        with np.load(answers) as stored:
            return {key: stored[key] for key in outputs}
