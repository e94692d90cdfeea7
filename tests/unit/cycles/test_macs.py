"""Multiply-accumulates of layers, against loops written out."""

from __future__ import annotations

import math

import pytest

from edgedeploy.cycles.macs import macs_of
from edgedeploy.graph import parse_param

Shape = tuple[int, ...]


def macs(line: str, inputs: list[Shape], outputs: list[Shape]) -> int:
    """Return the count of one .param line's layer, whose blobs are named in the line."""
    kind, name, *rest = line.split()
    graph = parse_param(f"7767517\n2 9\nInput in 0 3 a b c\n{kind} {name} {' '.join(rest)}\n")
    return macs_of(graph.layers[1], inputs, outputs)


@pytest.mark.parametrize(
    ("line", "inputs", "outputs", "expected"),
    [
        # 32 outputs of 10x10, each from 16 inputs, and a 3x3 window.
        ("Convolution x 1 1 a y 0=32 1=1 6=512", [(16, 10, 10)], [(32, 10, 10)], 32 * 16 * 100),
        ("Convolution x 1 1 a y 0=8 1=3 3=2 6=216", [(3, 11, 7)], [(8, 5, 3)], 8 * 3 * 9 * 15),
        # A window of its own for each channel; two groups of four inputs.
        ("ConvolutionDepthWise x 1 1 a y 0=16 1=3 6=144 7=16", [(16, 9, 9)], [(16, 9, 9)], 16 * 9 * 81),
        ("ConvolutionDepthWise x 1 1 a y 0=8 1=3 6=288 7=2", [(8, 9, 9)], [(8, 9, 9)], 8 * 4 * 9 * 81),
        ("Convolution1D x 1 1 a y 0=6 1=5 6=120", [(4, 20)], [(6, 16)], 6 * 4 * 5 * 16),
        ("Convolution3D x 1 1 a y 0=2 1=3 6=54", [(1, 4, 5, 6)], [(2, 2, 3, 4)], 2 * 27 * 24),
        # Weights as a second input: 8 outputs of 3 inputs, 3x3.
        ("Convolution x 2 1 a b y 0=8 1=3 19=1", [(3, 6, 6), (8, 3, 3, 3)], [(8, 4, 4)], 8 * 27 * 16),
        # Each of the 5x4 inputs goes into every weight once.
        ("Deconvolution x 1 1 a y 0=6 1=2 3=2 6=72", [(3, 5, 4)], [(6, 10, 8)], 72 * 20),
        ("DeconvolutionDepthWise x 1 1 a y 0=3 1=4 6=48 7=3", [(3, 5, 4)], [(3, 10, 8)], 48 * 20),
        ("InnerProduct x 1 1 a y 0=10 2=640", [(64,)], [(10,)], 640),
        ("InnerProduct x 1 1 a y 0=10 2=640", [(7, 64)], [(7, 10)], 7 * 640),
        ("MatMul x 2 1 a b y", [(2, 5, 8), (2, 8, 3)], [(2, 5, 3)], 2 * 5 * 8 * 3),
        ("Gemm x 2 1 a b y", [(5, 8), (8, 3)], [(5, 3)], 5 * 8 * 3),
        ("Gemm x 2 1 a b y 2=1", [(8, 5), (8, 3)], [(5, 3)], 5 * 8 * 3),
        ("Gemm x 1 1 a y 3=1 5=1 6=1 8=3 9=8", [(5, 8)], [(5, 3)], 5 * 8 * 3),
        ("Gemm x 1 1 a y 4=1 7=5 9=8", [(8, 3)], [(5, 3)], 5 * 8 * 3),
        ("Gemm x 1 1 a y 4=1 3=1 7=5 9=8", [(3, 8)], [(5, 3)], 5 * 8 * 3),
        ("SDPA x 3 1 a b c y", [(4, 6, 16), (4, 9, 16), (4, 9, 20)], [(4, 6, 20)], 4 * 6 * 9 * (16 + 20)),
        # Self-attention of 6 tokens of 32: four projections, scores and sums.
        ("MultiHeadAttention x 1 1 a y 0=32 1=4 2=1024", [(6, 32)], [(6, 32)], 4 * 6 * 32 * 32 + 2 * 36 * 32),
        ("LSTM x 1 1 a y 0=5 1=160 2=0", [(7, 8)], [(7, 5)], 7 * 4 * (8 * 5 + 5 * 5)),
        ("GRU x 1 1 a y 0=5 1=240 2=2", [(7, 8)], [(7, 10)], 7 * 2 * 3 * (8 * 5 + 5 * 5)),
        ("Pooling x 1 1 a y 1=3", [(8, 9, 9)], [(8, 7, 7)], 0),
        ("ReLU x 1 1 a y", [(8, 9, 9)], [(8, 9, 9)], 0),
    ],
)
def test_layer(line: str, inputs: list[Shape], outputs: list[Shape], expected: int) -> None:
    assert macs(line, inputs, outputs) == expected


def test_a_layer_that_did_not_run_has_none() -> None:
    assert macs("Convolution x 1 1 a y 0=32 1=1 6=512", [], []) == 0


def test_a_convolution_counts_as_many_as_a_loop_over_its_outputs() -> None:
    kernel, channels, filters, height, width = (3, 2), 5, 7, 6, 9
    weights = math.prod(kernel) * channels * filters
    loops = sum(math.prod(kernel) * channels for _ in range(filters) for _ in range(height) for _ in range(width))
    line = f"Convolution x 1 1 a y 0={filters} 1={kernel[1]} 11={kernel[0]} 6={weights}"
    assert macs(line, [(channels, height + 2, width + 1)], [(filters, height, width)]) == loops
