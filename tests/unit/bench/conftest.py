"""Fixtures of the benchmark's tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_board import MANIFEST, RUNNER, RUNS, SELFTEST, ToyBoard

from edgedeploy.artifacts import BoardFacts, CpuCore
from edgedeploy.runfile import BoardSummary, ClusterSummary, RunRecord, read_run


@pytest.fixture
def measurement() -> dict[str, Any]:
    """The runner's document of the synthetic hardware run."""
    document = json.loads((RUNS / "synthetic-hardware-rk3399.json").read_text())["measurement"]
    document["outputs"] = [{"name": "out0", "shape": [2, 3], "file": "@OUT@/out0.npy"}]
    return document  # type: ignore[no-any-return]


@pytest.fixture
def toy_board(tmp_path: Path, measurement: dict[str, Any]) -> ToyBoard:
    manifest = json.dumps(MANIFEST, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    digest = hashlib.sha256(manifest).hexdigest()
    directory = tmp_path / "home dir" / "toy app"
    board = ToyBoard(directory=directory, digest=digest)
    board.bin.mkdir(parents=True)
    (board.bin.parent / "manifest.json").write_bytes(manifest)
    (directory / "current").symlink_to(f"releases/{digest}")
    runner = board.bin / "edgedeploy-runner"
    runner.write_text(RUNNER)
    runner.chmod(0o755)
    np.save(board.bin / "out0.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    board.answer(measurement=measurement)
    board.answer_selftest(SELFTEST, 0)
    return board


@pytest.fixture
def summary() -> BoardSummary:
    return BoardSummary(
        name="rk3399", soc="Rockchip RK3399", clusters=(ClusterSummary(core="cortex-a72", count=2, max_mhz=1800),)
    )


@pytest.fixture
def facts() -> BoardFacts:
    cores = tuple(
        CpuCore(index=index, implementer="0x41", part="0xd08", features=("fp", "asimd", *extra))
        for index, extra in enumerate([("aes",), ()])
    )
    return BoardFacts(
        architecture="aarch64",
        kernel="Linux 6.1",
        os_name="Debian 12",
        libc=None,
        cores=cores,
        memory_total_bytes=2**30,
        memory_available_bytes=2**29,
    )


@pytest.fixture
def hardware_run() -> RunRecord:
    return read_run(RUNS / "synthetic-hardware-rk3399.json")
