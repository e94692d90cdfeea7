"""The on-board program, cross-built once a session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runner_program import Runner

from edgedeploy.build.runtime import build_runtime
from edgedeploy.progress import SILENT

TRIPLE = "aarch64-linux-gnu"
OWN_BUILD = "EDGEDEPLOY_TEST_RUNNER"


@pytest.fixture(scope="session")
def runner() -> Runner:
    """The runner under qemu-aarch64; ``EDGEDEPLOY_TEST_RUNNER`` names one built by hand instead."""
    own = os.environ.get(OWN_BUILD)
    return Runner(program=Path(own) if own else build_runtime(TRIPLE, progress=SILENT).runner)
