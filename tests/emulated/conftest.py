"""One twin for the tests that work as a user does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from board_shell import BOARD, Shell

from edgedeploy.paths import STATE_VARIABLE


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose board is up, with nothing on it; the engine, models and image may come from the cache."""
    state = tmp_path_factory.mktemp("state")
    environment = {**os.environ, STATE_VARIABLE: str(state), "COLUMNS": "80"}
    here = Shell(directory=tmp_path_factory.mktemp("project"), environment=environment)
    assert here.json("emulator", "up", BOARD)["core"] == "cortex-a72"
    yield here
    here.run("emulator", "down", BOARD)
    assert here.json("emulator", "list") == []
