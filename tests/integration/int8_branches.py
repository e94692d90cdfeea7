"""Releases of int8 layers side by side, and what the emulator makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from code_nets import Scales, code_net, emulate
from numpy.typing import NDArray
from runner_program import Runner
from runner_release import float_input, write_release

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph, write_graph

WAYS = [
    (core, options) for core in ("cortex-a72", "cortex-a76") for options in ((), ("--disable-layers",))
]  # without and with dot product, with this project's layers and the engine's alone
HEIGHT, WIDTH = 12, 13


@dataclass(frozen=True, kw_only=True)
class _Files:
    """A graph that a release can be made of."""

    graph: Graph

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        write_graph(self.graph, directory / "model.param", directory / "model.bin")


@dataclass(frozen=True, kw_only=True)
class Branches:
    """One release with a branch a case, so that one start of the program runs them all."""

    release: Path
    inputs: tuple[str, ...]
    expected: dict[str, NDArray[Any]]

    def run(self, runner: Runner, made: Path, core: str, *options: str) -> dict[str, FloatArray]:
        """Return every output as a core under QEMU computes it with one thread."""
        given = [part for name in self.inputs for part in ("--input", f"{name}={self.release}/golden/{name}.npy")]
        runner.document(
            "infer", "--release", self.release, *given, "--output-dir", made, "--threads", "1", *options, core=core
        )  # fmt: skip
        return {name: np.load(made / f"{name}.npy") for name in self.expected}


def release_of(
    directory: Path, graph: Graph, tensors: dict[str, FloatArray], expected: dict[str, NDArray[Any]] | None = None
) -> Branches:
    """Write a network as a release in float32 precision.

    Args:
        tensors: Without batch; the golden inputs.
        expected: The golden outputs; None: what the emulator makes.
    """
    if expected is None:
        blobs = emulate(graph, tensors)
        expected = {name: blobs[name] for name in graph.outputs}
    write_release(
        directory,
        _Files(graph=graph),
        inputs={name: float_input(tensor[np.newaxis]) for name, tensor in tensors.items()},
        outputs={name: values.astype(np.float32) for name, values in expected.items()},
    )
    return Branches(release=directory, inputs=tuple(tensors), expected=expected)


def branches(
    directory: Path, lines: dict[str, int], *, scales: Scales, tensors: dict[int, FloatArray], quantizes: bool = False
) -> Branches:
    """Write a release of layers that read inputs of different channels.

    Args:
        lines: Layer with ``{i}`` for its number, reading ``b{i}`` and making ``out{i}`` -> channels of its input.
        tensors: Channels -> input.
        quantizes: Whether the layers read int8 codes, as another int8 layer hands them on.
    """
    readers: dict[int, list[int]] = {}
    for index, channels in enumerate(lines.values()):
        readers.setdefault(channels, []).append(index)
    parts = []
    for channels, numbers in readers.items():
        source = f"x{channels}"
        parts.append(f"Input {source} 0 1 {source}")
        if quantizes:
            parts.append(f"Quantize codes{channels} 1 1 {source} c{channels} 0=1")
            source = f"c{channels}"
        parts.append(f"Split s{channels} 1 {len(numbers)} {source} {' '.join(f'b{number}' for number in numbers)}")
    parts += [line.format(i=index) for index, line in enumerate(lines)]
    graph = code_net(*parts, scales=scales)
    return release_of(directory, graph, {f"x{channels}": tensors[channels] for channels in readers})


SHAPES = (
    "1=1", "1=3 4=1", "1=3 4=1 18=127", "1=3 3=2 4=1", "1=3 2=2 4=2", "1=5 3=2 4=2 18=31", "1=5 4=2",
    "1=7 3=3 4=0 15=3 14=2 16=0", "1=3 11=1 4=1 14=0", "1=1 11=5 4=0 14=2", "1=3 4=0 15=2 14=1 16=3 18=127",
    "1=3 4=-233 14=-233 15=-233 16=-233 3=2 18=127", "1=4 4=-234 14=-234 15=-234 16=-234",
)  # fmt: skip
PAIRS = ((3, 8), (8, 16), (12, 20), (16, 8), (24, 24), (64, 13), (5, 7), (32, 64))
GROUPS = ((2, 16, 16), (4, 16, 16), (3, 24, 12), (2, 32, 32))


def geometry_lines(term: int, *, bias: int, activations: tuple[str, ...] = ("",)) -> dict[str, int]:
    """Convolutions of many shapes, plain, depthwise and in groups: the layer -> channels of its input.

    Args:
        term: 0 for layers that hand on floats, 100 for those that hand on codes.
        activations: Given to the layers in turn.
    """
    lines: dict[str, int] = {}
    for index, shape in enumerate(SHAPES):
        for turn in range(3):
            inputs, outputs = PAIRS[(index + turn * 3) % len(PAIRS)]
            size = _kernel(shape)
            end = f"{shape} 5={bias} {activations[(index + turn) % len(activations)]}"
            plain = f"0={outputs} 6={inputs * outputs * size} 8={2 + term} {end}"
            deep = f"0={inputs} 6={inputs * size} 7={inputs} 8={1 + term} {end}"
            lines[f"Convolution c{{i}} 1 1 b{{i}} out{{i}} {plain}"] = inputs
            lines[f"ConvolutionDepthWise c{{i}} 1 1 b{{i}} out{{i}} {deep}"] = inputs
    for groups, inputs, outputs in GROUPS:
        count = inputs // groups * outputs * 9
        keys = f"0={outputs} 1=3 4=1 5={bias} 6={count} 7={groups} 8={1 + term} {activations[0]}"
        lines[f"ConvolutionDepthWise c{{i}} 1 1 b{{i}} out{{i}} {keys}"] = inputs
    return lines


def _kernel(shape: str) -> int:
    keys = dict(part.split("=") for part in shape.split())
    return int(keys["1"]) * int(keys.get("11", keys["1"]))
