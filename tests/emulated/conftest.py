"""One twin for the tests that work as a user does; bundles and a connection for those that bring their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_shell import BOARD, Shell
from deploy_workbench import Workbench

from edgedeploy.artifacts import TwinEndpoint
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.transport.ssh import SshTransport, connect


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


@pytest.fixture
def board(running: TwinEndpoint) -> Iterator[SshTransport]:
    """A connection to the twin with nothing of the app on it. Its host key is known, so nobody has to be asked."""
    with connect(running.ssh, deadline_s=60) as transport:
        transport.run('rm -rf "$HOME/.edgedeploy"')
        yield transport


@pytest.fixture
def files(tmp_path: Path) -> Workbench:
    """For its bundles only: the board is the twin."""
    return Workbench(host=tmp_path, home=tmp_path, environment={})
