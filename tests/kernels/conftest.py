"""The built test programs, once a session."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from kernel_program import CROSS, build_program


@pytest.fixture(scope="session")
def host_program() -> Path:
    """``kernel_tests`` for this machine."""
    return build_program("host", ())


@pytest.fixture(scope="session")
def aarch64_program(host_program: Path) -> Path:
    """``kernel_tests`` for aarch64, static."""
    return host_program if platform.machine() == "aarch64" else build_program("aarch64", CROSS)
