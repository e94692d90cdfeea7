"""The text format of the engine's calibration tables, read and written.

A line is a name and numbers: ``LAYER_param_N`` with the scales of the layer's N-th weights, or ``LAYER`` with the scale
of its input; a scale is codes a unit. Source: ``save_table`` and ``read_int8scale_table`` in the engine's
tools/quantize, which are in no package. A table has one symmetric scale a blob and says nothing of rounding, so it
carries less than an ``Int8Model``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgedeploy.errors import CalibrationTableError, MissingFileError
from edgedeploy.files import write_whole
from edgedeploy.graph.layouts import layout_of
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.quantize.choices import LARGEST_CODE, Encoding, Int8Model
from edgedeploy.reading import MIB, read_limited

WeightKey = tuple[str, int]
"""A layer's name, and which of its weights."""

SCALED_WEIGHTS: Mapping[str, tuple[str, ...]] = {
    "Convolution": ("weight_scales",),
    "ConvolutionDepthWise": ("weight_scales",),
    "InnerProduct": ("weight_scales",),
    "Embed": ("weight_scales",),
    "RNN": ("weight_xc_scales", "weight_hc_scales"),
    "LSTM": ("weight_xc_scales", "weight_hc_scales"),
    "GRU": ("weight_xc_scales", "weight_hc_scales"),
    "MultiHeadAttention": ("q_scales", "k_scales", "v_scales", "out_scales"),
}
"""Layers that the engine's tools know -> names of their scales, in the order of ``_param_N``."""
_INT8_TERM_KEYS = {"MultiHeadAttention": 18, "Embed": 18}
_INT8_TERMS = {"ConvolutionDepthWise": 1}
_SCALED_INPUTS = frozenset({"Convolution", "ConvolutionDepthWise", "InnerProduct"})
"""Of these the input is quantized with a scale from the table; the others find one while they run."""

_WEIGHT_KEY = re.compile(r"(?P<layer>.+)_param_(?P<index>[0-9]{1,2})")
_WEIGHT_MARK = "_param_"
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NAME_BYTES = 255 - len("_param_00")
"""The engine's own reader takes 255 bytes."""
_LIMIT_BYTES = 4 * MIB
_HINT = "a line is LAYER_param_0 and a scale for each output channel, or LAYER and one scale"


@dataclass(frozen=True, kw_only=True)
class CalibrationTable:
    """The scales of a network, as float32 values.

    Args:
        weight_scales: Layer and which of its weights -> codes a unit: one an output channel, or a group of a depthwise
            convolution.
        input_scales: Layer -> codes a unit of its input.
    """

    weight_scales: Mapping[WeightKey, tuple[float, ...]] = field(default_factory=dict)
    input_scales: Mapping[str, float] = field(default_factory=dict)


def read_table(path: Path) -> CalibrationTable:
    """Read a table.

    Raises:
        MissingFileError: No such file.
        CalibrationTableError: Names the line that breaks the format.
    """
    try:
        content = read_limited(path, _LIMIT_BYTES)
    except FileNotFoundError:
        raise MissingFileError(f"the calibration table {path} does not exist", hint="correct the path") from None
    except OSError as error:
        raise CalibrationTableError(f"{path} cannot be read: {error.strerror}", hint="name a text file") from None
    try:
        return parse_table(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CalibrationTableError(f"{path} is no text: {error}", hint=_HINT) from None
    except CalibrationTableError as error:
        raise CalibrationTableError(f"{path}: {error.message}", hint=error.hint) from None


def write_table(path: Path, table: CalibrationTable) -> None:
    """Write a table; the file appears whole or not at all.

    Raises:
        CalibrationTableError: A name that the format has no way of writing.
    """
    write_whole(path, format_table(table).encode())


def parse_table(text: str) -> CalibrationTable:
    """Read a table's text.

    Raises:
        CalibrationTableError: Names the line that breaks the format.
    """
    weights: dict[WeightKey, tuple[float, ...]] = {}
    inputs: dict[str, float] = {}
    lines = text.rstrip().split("\n") if text.strip() else []
    if not lines:
        raise CalibrationTableError("the calibration table is empty", hint=_HINT)
    for number, line in enumerate(lines, start=1):
        name, scales = _parse_line(number, line)
        matched = _WEIGHT_KEY.fullmatch(name)
        layer = matched["layer"] if matched else name
        _require(
            _size_bytes(layer) <= _LONGEST_NAME_BYTES, number, f"the name is longer than {_LONGEST_NAME_BYTES} bytes"
        )
        if matched:
            key = matched["layer"], int(matched["index"])
            _require(key not in weights, number, f"{name} stands here a second time")
            weights[key] = scales
        else:
            _require(_WEIGHT_MARK not in name, number, f"{name} is no name of weights")
            _require(name not in inputs, number, f"{name} stands here a second time")
            _require(len(scales) == 1, number, f"the input of {name} has {len(scales)} scales, not one")
            inputs[name] = scales[0]
    return CalibrationTable(weight_scales=weights, input_scales=inputs)


def format_table(table: CalibrationTable) -> str:
    """Return a table's text; numbers have all digits that a float32 needs.

    Example:
        >>> format_table(CalibrationTable(weight_scales={("conv", 0): (63.5, 12.0)}, input_scales={"conv": 21.25}))
        'conv_param_0 63.5 12.0\\nconv 21.25\\n'

    Raises:
        CalibrationTableError: A layer's name that cannot be told from that of weights, or a table of nothing.
    """
    lines = [(f"{_checked(name)}_param_{index}", scales) for (name, index), scales in table.weight_scales.items()]
    lines += [(_checked(name), (scale,)) for name, scale in table.input_scales.items()]
    if not lines:
        raise CalibrationTableError("there are no scales to write", hint="no layer is in int8")
    return "".join(f"{name} {' '.join(str(np.float32(scale)) for scale in scales)}\n" for name, scales in lines)


def table_of(model: Int8Model) -> CalibrationTable:
    """Return the table of an int8 network.

    It goes with the float network that was quantized, after its passes and equalisation. A shifted range ``[0, T]`` is
    written as the symmetric one that holds it, ``[-T, T]``, whose steps are twice as wide.
    """
    weights: dict[WeightKey, tuple[float, ...]] = {}
    inputs: dict[str, float] = {}
    for choice in model.layers:
        if not choice.int8 or choice.type not in SCALED_WEIGHTS:
            continue
        layer = model.graph.layer(choice.name)
        for index, name in enumerate(SCALED_WEIGHTS[choice.type]):
            weights[choice.name, index] = tuple(float(scale) for scale in layer.weight(name).array.ravel())
        if choice.input is not None:
            inputs[choice.name] = _symmetric_scale(choice.input)
    return CalibrationTable(weight_scales=weights, input_scales=inputs)


def require_fit(table: CalibrationTable, graph: Graph) -> None:
    """Check that a table belongs to a network.

    Args:
        graph: In float.

    Raises:
        CalibrationTableError: Lists layers that the network lacks or that cannot be in int8, wrong numbers of scales,
            and layers with only one of the two lines.
    """
    faults = list(_faults(table, {layer.name: layer for layer in graph.layers}))
    if faults:
        raise CalibrationTableError(
            "the calibration table does not fit the model:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint="a table goes with the very network that it was made from",
        )


def _faults(table: CalibrationTable, layers: Mapping[str, Layer]) -> Iterator[str]:
    names = dict.fromkeys([*(name for name, _ in table.weight_scales), *table.input_scales])
    for name in names:
        layer = layers.get(name)
        if layer is None:
            yield f"there is no layer {name}"
        elif layer.type not in SCALED_WEIGHTS:
            yield f"layer {name} is a {layer.type}, which has no scales in a table"
        else:
            yield from _faults_of_layer(table, layer)


def _faults_of_layer(table: CalibrationTable, layer: Layer) -> Iterator[str]:
    found = {index: len(scales) for (name, index), scales in table.weight_scales.items() if name == layer.name}
    wanted = dict(enumerate(_numbers_of_scales(layer)))
    if found != wanted:
        yield f"layer {layer.name} has {_counted(found)} weight scales, not {_counted(wanted)}"
    if (layer.name in table.input_scales) != (layer.type in _SCALED_INPUTS):
        yield f"layer {layer.name} has {'a' if layer.name in table.input_scales else 'no'} scale of its input"


def _counted(counts: Mapping[int, int]) -> str:
    return " and ".join(str(counts[index]) for index in sorted(counts)) or "no"


def _numbers_of_scales(layer: Layer) -> list[int]:
    """Return how many scales each of a layer's weights would have in int8, as the layout of its weights says."""
    key, term = _INT8_TERM_KEYS.get(layer.type, 8), _INT8_TERMS.get(layer.type, 2)
    slots = {slot.name: slot for slot in layout_of(layer.with_param(key, term))}
    return [int(np.prod(slots[name].shape)) for name in SCALED_WEIGHTS[layer.type]]


def _parse_line(number: int, line: str) -> tuple[str, tuple[float, ...]]:
    name, *texts = line.split() or [""]
    # The engine's own reader stops at an empty line, without a word.
    _require(bool(name), number, "it is empty")
    _require(bool(texts), number, f"{name} has no scales")
    return name, tuple(_parse_scale(number, text) for text in texts)


def _parse_scale(number: int, text: str) -> float:
    _require(_NUMBER.fullmatch(text) is not None, number, f"{text[:40]!r} is no number")
    with np.errstate(over="ignore", under="ignore"):
        scale = float(np.float32(text))
    _require(0 < scale < float("inf"), number, f"the scale {text[:40]} is not positive and finite in float32")
    return scale


def _require(holds: bool, number: int, problem: str) -> None:
    if not holds:
        raise CalibrationTableError(f"line {number} of the calibration table: {problem}", hint=_HINT)


def _checked(name: str) -> str:
    if not name or _WEIGHT_MARK in name or name.split() != [name] or _size_bytes(name) > _LONGEST_NAME_BYTES:
        raise CalibrationTableError(
            f"a calibration table cannot name the layer {name!r}", hint="rename the layer: no blanks, no _param_"
        )
    return name


def _size_bytes(name: str) -> int:
    return len(name.encode(errors="replace"))


def _symmetric_scale(encoding: Encoding) -> float:
    return float(np.float32(LARGEST_CODE / max(abs(encoding.lowest), abs(encoding.highest))))
