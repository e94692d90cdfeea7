"""Fuses ``x * HardSigmoid(x)`` to HardSwish."""

from __future__ import annotations

from dataclasses import replace

from edgedeploy.graph.model import Graph, Layer, Param
from edgedeploy.graph.passes.affine import Operation, number
from edgedeploy.graph.passes.edits import Wiring, release, wiring_of
from edgedeploy.graph.passes.protocol import Pass, until_stable


def _step(graph: Graph) -> Graph | None:
    wiring = wiring_of(graph)
    for layer in graph.layers:
        found = _gate(layer, wiring)
        if found is not None:
            gate, data = found
            return _fused(graph, layer, gate, data)
    return None


def _gate(layer: Layer, wiring: Wiring) -> tuple[Layer, str] | None:
    """Return the HardSigmoid that a product multiplies with its own input, and that input."""
    if layer.type != "BinaryOp" or layer.integer(0, 0) != Operation.MUL or len(layer.inputs) != 2:
        return None
    for gated, data in (layer.inputs, layer.inputs[::-1]):
        gate = wiring.producers[gated]
        if gate.type != "HardSigmoid" or wiring.only_reader(gated) is None or number(gate, 0, 0.2) <= 0:
            continue
        split = wiring.producers[data]
        if split.type == "Split" and gate.inputs[0] in split.outputs and gate.inputs[0] != data:
            return gate, data
    return None


def _fused(graph: Graph, product: Layer, gate: Layer, data: str) -> Graph:
    swish = Layer(
        type="HardSwish",
        name=gate.name,
        inputs=(data,),
        outputs=product.outputs,
        params=(Param(key=0, value=number(gate, 0, 0.2)), Param(key=1, value=number(gate, 1, 0.5))),
    )
    kept = tuple(swish if item.name == product.name else item for item in graph.layers if item.name != gate.name)
    return release(replace(graph, layers=kept), gate.inputs[0])


FUSE_HARD_SWISH = Pass("fuse-hard-swish", until_stable(_step))
