"""Runs a network piece by piece on a few items, so that each layer can be decided on what reaches it.

What reaches a layer in int8 is not what reaches it in float: the layers before it have been quantized. Each piece is
run once in the engine for each item, with the blobs that earlier pieces left; blobs are dropped once nobody reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.graph.model import Graph, Layer

ONE_THREAD = EngineOptions(threads=1)
"""Items run side by side instead: the engine lets other threads work meanwhile, and its own share out less well."""

Blobs = dict[str, FloatArray]
"""Blob -> float32, without batch."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Neighbouring layers that run together.

    Args:
        layers: In execution order; one of its own for each layer that is to be decided.
        inputs: Blobs that earlier pieces made.
        outputs: Blobs that later pieces read.
    """

    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def pieces_of(graph: Graph, alone: Collection[str]) -> tuple[Piece, ...]:
    """Cut a network so that each layer named in ``alone`` is a piece by itself."""
    groups: list[list[Layer]] = []
    open_group = False
    for layer in graph.layers:
        if layer.type == "Input":
            continue
        if layer.name in alone:
            groups.append([layer])
            open_group = False
        elif open_group:
            groups[-1].append(layer)
        else:
            groups.append([layer])
            open_group = True
    return tuple(_piece(groups, index) for index in range(len(groups)))


def _piece(groups: Sequence[Sequence[Layer]], index: int) -> Piece:
    layers = groups[index]
    made = [blob for layer in layers for blob in layer.outputs]
    inner = set(made)
    read = dict.fromkeys(blob for layer in layers for blob in layer.inputs if blob not in inner)
    later = {blob for group in groups[index + 1 :] for layer in group for blob in layer.inputs}
    return Piece(layers=tuple(layers), inputs=tuple(read), outputs=tuple(blob for blob in made if blob in later))


def run_piece(piece: Piece, states: Sequence[Blobs]) -> None:
    """Run one piece on every item's blobs; its outputs are added to them."""
    if not piece.outputs:
        return
    inputs = tuple(Layer(type="Input", name=f"piece_input_{blob}", outputs=(blob,)) for blob in piece.inputs)
    engine = Engine.from_graph(Graph(layers=(*inputs, *piece.layers)), options=ONE_THREAD)

    def run(state: Blobs) -> None:
        state.update(engine.run(piece.outputs, {blob: state[blob][None] for blob in piece.inputs}))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(run, states))


Decide = Callable[[Layer], tuple[Layer, Sequence[Blobs]]]
"""From a layer: the float layer to go on with, and for each item the blobs that it is to read."""


def walk(graph: Graph, alone: Collection[str], states: Sequence[Blobs], decide: Decide) -> Iterator[str]:
    """Run a network on all items, asking for a decision at each layer in ``alone``; yields their names as they come.

    Args:
        graph: In float.
        alone: The layers to decide.
        states: Of each item its input blobs; emptied on the way.
        decide: Asked once for each of them.
    """
    pieces = pieces_of(graph, alone)
    last_use = {blob: index for index, piece in enumerate(pieces) for blob in piece.inputs}
    for index, piece in enumerate(pieces):
        (first, *_) = piece.layers
        if first.name in alone:
            layer, own = decide(first)
            run_piece(replace(piece, layers=(layer,)), own)
            for state, blobs in zip(states, own, strict=True):
                state.update({blob: blobs[blob] for blob in piece.outputs})
            yield first.name
        else:
            run_piece(piece, states)
        for state in states:
            for blob in [name for name in state if last_use.get(name, -1) <= index]:
                del state[blob]
