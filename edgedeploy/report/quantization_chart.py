"""The plot of error along the depth of a quantized network."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedeploy.quantfile import Fidelity, LayerEntry, QuantizationRecord
from edgedeploy.report.svg import ACCENT, BAD, INK, MUTED, new_figure, page_svg

MANY_LAYERS = 40
TOP_DB = 80.0
"""Beyond this an error is nothing: exact results are drawn here."""


def depth_chart(record: QuantizationRecord, description: str) -> str:
    """Draw each layer's own and accumulated signal to error in the network's order, and mark the float layers.

    Args:
        description: What a screen reader says.

    Returns:
        An ``<svg>`` element; empty where no layer was measured.
    """
    layers = record.layers
    if not any(layer.own or layer.accumulated for layer in layers):
        return ""
    with new_figure(9.4, 3.6) as figure:
        axes: Any = figure.add_subplot()
        places = np.arange(1, len(layers) + 1)
        size = 5.0 if len(layers) <= MANY_LAYERS else 3.0
        for errors, label, color, marker in (
            ([layer.own for layer in layers], "by itself", ACCENT, "o"),
            ([layer.accumulated for layer in layers], "accumulated", INK, "s"),
        ):
            values = [_value(error) for error in errors]
            axes.plot(places, values, marker=marker, markersize=size, linewidth=1.2, color=color, label=label, zorder=3)
        _mark_float(axes, places, layers)
        axes.set_ylabel("signal to error, dB")
        axes.set_xlabel("layer with weights, in the network's order")
        axes.set_xlim(0.4, len(layers) + 0.6)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, fontsize=10)
        return page_svg(figure, description)


def _value(error: Fidelity | None) -> float:
    """Return dB; not a number where there is nothing to draw."""
    if error is None:
        return float("nan")
    return TOP_DB if error.sqnr_db is None else min(error.sqnr_db, TOP_DB)


def _mark_float(axes: Any, places: Any, layers: tuple[LayerEntry, ...]) -> None:
    kept = [place for place, layer in zip(places, layers, strict=True) if not layer.int8]
    for index, place in enumerate(kept):
        label = "left in float" if index == 0 else None
        axes.axvline(place, color=BAD if len(kept) < len(layers) else MUTED, linewidth=1.5, linestyle=":", label=label)
