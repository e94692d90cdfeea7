"""The board of these tests, on this machine's tools and on busybox alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from deploy_workbench import Workbench


@pytest.fixture(params=["system", "busybox"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    """A workbench on this machine's tools, and one where the board has nothing but busybox."""
    environment = {"HOME": str(tmp_path / "home of board"), "PATH": os.environ["PATH"]}
    (tmp_path / "home of board").mkdir()
    if request.param == "busybox":
        busybox = shutil.which("busybox")
        assert busybox, "this test needs busybox: apt-get install busybox"
        applets = tmp_path / "applets"
        applets.mkdir()
        for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            (applets / name).symlink_to(busybox)
        environment["PATH"] = str(applets)
    return Workbench(host=tmp_path / "host", home=tmp_path / "home of board", environment=environment)
