"""int8 layers that hand on states, or a cache of keys and values, on ARM cores under QEMU: as on the host.

The emulator leaves them out; ``tests/unit/quantize/test_dynamic.py`` ties the host's engine to it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from code_nets import Scales, code_net
from int8_branches import WAYS, release_of
from random_nets import ONE_THREAD
from runner_program import Runner

from edgedeploy.artifacts import FloatArray
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine

pytestmark = pytest.mark.cross

SHAPES = {
    "steps": (7, 20),
    "rnn_state": (1, 12),
    "gru_state": (2, 12),
    "lstm_state": (2, 8),
    "lstm_cell": (2, 12),
    "words": (9, 24),
    "keys": (4, 6, 4),
    "values": (4, 6, 4),
}


def stateful_net() -> tuple[Graph, dict[str, FloatArray]]:
    random = np.random.default_rng(4)
    tensors = {name: random.normal(0, 0.7, shape).astype(np.float32) for name, shape in SHAPES.items()}
    graph = code_net(
        *(f"Input {name} 0 1 {name}" for name in tensors),
        "Split split 1 3 steps s0 s1 s2",
        "RNN rnn 2 2 s0 rnn_state rnn rnn_end 0=12 1=240 2=1 8=2",
        "GRU gru 2 2 s1 gru_state gru gru_end 0=12 1=1440 2=2 8=2",
        "LSTM lstm 3 3 s2 lstm_state lstm_cell lstm lstm_end cell_end 0=8 1=1920 2=2 3=12 8=2",
        "MultiHeadAttention mha 3 3 words keys values mha kept_keys kept_values 0=16 1=4 2=384 3=24 4=24 7=1 18=2",
        scales=Scales(weights=(300.0, 500.0)),
    )
    return graph, tensors


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join((way[0], *way[1])).strip("-"))
def test_states_and_caches_are_the_hosts(runner: Runner, tmp_path: Path, way: tuple[str, tuple[str, ...]]) -> None:
    graph, tensors = stateful_net()
    given = {name: tensor[np.newaxis] for name, tensor in tensors.items()}
    host = Engine.from_graph(graph, options=ONE_THREAD).run(graph.outputs, given)
    made = release_of(tmp_path / "release", graph, tensors, host)
    core, options = way
    found = made.run(runner, tmp_path / "made", core, *options)
    assert len(found) == 10
    for name, expected in host.items():
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-6 * np.abs(expected).max(), err_msg=name)
