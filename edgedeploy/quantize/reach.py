"""How large the channels in front of a ReLU6 might become on data that calibration has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.linear import CONVOLUTIONS_2D, Values, bias_of, output_channels, weight_of
from edgedeploy.progress import Task
from edgedeploy.quantize.decide import float_windows
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.ranges import multiply
from edgedeploy.quantize.streams import find_streams
from edgedeploy.quantize.windows import Windows

DEVIATIONS = 8.0
"""A channel's reach: its mean and so many standard deviations. EfficientNet-Lite0's float outputs on photographs that
calibration has not seen stay the same to 50 dB with it."""


def channel_reaches(graph: Graph, items: Sequence[Item], seed: int, task: Task) -> dict[str, Values]:
    """Return the reach of the 2-D convolutions that make streams behind ReLU6: layer -> float64 ``(channels,)``.

    Args:
        graph: In float.
        items: Of the calibration data.
        seed: Of the places that are looked at.
    """
    streams = [stream for stream in find_streams(graph) if math.isfinite(stream.bound) and not stream.obstacle]
    makers = [name for stream in streams for name in stream.makers]
    names = [name for name in makers if graph.layer(name).type in CONVOLUTIONS_2D]
    if not names:
        return {}
    windows = float_windows(graph, names, items, seed, task)
    return {name: _reach(graph, name, windows[name].values) for name in names}


def _reach(graph: Graph, name: str, windows: Windows) -> Values:
    layer = graph.layer(name)
    numbers = multiply(windows, weight_of(layer).reshape(output_channels(layer), -1))
    mean = numbers.mean(axis=0, dtype=np.float64) + bias_of(layer)
    return np.asarray(mean + DEVIATIONS * numbers.std(axis=0, dtype=np.float64))
