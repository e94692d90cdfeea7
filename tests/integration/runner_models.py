"""Small ncnn models, written by hand: .param text and .bin bytes.

Source: the engine's documentation of the .param and .bin files (tags and order of weights).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import ncnn
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

MAGIC = 7767517
TAG_FLOAT32 = 0
TAG_FLOAT16 = 0x01306B47
TAG_INT8 = 0x000D4B38
REQUANTIZE = 100
NO_WINOGRAD = 64
SIGMOID = 4
SAME_UPPER = (-233,) * 4
SAME_LOWER = (-234,) * 4


@dataclass(kw_only=True)
class NetWriter:
    """Collects layers in order; ``save`` writes the two files."""

    lines: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)

    def layer(self, kind: str, name: str, inputs: list[str], outputs: list[str], parameters: str = "") -> None:
        self.blobs += outputs
        places = f"{len(inputs)} {len(outputs)} {' '.join(inputs + outputs)}"
        self.lines.append(f"{kind} {name} {places} {parameters}".rstrip())

    def tagged_floats(self, values: FloatArray) -> None:
        self.weights += struct.pack("<I", TAG_FLOAT32) + np.asarray(values, "<f4").tobytes()

    def tagged_halves(self, values: FloatArray) -> None:
        data = np.asarray(values, "<f2").tobytes()
        self.weights += struct.pack("<I", TAG_FLOAT16) + data + bytes(-len(data) % 4)

    def raw_floats(self, values: FloatArray) -> None:
        self.weights += np.asarray(values, "<f4").tobytes()

    def tagged_int8(self, values: NDArray[np.int8]) -> None:
        data = values.tobytes()
        self.weights += struct.pack("<I", TAG_INT8) + data + bytes(-len(data) % 4)

    @property
    def param(self) -> str:
        return "\n".join([str(MAGIC), f"{len(self.lines)} {len(self.blobs)}", *self.lines, ""])

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "model.param").write_text(self.param, encoding="ascii")
        (directory / "model.bin").write_bytes(bytes(self.weights))


def classifier(rng: np.random.Generator) -> NetWriter:
    """in0 (3, 16, 16) -> conv 3x3 stride 2 + ReLU -> average pooling -> inner product -> out0 (5)."""
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    net.layer("Convolution", "conv", ["in0"], ["mid"], "0=8 1=3 3=2 4=1 5=1 6=216 9=1")
    net.tagged_floats(rng.normal(0, 0.3, 216).astype(np.float32))
    net.raw_floats(rng.normal(0, 0.1, 8).astype(np.float32))
    net.layer("Pooling", "pool", ["mid"], ["pooled"], "0=1 4=1")
    net.layer("InnerProduct", "fc", ["pooled"], ["out0"], "0=5 1=1 2=40")
    net.tagged_floats(rng.normal(0, 0.5, 40).astype(np.float32))
    net.raw_floats(rng.normal(0, 0.1, 5).astype(np.float32))
    return net


def identity(inputs: dict[str, str]) -> NetWriter:
    """Every input handed on unchanged as the output of the given name."""
    net = NetWriter()
    for source, sink in inputs.items():
        net.layer("Input", source, [], [source])
        net.layer("Noop", f"noop_{source}", [source], [sink])
    return net


@dataclass(frozen=True, kw_only=True)
class ConvolutionCase:
    """One int8 layer and its input. Pairs are (width, height).

    ``padding`` is left, top, right, bottom, or one of ``SAME_UPPER`` and ``SAME_LOWER``. ``activation`` is ncnn's
    number and its parameters. An ``InnerProduct`` takes channels x height x width, or where ``rows`` says so, that many
    rows of ``channels_in``.
    """

    kind: Literal["Convolution", "ConvolutionDepthWise", "InnerProduct"] = "Convolution"
    channels_in: int
    channels_out: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_code: int = 0
    groups: int = 1
    height: int = 3
    width: int = 5
    rows: int = 0
    requantizes: bool = True
    activation: tuple[int, tuple[float, ...]] = (0, ())
    has_bias: bool = True
    winograd: bool = True

    @property
    def extent(self) -> tuple[int, int]:
        """Pixels that a window reaches over."""
        across, down = (step * (size - 1) + 1 for step, size in zip(self.dilation, self.kernel, strict=True))
        return across, down

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Pixels of padding: left, top, right, bottom."""
        if self.padding not in (SAME_UPPER, SAME_LOWER):
            return self.padding
        before, after = [], []
        for size, extent, stride in zip((self.width, self.height), self.extent, self.stride, strict=True):
            total = max(0, extent + (size - 1) // stride * stride - size)
            small, large = total // 2, total - total // 2
            before.append(small if self.padding == SAME_UPPER else large)
            after.append(large if self.padding == SAME_UPPER else small)
        return before[0], before[1], after[0], after[1]

    @property
    def input_shape(self) -> tuple[int, ...]:
        if self.rows:
            return self.rows, self.channels_in
        return self.channels_in, self.height, self.width

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Width or height below 1 where the window does not fit."""
        if self.kind == "InnerProduct":
            return (self.rows, self.channels_out) if self.rows else (self.channels_out,)
        left, top, right, bottom = self.margins
        width = (self.width + left + right - self.extent[0]) // self.stride[0] + 1
        height = (self.height + top + bottom - self.extent[1]) // self.stride[1] + 1
        return self.channels_out, height, width

    @property
    def products(self) -> int:
        """Products of one output value."""
        if self.kind == "InnerProduct":
            return self.channels_in if self.rows else self.channels_in * self.height * self.width
        return self.channels_in // self.groups * self.kernel[0] * self.kernel[1]

    @property
    def parameters(self) -> str:
        """What follows the blobs in the layer's line."""
        count = self.channels_out * self.products
        kind, values = self.activation
        activation = f"9={kind}"
        if values:
            activation += f" -23310={len(values)}," + ",".join(f"{value:e}" for value in values)
        if self.kind == "InnerProduct":
            return f"0={self.channels_out} 1={int(self.has_bias)} 2={count} 8=2 {activation}"
        is_depthwise = self.kind == "ConvolutionDepthWise"
        term = (1 if is_depthwise else 2) + (REQUANTIZE if self.requantizes else 0)
        left, top, right, bottom = self.padding
        parts = [
            f"0={self.channels_out} 1={self.kernel[0]} 11={self.kernel[1]} 2={self.dilation[0]} 12={self.dilation[1]}",
            f"3={self.stride[0]} 13={self.stride[1]} 4={left} 14={top} 15={right} 16={bottom}",
            f"5={int(self.has_bias)} 6={count} 8={term} {activation}",
        ]
        parts += [f"7={self.groups}"] * is_depthwise
        parts += [f"18={float(self.pad_code):e}"] * (self.pad_code != 0)
        parts += [f"31={NO_WINOGRAD}"] * (not self.winograd)
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Int8Arrays:
    """An int8 layer's weights [channel out][channel in][row][column] and scales: codes a unit."""

    weights: NDArray[np.int8]
    bias: FloatArray
    weight_scales: FloatArray
    input_scale: np.float32
    output_scale: np.float32


def random_arrays(case: ConvolutionCase, rng: np.random.Generator) -> Int8Arrays:
    """Random weights, and scales that spread the outputs over the int8 range and a little beyond."""
    shape = (case.channels_out, case.products)
    channels = case.channels_out
    # Values of an input of unit variance: about 2.5 times a normal one, whatever the window.
    spread = np.sqrt(case.products)
    scales = channels if case.kind != "ConvolutionDepthWise" else case.groups
    return Int8Arrays(
        weights=rng.integers(-127, 128, shape).astype(np.int8),
        bias=rng.normal(0, 1, channels).astype(np.float32) * np.float32(case.has_bias),
        weight_scales=(rng.uniform(20, 45, scales) * spread).astype(np.float32),
        input_scale=np.float32(rng.uniform(40, 50)),
        output_scale=np.float32(120 if case.activation[0] == SIGMOID else rng.uniform(18, 26)),
    )


def add_convolution(
    net: NetWriter,
    case: ConvolutionCase,
    rng: np.random.Generator,
    *,
    name: str,
    bottom: str,
    top: str,
    arrays: Int8Arrays | None = None,
) -> Int8Arrays:
    """Append the layer with these arrays, or random ones; return them."""
    arrays = arrays or random_arrays(case, rng)
    net.layer(case.kind, name, [bottom], [top], case.parameters)
    net.tagged_int8(arrays.weights)
    if case.has_bias:
        net.raw_floats(arrays.bias)
    net.raw_floats(arrays.weight_scales)
    net.raw_floats(np.array([arrays.input_scale], np.float32))
    if case.requantizes and case.kind != "InnerProduct":
        net.raw_floats(np.array([arrays.output_scale], np.float32))
    return arrays


def host_outputs(directory: Path, inputs: dict[str, FloatArray], outputs: list[str]) -> dict[str, FloatArray]:
    """What the engine's Python binding computes in float32 on this machine."""
    with ncnn.Net() as net:
        net.opt.use_fp16_packed = False
        net.opt.use_fp16_storage = False
        net.opt.use_fp16_arithmetic = False
        net.opt.num_threads = 1
        assert net.load_param(str(directory / "model.param")) == 0
        assert net.load_model(str(directory / "model.bin")) == 0
        # A Mat borrows the array it is made of: the arrays stay alive in this list.
        arrays = {name: np.ascontiguousarray(array[0]) for name, array in inputs.items()}
        with net.create_extractor() as extractor:
            extractor.set_light_mode(False)
            for name, array in arrays.items():
                extractor.input(name, ncnn.Mat(array).clone())
            results = {}
            for name in outputs:
                code, mat = extractor.extract(name)
                assert code == 0
                results[name] = np.array(mat)
            return results
