"""Which weights each layer type keeps in the ``.bin`` file, in file order: one row a type.

Source: ``load_param`` and ``load_model`` in src/layer/*.cpp of the engine, version 1.0.20261020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from edgedeploy.graph.model import Layer


class Load(Enum):
    """How the engine loads a weight (the ``type`` argument of ``ModelBin::load``)."""

    TAGGED = "tagged"
    FLOATS = "floats"
    BYTES = "bytes"


@dataclass(frozen=True)
class Slot:
    """One weight: its name, how it is loaded, its shape with the outermost dimension first."""

    name: str
    load: Load
    shape: tuple[int, ...]


Layout = Callable[[Layer], Iterable[Slot]]

_DEFAULT_BLOCK_SIZES = (32, 64, 128)
_BLOCK_BITS = (4, 6, 8)


def layout_of(layer: Layer) -> tuple[Slot, ...]:
    """Return the layer's weights; empty for types that have none.

    Example:
        >>> layout_of(parse_param(text).layer("fc"))
        (Slot('weight', Load.TAGGED, (10, 64)), Slot('bias', Load.FLOATS, (10,)))
    """
    layout = LAYOUTS.get(layer.type)
    return tuple(layout(layer)) if layout else ()


def _tagged(name: str, *shape: int) -> Slot:
    return Slot(name, Load.TAGGED, shape)


def _floats(name: str, *shape: int) -> Slot:
    return Slot(name, Load.FLOATS, shape)


def _quotient(size: int, *divisors: int) -> int:
    """Divide as the engine does (C integer division), with 0 where a divisor is 0."""
    divisor = math.prod(divisors)
    return size // divisor if divisor else 0


def _kernel_weight(layer: Layer, kernel: tuple[int, ...]) -> Slot:
    """The filters as (outputs, inputs of a group, kernel...); flat where the sizes do not divide."""
    outputs, size = layer.integer(0, 0), layer.integer(6, 0)
    inputs = _quotient(size, outputs, *kernel)
    shape = (outputs, inputs, *kernel)
    return _tagged("weight", *shape) if math.prod(shape) == size else _tagged("weight", size)


def _kernel_1d(layer: Layer) -> tuple[int, ...]:
    return (layer.integer(1, 0),)


def _kernel_2d(layer: Layer) -> tuple[int, ...]:
    width = layer.integer(1, 0)
    return (layer.integer(11, width), width)


def _kernel_3d(layer: Layer) -> tuple[int, ...]:
    width = layer.integer(1, 0)
    return (layer.integer(21, width), layer.integer(11, width), width)


def _filters(kernel: Callable[[Layer], tuple[int, ...]], dynamic_key: int | None = None) -> Layout:
    def layout(layer: Layer) -> Iterable[Slot]:
        if dynamic_key is not None and layer.integer(dynamic_key, 0):
            return
        yield _kernel_weight(layer, kernel(layer))
        if layer.integer(5, 0):
            yield _floats("bias", layer.integer(0, 0))

    return layout


def _convolution(layer: Layer) -> Iterable[Slot]:
    if layer.integer(19, 0):
        return
    yield from _filters(_kernel_2d)(layer)
    term = layer.integer(8, 0)
    if term:
        yield _floats("weight_scales", layer.integer(0, 0))
        yield _floats("input_scales", 1)
    if term > 100:
        yield _floats("output_scales", 1)


def _convolution_depthwise(layer: Layer) -> Iterable[Slot]:
    if layer.integer(19, 0):
        return
    yield from _filters(_kernel_2d)(layer)
    term = layer.integer(8, 0)
    if term in (1, 101, 2, 102):
        yield _floats("weight_scales", layer.integer(7, 1) if term in (1, 101) else 1)
        yield _floats("input_scales", 1)
    if term > 100:
        yield _floats("output_scales", 1)


def _inner_product(layer: Layer) -> Iterable[Slot]:
    outputs, size = layer.integer(0, 0), layer.integer(2, 0)
    inputs = _quotient(size, outputs)
    yield _tagged("weight", outputs, inputs) if outputs * inputs == size else _tagged("weight", size)
    if layer.integer(1, 0):
        yield _floats("bias", outputs)
    if layer.integer(8, 0):
        yield _floats("weight_scales", outputs)
        yield _floats("input_scales", 1)


def _embed(layer: Layer) -> Iterable[Slot]:
    outputs, words, size = layer.integer(0, 0), layer.integer(1, 0), layer.integer(3, 0)
    yield _tagged("weight", words, outputs) if words * outputs == size else _tagged("weight", size)
    if layer.integer(2, 0):
        yield _floats("bias", outputs)
    if layer.integer(18, 0):
        yield _floats("weight_scales", 1)


def _recurrent(gates: int, bias_rows: int) -> Layout:
    """RNN, GRU and LSTM: one weight matrix for the input, one for the hidden state, a direction each."""

    def layout(layer: Layer) -> Iterable[Slot]:
        outputs = layer.integer(0, 0)
        directions = 2 if layer.integer(2, 0) == 2 else 1
        hidden = layer.integer(3, outputs) if gates == 4 else outputs
        inputs = _quotient(layer.integer(1, 0), directions, hidden, gates)
        yield _tagged("weight_xc", directions, hidden * gates, inputs)
        yield _tagged("bias_c", directions, bias_rows, hidden)
        yield _tagged("weight_hc", directions, hidden * gates, outputs)
        if hidden != outputs:
            yield _tagged("weight_hr", directions, outputs, hidden)
        if layer.integer(8, 0):
            yield _floats("weight_xc_scales", directions, hidden * gates)
            yield _floats("weight_hc_scales", directions, hidden * gates)

    return layout


@dataclass(frozen=True)
class _BlockQuantization:
    """Gemm and MultiHeadAttention, key 18 from 400 up: bits x 100 + 10 with input scales + code of the block size."""

    bits: int
    block_size: int
    input_scales: bool

    @classmethod
    def of(cls, term: int) -> _BlockQuantization | None:
        bits, format_code, size_code = term // 100, term % 100 // 10, term % 10
        if bits not in _BLOCK_BITS or format_code > 1 or size_code >= len(_DEFAULT_BLOCK_SIZES):
            return None
        return cls(bits, _DEFAULT_BLOCK_SIZES[size_code], format_code == 1)

    def weight(self, name: str, rows: int, columns: int) -> Slot:
        return Slot(name, Load.BYTES, (rows, (columns * self.bits + 7) // 8))

    def scales(self, name: str, rows: int, columns: int) -> Slot:
        return _floats(name, rows, -(-columns // self.block_size))


def _gemm(layer: Layer) -> Iterable[Slot]:
    rows, columns, depth = layer.integer(7, 0), layer.integer(8, 0), layer.integer(9, 0)
    term = layer.integer(18, 0)
    blocks = _BlockQuantization.of(term)
    constant_a, constant_b = layer.integer(4, 0) == 1, layer.integer(5, 0) == 1
    if constant_a:
        yield _tagged("a", depth, rows) if layer.integer(2, 0) else _tagged("a", rows, depth)
    if constant_b and not layer.integer(3, 0):
        yield _tagged("b", depth, columns)
    elif constant_b:
        yield blocks.weight("b", columns, depth) if blocks else _tagged("b", columns, depth)
    broadcast_shapes = {0: (1,), 1: (rows,), 2: (rows, 1), 3: (rows, columns), 4: (1, columns)}
    if layer.integer(6, 0) == 1 and layer.integer(10, 0) in broadcast_shapes:
        yield _tagged("c", *broadcast_shapes[layer.integer(10, 0)])
    if blocks:
        yield blocks.scales("b_scales", columns, depth)
        if blocks.input_scales:
            yield _floats("b_input_scales", depth)
    elif term:
        if constant_a:
            yield _floats("a_scales", rows)
        if constant_b:
            yield _floats("b_scales", 1)


def _multi_head_attention(layer: Layer) -> Iterable[Slot]:
    embed = layer.integer(0, 0)
    query = _quotient(layer.integer(2, 0), embed)
    term = layer.integer(18, 0)
    blocks = _BlockQuantization.of(term)
    sizes = {
        "q": (embed, query),
        "k": (embed, layer.integer(3, embed)),
        "v": (embed, layer.integer(4, embed)),
        "out": (query, embed),
    }
    for name, (rows, columns) in sizes.items():
        yield blocks.weight(f"{name}_weight", rows, columns) if blocks else _tagged(f"{name}_weight", rows, columns)
        yield _floats(f"{name}_bias", rows)
    if blocks:
        yield from (blocks.scales(f"{name}_scales", *size) for name, size in sizes.items())
        if blocks.input_scales:
            yield from (_floats(f"{name}_input_scales", columns) for name, (_, columns) in sizes.items())
    elif term:
        yield from (_floats(f"{name}_scales", embed) for name in ("q", "k", "v"))
        yield _floats("out_scales", 1)


def _memory_data(layer: Layer) -> Iterable[Slot]:
    width, height, depth, channels = (layer.integer(key, 0) for key in (0, 1, 11, 2))
    if depth:
        shape: tuple[int, ...] = (channels, depth, height, width)
    elif channels:
        shape = (channels, height, width)
    elif height:
        shape = (height, width)
    else:
        shape = (width,)
    if shape != (0,):
        yield Slot("data", Load.FLOATS if layer.integer(21, 1) == 1 else Load.TAGGED, shape)


def _affine(size_key: int, affine_key: int, names: tuple[str, ...]) -> Layout:
    """Normalisations with an optional scale (and shift) of one size."""

    def layout(layer: Layer) -> Iterable[Slot]:
        if layer.integer(affine_key, 1):
            yield from (_floats(name, layer.integer(size_key, 0)) for name in names)

    return layout


def _sized(*sizes: tuple[str, int, int], optional: frozenset[str] = frozenset()) -> Layout:
    """Plain arrays whose lengths stand under keys of their own: (name, key, the engine's default)."""

    def layout(layer: Layer) -> Iterable[Slot]:
        for name, key, default in sizes:
            size = layer.integer(key, default)
            if size or name not in optional:
                yield _floats(name, size)

    return layout


def _scale(layer: Layer) -> Iterable[Slot]:
    size = layer.integer(0, 0)
    if size == -233:  # the scale is the second input
        return
    yield _floats("scale", size)
    if layer.integer(1, 0):
        yield _floats("bias", size)


_BIAS = frozenset({"bias"})

LAYOUTS: Mapping[str, Layout] = {
    "BatchNorm": _sized(("slope", 0, 0), ("mean", 0, 0), ("variance", 0, 0), ("bias", 0, 0)),
    "Bias": _sized(("bias", 0, 0)),
    "Convolution": _convolution,
    "Convolution1D": _filters(_kernel_1d, dynamic_key=19),
    "Convolution3D": _filters(_kernel_3d),
    "ConvolutionDepthWise": _convolution_depthwise,
    "ConvolutionDepthWise1D": _filters(_kernel_1d, dynamic_key=19),
    "ConvolutionDepthWise3D": _filters(_kernel_3d),
    "Deconvolution": _filters(_kernel_2d, dynamic_key=28),
    "Deconvolution1D": _filters(_kernel_1d, dynamic_key=28),
    "Deconvolution3D": _filters(_kernel_3d),
    "DeconvolutionDepthWise": _filters(_kernel_2d, dynamic_key=28),
    "DeconvolutionDepthWise1D": _filters(_kernel_1d, dynamic_key=28),
    "DeconvolutionDepthWise3D": _filters(_kernel_3d),
    "DeformableConv2D": _filters(_kernel_2d),
    "Dequantize": _sized(("scale", 0, 1), ("bias", 1, 0), optional=_BIAS),
    "Embed": _embed,
    "GRU": _recurrent(gates=3, bias_rows=4),
    "Gemm": _gemm,
    "GroupNorm": _affine(1, 3, ("gamma", "beta")),
    "InnerProduct": _inner_product,
    "InstanceNorm": _affine(0, 2, ("gamma", "beta")),
    "LSTM": _recurrent(gates=4, bias_rows=4),
    "LayerNorm": _affine(0, 2, ("gamma", "beta")),
    "MemoryData": _memory_data,
    "MultiHeadAttention": _multi_head_attention,
    "Normalize": _sized(("scale", 3, 0)),
    "PReLU": _sized(("slope", 0, 0)),
    "Padding": _sized(("values", 6, 0), optional=frozenset({"values"})),
    "Quantize": _sized(("scale", 0, 1)),
    "RMSNorm": _affine(0, 2, ("gamma",)),
    "RNN": _recurrent(gates=1, bias_rows=1),
    "Requantize": _sized(("input_scale", 0, 1), ("output_scale", 1, 1), ("bias", 2, 0), optional=_BIAS),
    "Scale": _scale,
}
