"""Corrects biases anew where some layers stay in float: what reaches a layer then has another mean error.

A bias makes up for the mean error of its own layer and of all layers before it. With one of those back in float, what
was meant to make up for its error is an error itself, often the larger one. The weights stay as they were rounded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from edgedeploy.graph.model import Layer
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import Values, bias_of
from edgedeploy.quantize.assemble import Prepared, encodings_of
from edgedeploy.quantize.blas_threads import one_blas_thread
from edgedeploy.quantize.chains import find_chains, source_blob
from edgedeploy.quantize.decide import Decision, MeanOutputs, rows_per_item, with_decision
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.prefix import Blobs, walk
from edgedeploy.quantize.ranges import fake_quantize
from edgedeploy.quantize.windows import windows_of


def corrected_biases(prepared: Prepared, items: Sequence[Item], keep_float: Collection[str]) -> dict[str, Values]:
    """Return the biases that go with a choice of layers in float: layer -> float64 ``(out,)``.

    Args:
        items: Those that the layers were decided on: see ``pipeline.decision_items``.
        keep_float: Candidates that stay in float.
    """
    graph, wiring = prepared.graph, wiring_of(prepared.graph)
    names = [name for name in prepared.decisions if name not in keep_float]
    if any(prepared.decisions[name].means is None for name in names):
        return {}
    encodings = encodings_of(find_chains(graph, names), prepared.encodings)
    states: list[Blobs] = [{name: tensor[0] for name, tensor in item.tensors.items()} for item in items]
    biases: dict[str, Values] = {}

    def decide(layer: Layer) -> tuple[Layer, Sequence[Blobs]]:
        blob, decision = layer.inputs[0], prepared.decisions[layer.name]
        encoding = encodings[source_blob(blob, wiring)]
        read = [{blob: fake_quantize(state[blob], encoding)} for state in states]
        if wiring.only_reader(blob) is not None:
            for state, blobs in zip(states, read, strict=True):
                state[blob] = blobs[blob]
        biases[layer.name] = _corrected(layer, decision, read, prepared.settings.seed)
        return with_decision(layer, decision.with_bias(biases[layer.name])), read

    with one_blas_thread():
        for _ in walk(graph, set(names), states, decide):
            pass
    return biases


def rebiased(prepared: Prepared, items: Sequence[Item]) -> Prepared:
    """Return the same with the biases that go with its candidates, where others than the decided ones are in float."""
    biases = corrected_biases(prepared, items, ())
    decisions = {
        name: decision.with_bias(biases[name]) if name in biases else decision
        for name, decision in prepared.decisions.items()
    }
    return replace(prepared, decisions=decisions)


def own_biases(prepared: Prepared) -> dict[str, Values]:
    """Return each layer's bias where all others are in float."""
    return {name: decision.means.bias for name, decision in prepared.decisions.items() if decision.means is not None}


def _corrected(layer: Layer, decision: Decision, read: Sequence[Blobs], seed: int) -> Values:
    """Return the bias with which the layer's mean over its windows is the float network's."""
    means, blob = decision.means, layer.inputs[0]
    assert isinstance(means, MeanOutputs)
    limit = rows_per_item(layer, len(read))
    found = np.concatenate(
        [windows_of(layer, blobs[blob], limit=limit, seed=(seed, index)) for index, blobs in enumerate(read)]
    )
    groups, inputs = found.shape[1:]
    mean = (means.rows @ found.reshape(len(found), -1).astype(np.float64)).reshape(groups, 1, inputs)
    codes, scales = decision.weights.codes, decision.weights.scales.astype(np.float64)
    weight = (codes.reshape(len(codes), -1) / scales[:, np.newaxis]).reshape(groups, -1, inputs)
    outputs = (weight * mean).sum(axis=2).reshape(-1)
    return np.asarray(bias_of(layer) + means.wanted - outputs)
