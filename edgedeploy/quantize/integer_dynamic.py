"""The engine's dynamic int8 layers in numpy: those that find the scales of their inputs while they run.

Gemm, RNN, GRU, LSTM, MultiHeadAttention and Embed. Only their weights' scales are in the model, so calibration has no
say in them: every row (or matrix) is scaled by its own largest magnitude. The sums of products are the engine's;
what lies between two products of one layer (tanh, softmax) differs in the last bits, and a code between may then be one
step off.

Left out: caches of keys and values, recurrent states as inputs or outputs, block-quantized weights (terms from 400 up).

Source: ``forward_int8``, ``rnn_int8``, ``gru_int8``, ``lstm_int8`` and ``embed_int8`` in the engine's src/layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import UnsupportedOperatorError
from edgedeploy.graph.model import Layer
from edgedeploy.graph.storage import Storage
from edgedeploy.quantize.choices import LARGEST_CODE, round_to_codes
from edgedeploy.quantize.integer_layers import Accumulators, Codes

_BLOCK_QUANTIZED_FROM = 400
_ONE = np.float32(1)


@dataclass(frozen=True)
class Scaled:
    """Codes and their scales: one of all, or one a row."""

    codes: Codes
    scales: FloatArray


def is_dynamic_int8(layer: Layer) -> bool:
    """Whether this module computes the layer."""
    runner = _RUNNERS.get(layer.type)
    term = layer.integer(_TERM_KEYS.get(layer.type, 18), 0)
    return runner is not None and 0 < term < _BLOCK_QUANTIZED_FROM


def run_dynamic_int8(layer: Layer, *blobs: NDArray[Any]) -> FloatArray:
    """Run one layer.

    Args:
        layer: With int8 weights.
        blobs: What it reads, without batch: float32 matrices ``(rows, columns)``; of Embed whole numbers ``(words,)``.

    Returns:
        float32, in the engine's shape.

    Raises:
        UnsupportedOperatorError: Another layer, or one of the uses that are left out.
    """
    if not is_dynamic_int8(layer) or len(layer.outputs) > 1 or len(blobs) != len(layer.inputs):
        raise UnsupportedOperatorError(
            f"layer {layer.name} ({layer.type}) is no dynamic int8 layer with one output",
            hint="states and caches as blobs and block-quantized weights are not emulated",
        )
    return _RUNNERS[layer.type](layer, *blobs)


def scale_whole(values: NDArray[Any]) -> Scaled:
    """Quantize an array by its largest magnitude."""
    scale = _scales(np.abs(values).max(initial=0))
    return Scaled(round_to_codes(np.asarray(values, dtype=np.float32) * scale), scale.reshape(1))


def scale_rows(values: NDArray[Any]) -> Scaled:
    """Quantize each row of a matrix by its largest magnitude; rows of zeros get the scale 1."""
    scales = _scales(np.abs(values).max(axis=1, initial=0))
    return Scaled(round_to_codes(np.asarray(values, dtype=np.float32) * scales[:, None]), scales)


def multiply_codes(rows: Codes, others: Codes) -> Accumulators:
    """Return the products of every row with every other: ``(m, k)`` and ``(n, k)`` give int32 ``(m, n)``."""
    return (rows.astype(np.float64) @ others.astype(np.float64).T).astype(np.int64).astype(np.int32)


def _scales(largest: NDArray[Any]) -> FloatArray:
    magnitude = np.asarray(largest, dtype=np.float32)
    safe = np.where(magnitude == 0, _ONE, magnitude)
    return np.where(magnitude == 0, _ONE, np.float32(LARGEST_CODE) / safe).astype(np.float32)


def _multiply(rows: Scaled, others: Scaled) -> FloatArray:
    """Return products as numbers; the rows may have a scale each, the others have one."""
    units = _ONE / (rows.scales * others.scales)
    return np.asarray(multiply_codes(rows.codes, others.codes).astype(np.float32) * units[:, None])


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(_ONE / (_ONE + np.exp(-values)), dtype=np.float32)


# --- Gemm ------------------------------------------------------------------------------------------------------------


def _run_gemm(layer: Layer, *blobs: NDArray[Any]) -> FloatArray:
    waiting = list(blobs)
    left = _operand(layer, "a", layer.weight("a").array if layer.integer(4, 0) else waiting.pop(0), layer.integer(2, 0))
    transposed = not layer.integer(3, 0)
    right = _operand(layer, "b", layer.weight("b").array if layer.integer(5, 0) else waiting.pop(0), transposed)
    values = _multiply(left, right)
    added = _added(layer, waiting, values.shape)
    if added is not None:
        values = values + added * np.float32(_number(layer, 1))
    values = values * np.float32(_number(layer, 0))
    if layer.integer(14, 0):
        values = values.T
    return values.reshape(values.shape[0], 1, -1) if layer.integer(11, 0) else np.ascontiguousarray(values)


def _operand(layer: Layer, name: str, values: NDArray[Any], transposed: int) -> Scaled:
    """Return one side as rows: A's have a scale each, B has one."""
    is_constant = bool(layer.integer(4 if name == "a" else 5, 0))
    matrix = values.reshape(values.shape[0], -1) if values.ndim != 2 else values
    rows = matrix.T if transposed else matrix
    if is_constant and layer.weight(name).storage is Storage.INT8:
        return Scaled(rows, layer.weight(f"{name}_scales").array.astype(np.float32))
    return scale_rows(rows) if name == "a" else scale_whole(rows)


def _added(layer: Layer, waiting: list[NDArray[Any]], shape: tuple[int, ...]) -> FloatArray | None:
    """Return C so that numpy spreads it as the engine does: a vector goes down the rows where only they fit it."""
    if layer.integer(6, 0):
        if layer.integer(10, 0) == -1:
            return None
        values = layer.weight("c").array.astype(np.float32)
        return values.reshape(-1, 1) if layer.integer(10, 0) == 1 else values
    if not waiting:
        return None
    values = np.asarray(waiting[0], dtype=np.float32)
    along_rows = values.ndim == 1 and values.size == shape[0] != shape[1]
    return values.reshape(-1, 1) if along_rows else values


def _number(layer: Layer, key: int) -> float:
    value = layer.param(key)
    return float(value) if isinstance(value, int | float) else 1.0


# --- recurrent -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Projection:
    """A weight matrix of one direction: a product with the input's codes, as numbers."""

    codes: Codes
    scales: FloatArray

    def of(self, codes: Codes, scale: np.float32) -> FloatArray:
        units = (_ONE / scale) * (_ONE / self.scales)
        return np.asarray(multiply_codes(codes[None], self.codes)[0].astype(np.float32) * units)


@dataclass(frozen=True)
class _Direction:
    """One direction's weights: of the input, of the hidden state; biases ``(rows, hidden)``; LSTM's projection."""

    inputs: _Projection
    hidden: _Projection
    bias: FloatArray
    projection: FloatArray | None


Step = Callable[[_Direction, FloatArray, FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""(direction, input's sums, hidden state's sums, hidden state, cell) -> (hidden state, cell)."""


def _run_recurrent(layer: Layer, step: Step, blob: NDArray[Any]) -> FloatArray:
    kind = layer.integer(2, 0)
    runs = [(0, kind == 1)] if kind != 2 else [(0, False), (1, True)]
    outputs = [_run_direction(_direction(layer, index), step, blob, backwards) for index, backwards in runs]
    return np.concatenate(outputs, axis=1)


def _direction(layer: Layer, index: int) -> _Direction:
    def part(name: str) -> NDArray[Any]:
        return np.asarray(layer.weight(name).array[index])

    has_projection = any(item.name == "weight_hr" for item in layer.weights)
    return _Direction(
        inputs=_Projection(part("weight_xc"), part("weight_xc_scales").astype(np.float32)),
        hidden=_Projection(part("weight_hc"), part("weight_hc_scales").astype(np.float32)),
        bias=part("bias_c").astype(np.float32),
        projection=part("weight_hr").astype(np.float32) if has_projection else None,
    )


def _run_direction(direction: _Direction, step: Step, blob: NDArray[Any], backwards: bool) -> FloatArray:
    inputs = scale_rows(blob)
    hidden = np.zeros(direction.hidden.codes.shape[1], dtype=np.float32)
    cell = np.zeros(direction.bias.shape[1], dtype=np.float32)
    result = np.zeros((blob.shape[0], hidden.size), dtype=np.float32)
    order = range(blob.shape[0])
    for time in reversed(order) if backwards else order:
        state = scale_whole(hidden)
        from_input = direction.inputs.of(inputs.codes[time], inputs.scales[time])
        from_hidden = direction.hidden.of(state.codes, state.scales[0])
        hidden, cell = step(direction, from_input, from_hidden, hidden, cell)
        result[time] = hidden
    return result


def _rnn_step(
    direction: _Direction, from_input: FloatArray, from_hidden: FloatArray, hidden: FloatArray, cell: FloatArray
) -> tuple[FloatArray, FloatArray]:
    return np.tanh(direction.bias[0] + from_input + from_hidden), cell


def _gru_step(
    direction: _Direction, from_input: FloatArray, from_hidden: FloatArray, hidden: FloatArray, cell: FloatArray
) -> tuple[FloatArray, FloatArray]:
    bias = direction.bias
    (reset_in, update_in, new_in), (reset_of, update_of, new_of) = np.split(from_input, 3), np.split(from_hidden, 3)
    reset = _sigmoid(bias[0] + reset_in + reset_of)
    update = _sigmoid(bias[1] + update_in + update_of)
    new = np.tanh(bias[2] + reset * (bias[3] + new_of) + new_in)
    return (_ONE - update) * new + update * hidden, cell


def _lstm_step(
    direction: _Direction, from_input: FloatArray, from_hidden: FloatArray, hidden: FloatArray, cell: FloatArray
) -> tuple[FloatArray, FloatArray]:
    entry, forget, output, gate = np.split(direction.bias.reshape(-1) + from_input + from_hidden, 4)
    cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(gate)
    made = _sigmoid(output) * np.tanh(cell)
    # LSTM's projection to fewer outputs stays in float.
    return made if direction.projection is None else direction.projection @ made, cell


# --- attention and words ---------------------------------------------------------------------------------------------


def _run_attention(layer: Layer, *blobs: NDArray[Any]) -> FloatArray:
    if layer.integer(7, 0):
        raise UnsupportedOperatorError(
            f"layer {layer.name} keeps keys and values in a cache", hint="caches are not emulated"
        )
    waiting = list(blobs)
    mask = waiting.pop() if layer.integer(5, 0) else None
    query = waiting[0]
    key = waiting[1] if len(waiting) > 1 else query
    value = waiting[2] if len(waiting) > 2 else key
    heads = layer.integer(1, 1)
    width = layer.integer(0, 0) // heads
    scale = layer.param(6)
    factor = np.float32(scale if isinstance(scale, int | float) else 1 / np.sqrt(np.float32(width)))
    queries = _split(_project(layer, "q", query) * factor, heads)
    keys = _split(_project(layer, "k", key), heads)
    values = _split(_project(layer, "v", value), heads)
    mixed = []
    for head in range(heads):
        weights = _multiply(scale_rows(queries[head].T), scale_whole(keys[head].T))
        if mask is not None:
            weights = weights + (mask if mask.ndim == 2 else mask[min(head, mask.shape[0] - 1)])
        mixed.append(_multiply(scale_rows(_softmax(weights)), scale_whole(values[head])))
    out = Scaled(layer.weight("out_weight").array, layer.weight("out_scales").array.astype(np.float32))
    return _multiply(scale_rows(np.concatenate(mixed, axis=1)), out) + layer.weight("out_bias").array.astype(np.float32)


def _project(layer: Layer, name: str, blob: NDArray[Any]) -> FloatArray:
    """Return ``(embedding, words)``."""
    weights = Scaled(layer.weight(f"{name}_weight").array, layer.weight(f"{name}_scales").array.astype(np.float32))
    return _multiply(weights, scale_whole(blob)) + layer.weight(f"{name}_bias").array.astype(np.float32)[:, None]


def _split(values: FloatArray, heads: int) -> FloatArray:
    return values.reshape(heads, -1, values.shape[1])


def _softmax(values: FloatArray) -> FloatArray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def _run_embed(layer: Layer, words: NDArray[Any]) -> FloatArray:
    rows = layer.weight("weight").array
    unit = _ONE / np.float32(layer.weight("weight_scales").array[0])
    values = rows[np.clip(words, 0, rows.shape[0] - 1)].astype(np.float32) * unit
    bias = layer.weight("bias").array.astype(np.float32) if layer.integer(2, 0) else np.float32(0)
    return np.asarray(values + bias)


def _recurrent(step: Step) -> Callable[..., FloatArray]:
    return lambda layer, blob: _run_recurrent(layer, step, blob)


_RUNNERS: Mapping[str, Callable[..., FloatArray]] = {
    "Embed": _run_embed,
    "GRU": _recurrent(_gru_step),
    "Gemm": _run_gemm,
    "LSTM": _recurrent(_lstm_step),
    "MultiHeadAttention": _run_attention,
    "RNN": _recurrent(_rnn_step),
}
_TERM_KEYS: Mapping[str, int] = {"GRU": 8, "LSTM": 8, "RNN": 8}
