"""The on-board program on damaged files: an answer, or one line of error and its exit code; never a crash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fuzz_mutations import damaged
from hypothesis import HealthCheck, given, settings
from runner_models import ConvolutionCase, NetWriter, add_convolution
from runner_program import Runner
from runner_release import float_input, list_files, write_manifest, write_release

pytestmark = pytest.mark.cross

BEYOND_LIMITS = 3
REFUSED = range(4, 9)
MEMORY_BYTES = 3 << 30
"""Address space, most of which is the emulator's."""
ARRAY = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


@pytest.mark.parametrize(
    "name", ["manifest.json", "model/model.param", "model/model.bin", "golden/in0.npy", "golden/out0.npy"]
)
def test_damaged_files(name: str, runner: Runner, tmp_path: Path) -> None:
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    case = ConvolutionCase(channels_in=3, channels_out=8)
    add_convolution(net, case, np.random.default_rng(1), name="conv", bottom="in0", top="out0")
    release = tmp_path / "release"
    golden = np.zeros((8, 2, 2), np.float32)
    write_release(release, net, inputs={"in0": float_input(ARRAY)}, outputs={"out0": golden}, limits=(-1, 1e6))
    document = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    path = release / name

    @settings(derandomize=True, database=None, deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
    @given(damaged((path.read_bytes(),)))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        if name != "manifest.json":
            list_files(release, document)
            write_manifest(release, document)
        answer = runner("selftest", "--release", release, memory_limit_bytes=MEMORY_BYTES)
        if answer.exit_status in {0, BEYOND_LIMITS}:
            assert answer.document["passed"] == (answer.exit_status == 0)
        else:
            assert answer.exit_status in REFUSED, answer.stderr[-500:]
            assert answer.error

    holds()
