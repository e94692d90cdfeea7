"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgedeploy.paths import CACHE_VARIABLE, CONFIG_VARIABLE, STATE_VARIABLE


@pytest.fixture
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Cache, state and configuration of this test alone, below the returned directory."""
    for variable in (CACHE_VARIABLE, STATE_VARIABLE, CONFIG_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    yield tmp_path
