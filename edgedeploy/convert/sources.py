"""The original models: what the pipeline needs to know of an ONNX or a TorchScript file, and how to run it."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime

from edgedeploy.artifacts import FloatArray, InputSpec, Sample
from edgedeploy.convert.onnx_model import (
    check_structure,
    external_data_files,
    fix_input_shapes,
    load_onnx,
    lower_ir_version,
    strip_weights_from_inputs,
)
from edgedeploy.convert.onnx_rewrite import rewrite_nodes
from edgedeploy.convert.precheck import check_operators
from edgedeploy.errors import CorruptModelError, MissingFileError, ShapeMismatchError

ZIP_MAGIC = b"PK\x03\x04"


class Format(Enum):
    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


class Reference(Protocol):
    """The original, ready to run."""

    @property
    def name(self) -> str:
        """What it runs in, for example ``onnxruntime 1.32.0``."""

    def run(self, sample: Sample) -> tuple[FloatArray, ...]:
        """Return the outputs in the model's order."""


def detect_format(path: Path) -> Format:
    """Tell what kind of model a file is, by its content.

    Raises:
        MissingFileError: There is no such file.
        CorruptModelError: It is neither.
    """
    if not path.is_file():
        raise MissingFileError(f"the model {path} does not exist", hint="correct model.source in the project file")
    with path.open("rb") as stream:
        head = stream.read(len(ZIP_MAGIC))
    if head == ZIP_MAGIC:
        return Format.TORCHSCRIPT
    if path.suffix.lower() == ".onnx":
        return Format.ONNX
    raise CorruptModelError(
        f"{path} is neither an ONNX file nor a TorchScript archive",
        hint="give a .onnx file, or what torch.jit.trace(...).save(...) wrote; not a state_dict",
    )


def companion_files(path: Path, kind: Format) -> tuple[Path, ...]:
    """Return further files that belong to the model."""
    return external_data_files(path) if kind is Format.ONNX else ()


# --- ONNX ------------------------------------------------------------------------------------------------------------


def prepare_onnx(path: Path, inputs: Sequence[InputSpec]) -> onnx.ModelProto:
    """Return the model in the form that the converter takes: checked, with static shapes, nodes rewritten.

    Raises:
        CorruptModelError: Not a valid ONNX model.
        UnsupportedOperatorError: Operators that ncnn lacks, all of them.
        ShapeMismatchError: The inputs do not fit the model.
    """
    model = load_onnx(path)
    strip_weights_from_inputs(model)
    check_operators(model)
    check_structure(model, path)
    fix_input_shapes(model, inputs)
    lower_ir_version(model)
    return rewrite_nodes(model)


def onnx_names(model: onnx.ModelProto) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of inputs and outputs, in the model's order: the converter calls them in0.., out0.. ."""
    return tuple(item.name for item in model.graph.input), tuple(item.name for item in model.graph.output)


class OnnxReference:
    """The untouched ONNX file in ONNX Runtime.

    Raises:
        CorruptModelError: ONNX Runtime refuses the file.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common public type
            raise CorruptModelError(f"ONNX Runtime refuses {path}: {_first_line(error)}", hint=_EXPORT_AGAIN) from None

    @property
    def name(self) -> str:
        return f"onnxruntime {onnxruntime.__version__}"

    def run(self, sample: Sample) -> tuple[FloatArray, ...]:
        wanted = {item.name for item in self._session.get_inputs()}
        try:
            found = self._session.run(None, {key: value for key, value in sample.tensors.items() if key in wanted})
        except Exception as error:  # ONNX Runtime's exceptions have no common public type
            raise ShapeMismatchError(
                f"ONNX Runtime cannot run the model on sample {sample.name}: {_first_line(error)}",
                hint="the model may not accept this input size; correct the shape in model.inputs",
            ) from None
        return tuple(np.asarray(item, dtype=np.float32) for item in found)


# --- TorchScript -----------------------------------------------------------------------------------------------------


def check_torchscript(path: Path, inputs: Sequence[InputSpec]) -> None:
    """Check that an archive is TorchScript and that the inputs have its names.

    Raises:
        CorruptModelError: A damaged archive, or one without code (a state_dict).
        ShapeMismatchError: The inputs are not called in0, in1 ...
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.partition("/")[2] for name in archive.namelist()]
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError):
        raise CorruptModelError(f"{path} is a damaged TorchScript archive", hint=_TRACE_AGAIN) from None
    if damaged is not None:
        raise CorruptModelError(f"{path} is damaged at {damaged}", hint=_TRACE_AGAIN)
    if not any(name.startswith("code/") for name in members):
        raise CorruptModelError(
            f"{path} holds tensors but no code: a state_dict or a pickled module, not TorchScript", hint=_TRACE_AGAIN
        )
    expected = [f"in{index}" for index in range(len(inputs))]
    if sorted(item.name for item in inputs) != sorted(expected):
        raise ShapeMismatchError(
            f"inputs of a TorchScript model are called {', '.join(expected)} in the order of forward's arguments, not "
            f"{', '.join(item.name for item in inputs)}",
            hint="rename them in the project file's model.inputs",
        )


def torch_is_installed() -> bool:
    """Tell whether TorchScript models can be compared; torch is optional."""
    return importlib.util.find_spec("torch") is not None


class TorchReference:
    """A TorchScript module in torch, in evaluation mode.

    Raises:
        CorruptModelError: torch refuses the file.
        ShapeMismatchError: The module takes another number of inputs.
    """

    def __init__(self, path: Path, inputs: Sequence[InputSpec]) -> None:
        import torch  # noqa: PLC0415  (optional and slow to import)

        self._torch = torch
        try:
            self._module = torch.jit.load(str(path), map_location="cpu").eval()
        except RuntimeError as error:
            raise CorruptModelError(f"torch refuses {path}: {_first_line(error)}", hint=_TRACE_AGAIN) from None
        arguments = [item.name for item in self._module.forward.schema.arguments[1:]]
        if len(arguments) != len(inputs):
            raise ShapeMismatchError(
                f"forward takes {len(arguments)} inputs ({', '.join(arguments)}), {len(inputs)} are described",
                hint="describe in0, in1 ... in the project file's model.inputs",
            )
        self._inputs = [f"in{index}" for index in range(len(inputs))]

    @property
    def name(self) -> str:
        return f"torch {self._torch.__version__}"

    def run(self, sample: Sample) -> tuple[FloatArray, ...]:
        tensors = [self._torch.from_numpy(np.ascontiguousarray(sample.tensors[name])) for name in self._inputs]
        try:
            with self._torch.no_grad():
                found = self._module(*tensors)
        except RuntimeError as error:
            raise ShapeMismatchError(
                f"torch cannot run the model on sample {sample.name}: {_last_line(error)}",
                hint="the model may not accept this input size; correct the shape in model.inputs",
            ) from None
        return tuple(item.detach().numpy().astype(np.float32) for item in _flatten(found))


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in _flatten(item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in _flatten(item)]
    return [value]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


_EXPORT_AGAIN = "export or download the model again"
_TRACE_AGAIN = "save the model with torch.jit.trace(model.eval(), example_inputs).save(path)"
