"""Synthetic runs to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.runfile import RunRecord, read_run

RUNS = Path(__file__).parents[2] / "captures" / "runs"


@pytest.fixture
def hardware() -> RunRecord:
    return read_run(RUNS / "synthetic-hardware-rk3399.json")


@pytest.fixture
def faster() -> RunRecord:
    return read_run(RUNS / "synthetic-hardware-rk3399-faster.json")


@pytest.fixture
def emulated() -> RunRecord:
    return read_run(RUNS / "synthetic-emulated-rk3399.json")


@pytest.fixture
def instructions() -> RunRecord:
    return read_run(RUNS / "synthetic-emulated-instructions-rk3399.json")
