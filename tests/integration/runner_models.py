"""Small ncnn models, written by hand: .param text and .bin bytes.

Source: the engine's documentation of the .param and .bin files (tags and order of weights).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import ncnn
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

MAGIC = 7767517
TAG_FLOAT32 = 0
TAG_INT8 = 0x000D4B38
REQUANTIZE = 100


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
class PointwiseCase:
    """One int8 1x1 convolution. ``activation``: ncnn's number and its parameters."""

    channels_in: int
    channels_out: int
    height: int = 3
    width: int = 5
    requantizes: bool = True
    activation: tuple[int, tuple[float, ...]] = (0, ())
    has_bias: bool = True


def add_pointwise(
    net: NetWriter, case: PointwiseCase, rng: np.random.Generator, *, name: str, bottom: str, top: str
) -> None:
    """Append the convolution with random weights; scales spread its outputs over the int8 range."""
    count = case.channels_in * case.channels_out
    kind, values = case.activation
    term = 2 + (REQUANTIZE if case.requantizes else 0)
    parameters = f"0={case.channels_out} 1=1 5={int(case.has_bias)} 6={count} 8={term} 9={kind}"
    if values:
        parameters += f" -23310={len(values)}," + ",".join(f"{value:e}" for value in values)
    net.layer("Convolution", name, [bottom], [top], parameters)
    net.tagged_int8(rng.integers(-127, 128, count).astype(np.int8))
    if case.has_bias:
        net.raw_floats(rng.normal(0, 0.5, case.channels_out).astype(np.float32))
    net.raw_floats(rng.uniform(60, 140, case.channels_out).astype(np.float32))
    net.raw_floats(np.array([rng.uniform(40, 50)], np.float32))
    if case.requantizes:
        net.raw_floats(np.array([70 / np.sqrt(case.channels_in)], np.float32))


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
