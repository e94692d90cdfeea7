"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from edgedeploy.paths import CACHE_VARIABLE, CONFIG_VARIABLE, STATE_VARIABLE

# Its own deadline of 200 ms an example would fail tests on a busy machine.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


@pytest.fixture
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Cache, state and configuration of this test alone, below the returned directory."""
    for variable in (CACHE_VARIABLE, STATE_VARIABLE, CONFIG_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    yield tmp_path
