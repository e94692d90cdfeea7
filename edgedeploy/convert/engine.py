"""Runs converted models in the engine's Python binding, on the host."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from edgedeploy.artifacts import ConvertedModel, FloatArray, InputSpec, ModelOutput, Sample
from edgedeploy.errors import ConversionError, ShapeMismatchError

CHILD_DEADLINE_S = 600.0

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
"""The child starts here, so that it finds this package whether it is installed or not."""


def engine_version() -> str:
    """Return for example ``ncnn 1.0.20261020``."""
    return f"ncnn {importlib.metadata.version('ncnn')}"


class Engine:
    """One network, loaded; ``run`` may be called many times.

    Args:
        fp16: True leaves the engine's default half-precision options on, as a release with ``fp16`` does on the board.

    Raises:
        ConversionError: The engine refuses the files.
    """

    def __init__(self, param: Path, weights: Path, *, fp16: bool = False) -> None:
        net = ncnn.Net()
        net.opt.use_fp16_packed = fp16
        net.opt.use_fp16_storage = fp16
        net.opt.use_fp16_arithmetic = fp16
        # In light mode the engine frees blobs that it has used, and a later extract of one crashes the process.
        net.opt.lightmode = False
        if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
            raise ConversionError(f"ncnn refuses {param}", hint="an operator was left unconverted; see docs/convert.md")
        self._net = net

    def run(self, outputs: Sequence[str], tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run one inference.

        Args:
            outputs: Names of output blobs. Addressed by name: the engine's own list of outputs has another order.
            tensors: Input blob -> float32 with the batch dimension, which is 1.

        Returns:
            Output blob -> float32, without batch.

        Raises:
            ConversionError: An input does not exist, or an output cannot be computed.
        """
        extractor = self._net.create_extractor()
        extractor.set_light_mode(False)
        known = set(self._net.input_names())
        for name, tensor in tensors.items():
            if name not in known:
                raise ConversionError(f"the network has no input blob {name}", hint="convert the model again")
            if tensor.shape[0] != 1:
                raise ShapeMismatchError(
                    f"input {name} has batch {tensor.shape[0]}; the engine runs one at a time", hint="use batch 1"
                )
            # Mat borrows the array's memory, and clone() reads it: the array has to live in a variable until then.
            values = np.ascontiguousarray(tensor[0], dtype=np.float32)
            extractor.input(name, ncnn.Mat(values).clone())
        return {name: self._extract(extractor, name) for name in outputs}

    @staticmethod
    def _extract(extractor: Any, name: str) -> FloatArray:
        status, mat = extractor.extract(name)
        if status != 0:
            raise ConversionError(f"ncnn cannot compute output {name} (status {status})", hint="see docs/convert.md")
        # The copy outlives the engine's buffer.
        return np.array(mat, dtype=np.float32, copy=True)


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
