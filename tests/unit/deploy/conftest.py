"""The board of these tests, on this machine's tools and on busybox alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy_workbench import Workbench, make_workbench


@pytest.fixture(params=["system", "busybox"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    """A workbench on this machine's tools, and one where the board has nothing but busybox."""
    return make_workbench(request.param, tmp_path)
