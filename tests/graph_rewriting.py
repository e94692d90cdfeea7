"""Networks for the tests of passes, and the judge: the engine on the network before and after."""

from __future__ import annotations

from random_nets import outputs_of

from edgedeploy.graph import Graph, check_graph, format_param, parse_param
from edgedeploy.graph.passes import (
    Pass,
    largest_difference,
)

TOLERANCE = 1e-4
IMAGE = (3, 8, 10)

INPUT = "Input in 0 1 x"
CONV = "Convolution conv 1 1 x a 0=6 1=3 4=1 5=1 6=162"
HOSTS = {
    "conv": CONV,
    "conv without bias": "Convolution conv 1 1 x a 0=6 1=3 6=162",
    "conv stride and dilation": "Convolution conv 1 1 x a 0=6 1=3 2=2 3=2 4=2 5=1 6=162",
    "depthwise": "ConvolutionDepthWise conv 1 1 x a 0=3 1=3 4=1 5=1 6=27 7=3",
    "depthwise doubling": "ConvolutionDepthWise conv 1 1 x a 0=6 1=3 4=1 5=1 6=54 7=3",
    "deconv": "Deconvolution conv 1 1 x a 0=6 1=4 3=2 4=1 5=1 6=288",
    "deconv with output padding": "Deconvolution conv 1 1 x a 0=6 1=3 3=2 4=1 18=1 6=162",
    "deconv depthwise": "DeconvolutionDepthWise conv 1 1 x a 0=3 1=4 3=2 5=1 6=48 7=3",
    "inner product": "InnerProduct conv 1 1 p a 0=6 1=1 2=18",
}
POOL = "Pooling pool 1 1 x p 0=1 4=1"


def host(key: str) -> tuple[list[str], int]:
    """The lines of a network that ends with the blob ``a``, and its channels."""
    line = HOSTS[key]
    lines = [INPUT, POOL, line] if key == "inner product" else [INPUT, line]
    return lines, int(line.split("0=")[1].split()[0])


def rewritten(graph: Graph, *passes: Pass, shape: tuple[int, ...] = IMAGE) -> Graph:
    """Apply passes; what comes out is valid, can be written and read, and computes the same."""
    changed = graph
    for item in passes:
        changed = item.apply(changed)
    check_graph(changed)
    assert parse_param(format_param(changed)).blobs == changed.blobs
    assert set(changed.outputs) == set(graph.outputs)
    assert changed.inputs == graph.inputs
    assert largest_difference(outputs_of(changed, shape), outputs_of(graph, shape)) < TOLERANCE
    return changed


def unchanged(graph: Graph, item: Pass) -> bool:
    return item.apply(graph) is graph
