"""Reads ONNX files and fixes their input shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx.inliner
from onnx import external_data_helper

from edgedeploy.artifacts import InputSpec
from edgedeploy.errors import CorruptModelError, ShapeMismatchError, close_matches

_AGAIN = "export or download the model again"

CONVERTER_IR_VERSION = 10
"""Newest file format that is handed to the converter, whose reader lags behind the onnx package that writes models."""


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with its external data; functions defined in the model are inlined.

    Raises:
        CorruptModelError: The file is no ONNX model, is cut short, or lacks its external data.
    """
    model = _parse(path, with_external_data=True)
    if not model.graph.node or not model.graph.output:
        raise CorruptModelError(f"{path} holds no graph", hint=_AGAIN)
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def external_data_files(path: Path) -> tuple[Path, ...]:
    """Return the files beside an ONNX file that hold its large weights.

    Raises:
        CorruptModelError: The file is no ONNX model.
    """
    model = _parse(path, with_external_data=False)
    locations = {
        external_data_helper.ExternalDataInfo(tensor).location
        for tensor in model.graph.initializer
        if external_data_helper.uses_external_data(tensor)
    }
    return tuple(path.parent / location for location in sorted(locations))


def check_structure(model: onnx.ModelProto, path: Path) -> None:
    """Check the model against the standard.

    Raises:
        CorruptModelError: With the checker's words.
    """
    checked = onnx.ModelProto()
    checked.CopyFrom(model)
    for value in checked.graph.output:
        # The checker wants shapes of outputs, which exporters often leave out and nobody needs.
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(checked)
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise CorruptModelError(f"{path} is not a valid ONNX model: {first}", hint=_AGAIN) from None


def real_inputs(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, ...]:
    """Return the inputs a user feeds: old models list their weights among the inputs too."""
    weights = {item.name for item in model.graph.initializer}
    return tuple(item for item in model.graph.input if item.name not in weights)


def strip_weights_from_inputs(model: onnx.ModelProto) -> None:
    """Leave only real inputs in the graph's input list (the converter takes listed weights for inputs and fails)."""
    kept = real_inputs(model)
    del model.graph.input[:]
    model.graph.input.extend(kept)


def fix_input_shapes(model: onnx.ModelProto, inputs: Sequence[InputSpec]) -> None:
    """Write the static shapes into the model.

    Raises:
        ShapeMismatchError: A name, rank or fixed dimension does not fit; the message lists the model's inputs.
    """
    given = {item.name: item for item in inputs}
    names = [item.name for item in model.graph.input]
    for name in given:
        if name not in names:
            hint = close_matches(name, names)
            raise ShapeMismatchError(f"the model has no input {name}; {describe_inputs(model)}", hint=hint)
    missing = [name for name in names if name not in given]
    if missing:
        raise ShapeMismatchError(
            f"no shape is given for input {', '.join(missing)}; {describe_inputs(model)}",
            hint="add each with its shape to the project file's model.inputs",
        )
    for value in model.graph.input:
        _fix_shape(model, value, given[value.name].shape)


def lower_ir_version(model: onnx.ModelProto) -> None:
    """Mark the model as of a file format that the converter reads.

    Later formats add tensor types and annotations for several devices, which float32 models for a board do not have.
    What the operators mean hangs on the opset, which stays.
    """
    model.ir_version = min(model.ir_version, CONVERTER_IR_VERSION)


def describe_inputs(model: onnx.ModelProto) -> str:
    """Return the model's inputs for a message.

    Example:
        >>> describe_inputs(model)
        'its inputs are x [?, 3, ?, ?]'
    """
    listed = ", ".join(f"{item.name} [{', '.join(_dimensions(item))}]" for item in model.graph.input)
    return f"its inputs are {listed}"


def _parse(path: Path, *, with_external_data: bool) -> onnx.ModelProto:
    try:
        return onnx.load_model(path, load_external_data=with_external_data)
    except OSError as error:
        raise CorruptModelError(f"{path} cannot be read: {error}", hint=_AGAIN) from None
    except Exception:  # the parser's own exception belongs to protobuf, which is not a dependency of ours
        raise CorruptModelError(f"{path} is damaged or not an ONNX model", hint=_AGAIN) from None


def _fix_shape(model: onnx.ModelProto, value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ShapeMismatchError(
            f"input {value.name} takes {kind}, and only float32 inputs can be fed; {describe_inputs(model)}",
            hint="export the model with float32 inputs",
        )
    fixed = [item.dim_value for item in tensor.shape.dim] if tensor.HasField("shape") else [0] * len(shape)
    fits = len(fixed) == len(shape) and all(own <= 0 or own == wanted for own, wanted in zip(fixed, shape, strict=True))
    if not fits:
        raise ShapeMismatchError(
            f"input {value.name} cannot have the shape {list(shape)}; {describe_inputs(model)}",
            hint="correct the shape in the project file's model.inputs, or export the model with another input size",
        )
    del tensor.shape.dim[:]
    for size in shape:
        tensor.shape.dim.add().dim_value = size


def _dimensions(value: onnx.ValueInfoProto) -> list[str]:
    return [str(item.dim_value) if item.dim_value > 0 else "?" for item in value.type.tensor_type.shape.dim]
