"""Scales out of a calibration table in place of those that calibration would choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import CalibrationTableError
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes.linear import output_channels, weight_of
from edgedeploy.quantize.candidates import Candidates
from edgedeploy.quantize.chains import Chains
from edgedeploy.quantize.choices import Encoding
from edgedeploy.quantize.table import SCALED_WEIGHTS, CalibrationTable, require_fit

NOT_NAMED = "the calibration table has no scales for it"
LARGEST_CODES = (8, 1024)
"""What the largest weights of a layer's channels come to, in the median: 127 or 31 where a table belongs to the
network, more where its maker cuts weights off."""


def require_belonging(table: CalibrationTable, graph: Graph, candidates: Candidates) -> None:
    """Check that a table was made from this network.

    Args:
        graph: In float.

    Raises:
        CalibrationTableError: Lists layers that the network lacks, wrong numbers of scales, and layers whose weights
            are of quite another size.
    """
    require_fit(table, graph)
    faults = list(_foreign(table, [graph.layer(name) for name in candidates.static]))
    if faults:
        raise CalibrationTableError(
            "the calibration table was made from other weights than the model's:\n" + "\n".join(faults),
            hint="a table goes with the very network that it was made from: edgedeploy quantize --table writes both",
        )


def _foreign(table: CalibrationTable, layers: list[Layer]) -> Iterator[str]:
    least, most = LARGEST_CODES
    for layer in layers:
        scales = table.weight_scales.get((layer.name, 0))
        if scales is None:
            continue
        largest = np.abs(weight_of(layer)).reshape(output_channels(layer), -1).max(axis=1) * np.array(scales)
        alive = largest[largest > 0]
        if alive.size and not least <= np.median(alive) <= most:
            yield f"  layer {layer.name}: its largest weights would be {np.median(alive):.3g} in codes of up to 127"


def named_by(table: CalibrationTable, graph: Graph, candidates: Candidates) -> Candidates:
    """Return the candidates that a table has scales for, and those whose type the format does not know (Gemm)."""
    named = {name for name, _ in table.weight_scales}
    missing = [
        name
        for name in (*candidates.static, *candidates.dynamic)
        if name not in named and graph.layer(name).type in SCALED_WEIGHTS
    ]
    return replace(
        candidates,
        static=tuple(name for name in candidates.static if name not in missing),
        dynamic=tuple(name for name in candidates.dynamic if name not in missing),
        left={**candidates.left, **dict.fromkeys(missing, NOT_NAMED)},
    )


def table_encodings(table: CalibrationTable, chains: Chains) -> dict[str, Encoding]:
    """Return the encoding of every source blob, symmetric.

    Raises:
        CalibrationTableError: Layers that read the same numbers have different scales.
    """
    return {source: Encoding(scale=_shared(table, names)) for source, names in chains.readers.items()}


def _shared(table: CalibrationTable, names: tuple[str, ...]) -> float:
    scales = {name: table.input_scales[name] for name in names}
    if len(set(scales.values())) > 1:
        listed = ", ".join(f"{name} {scale:g}" for name, scale in scales.items())
        raise CalibrationTableError(
            f"layers that read the same numbers have different input scales in the calibration table: {listed}",
            hint="they share one blob, which has one scale: write the same number for all of them",
        )
    return next(iter(scales.values()))


def weight_scales_of(table: CalibrationTable | None, layer: Layer) -> Mapping[str, FloatArray]:
    """Return a layer's scales, float32, by their names in the network, such as ``weight_xc_scales``."""
    if table is None:
        return {}
    return {
        name: np.array(table.weight_scales[layer.name, index], dtype=np.float32)
        for index, name in enumerate(SCALED_WEIGHTS.get(layer.type, ()))
        if (layer.name, index) in table.weight_scales
    }
