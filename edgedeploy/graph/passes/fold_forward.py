"""Folds ``scale * x + shift`` into the layers that read it: convolutions, inner products, HardSigmoid.

A convolution that pads with zeros around ``scale * x + shift`` has to pad ``x`` with ``-shift / scale`` instead, and
the engine has one pad value for all channels: so there only a single number folds. In int8 the engine pads the
quantized blob with that value as it stands, so whoever writes int8 layers has to bring it to the input's scale.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.affine import Affine, affine_of, number
from edgedeploy.graph.passes.edits import Wiring, bypass, wiring_of
from edgedeploy.graph.passes.linear import (
    CONVOLUTIONS,
    CONVOLUTIONS_2D,
    DECONVOLUTIONS,
    PAD_VALUE_KEY,
    Values,
    input_channels,
    is_linear,
    pad_value_of,
    pads_with_anything,
    scale_inputs,
    shift_inputs,
)
from edgedeploy.graph.passes.protocol import Pass, until_stable
from edgedeploy.graph.passes.ranks import ranks_of


def _step(graph: Graph) -> Graph | None:
    wiring, ranks = wiring_of(graph), ranks_of(graph)
    for layer in graph.layers:
        affine = affine_of(layer, wiring)
        if affine is None:
            continue
        readers = _all_readers(layer.outputs[0], wiring)
        folded = [_folded(affine, reader, ranks) for reader in readers]
        changed = graph
        for item in folded:
            changed = changed.with_layer(item) if item is not None else changed
        shorter = bypass(changed, layer, affine.data) if folded and None not in folded else None
        if shorter is not None:
            return shorter
    return None


def _all_readers(blob: str, wiring: Wiring) -> list[Layer]:
    """Return the layers that read a blob, directly or through Splits; none where it is an output of the network."""
    reader = wiring.only_reader(blob)
    if reader is None:
        return []
    if reader.type != "Split":
        # One that reads it twice would have to be changed twice over.
        return [reader] if reader.inputs.count(blob) == 1 else []
    found = [_all_readers(output, wiring) for output in reader.outputs]
    readers = [item for items in found for item in items]
    whole = all(found) and len({item.name for item in readers}) == len(readers)
    return readers if whole else []


def _folded(affine: Affine, reader: Layer, ranks: Mapping[str, int]) -> Layer | None:
    """Return the reader computing from ``x``, or None."""
    if reader.type == "HardSigmoid":
        return _hard_sigmoid(affine, reader)
    constants = _by_input(affine, reader, ranks.get(affine.data)) if is_linear(reader) else None
    if constants is None:
        return None
    factors, offsets = constants
    changed = scale_inputs(shift_inputs(reader, offsets), factors)
    if reader.type in CONVOLUTIONS and pads_with_anything(reader):
        return _with_padding(affine, changed)
    # The border of a deconvolution has fewer taps, so a shift would show there.
    return None if reader.type in DECONVOLUTIONS and np.any(offsets) else changed


def _with_padding(affine: Affine, reader: Layer) -> Layer | None:
    padded_with = pad_value_of(reader)
    if padded_with == 0 and not np.any(affine.shift):
        return reader
    if not affine.is_scalar or affine.scale[0] == 0:
        return None
    return reader.with_param(PAD_VALUE_KEY, float((padded_with - affine.shift[0]) / affine.scale[0]))


def _by_input(affine: Affine, reader: Layer, rank: int | None) -> tuple[Values, Values] | None:
    """The constants for each input channel of the reader (of an inner product: each element), or a single one."""
    inputs, channels = input_channels(reader), affine.scale.size
    if reader.type in CONVOLUTIONS_2D | DECONVOLUTIONS:
        rank = rank or 3
    if reader.type == "InnerProduct" and rank == 3 and inputs % channels == 0:
        # It reads channel after channel.
        elements = inputs // channels
        flat = np.repeat(affine.scale, elements), np.repeat(affine.shift, elements)
        return flat if affine.fits(rank, channels) else None
    return (affine.scale, affine.shift) if affine.fits(rank, inputs) else None


def _hard_sigmoid(affine: Affine, reader: Layer) -> Layer | None:
    """``clip(alpha * x + beta, 0, 1)`` takes one positive factor and a shift into alpha and beta."""
    if affine.constant_shape is not None or not affine.is_scalar or affine.scale[0] <= 0:
        return None
    alpha, beta = number(reader, 0, 0.2), number(reader, 1, 0.5)
    changed = reader.with_param(0, float(alpha * affine.scale[0]))
    return changed.with_param(1, float(alpha * affine.shift[0] + beta))


FOLD_FORWARD = Pass("fold-forward", until_stable(_step))
