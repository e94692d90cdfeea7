"""The latency plot, as SVG that takes its colours from the page and so follows light and dark mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgedeploy.latency_stats import LatencySummary
from edgedeploy.report.svg import ACCENT, BAND, INK, new_figure, page_svg

_MIN_SAMPLES_FOR_DISTRIBUTION = 6
_MAX_BINS = 40


def latency_chart(samples_us: Sequence[float], summary: LatencySummary, *, emulated: bool, description: str) -> str:
    """Draw every sample in order with median and interval, and beside it histogram and cumulative share.

    Args:
        samples_us: Inference times in run order.
        emulated: Label the axis as emulator time relative to its median, without milliseconds.
        description: What a screen reader says.

    Returns:
        An ``<svg>`` element without script, style sheet or outside reference.
    """
    unit_us = summary.median_us / 100 if emulated else 1000.0
    values = np.asarray(samples_us, dtype=np.float64) / (unit_us or 1.0)
    label = "emulator time, % of median" if emulated else "milliseconds"
    with new_figure(9.4, 3.0) as figure:
        if values.size < _MIN_SAMPLES_FOR_DISTRIBUTION:
            _draw_samples(figure.add_subplot(), values, summary, unit_us, label)
        else:
            left, right = figure.subplots(1, 2, width_ratios=(3, 2))
            _draw_samples(left, values, summary, unit_us, label)
            _draw_distribution(right, values, label)
        return page_svg(figure, description)


def _draw_samples(axes: Any, values: Any, summary: LatencySummary, unit_us: float, label: str) -> None:
    axes.set_title("Each run, in order", loc="left", fontsize=10, color=INK)
    if summary.median_ci is not None:
        axes.axhspan(summary.median_ci.low / unit_us, summary.median_ci.high / unit_us, color=BAND, linewidth=0)
    axes.axhline(summary.median_us / unit_us, color=INK, linewidth=1)
    size = float(np.clip(1600 / values.size, 4, 40))
    axes.scatter(np.arange(1, values.size + 1), values, s=size, color=ACCENT, zorder=3, linewidths=0)
    low, high = float(values.min()), float(values.max())
    # Without a floor, a spread of microseconds would fill the plot and look like noise.
    reach = max(high - low, 0.02 * high, 1e-6) * 0.6
    middle = (low + high) / 2
    axes.set_ylim(middle - reach, middle + reach)
    axes.set_xlim(0.4, values.size + 0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("run")
    axes.set_ylabel(label)


def _draw_distribution(axes: Any, values: Any, label: str) -> None:
    axes.set_title("Distribution and cumulative share", loc="left", fontsize=10, color=INK)
    bins = int(np.clip(np.sqrt(values.size) * 2, 6, _MAX_BINS))
    axes.hist(values, bins=bins, color=BAND, linewidth=0)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("runs")
    axes.set_xlabel(label)
    share = axes.twinx()
    share.grid(visible=False)
    ordered = np.sort(values)
    share.step(ordered, np.arange(1, ordered.size + 1) / ordered.size * 100, where="post", color=ACCENT, linewidth=1.6)
    share.set_ylim(0, 104)
    share.set_ylabel("% of runs at or below")
