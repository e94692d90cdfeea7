"""The power of a twin cut in the middle of flashes: the board has the old or the new release, whole, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.emulate.image import ensure_image
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.progress import SILENT
from power_cut import tally
from power_cuts.harness import TWINS, cut_flashes

pytestmark = [pytest.mark.emulated]

FEW_POINTS = 20
MANY_POINTS = 200
FIRST_POINTS = 10
OPERATIONS = {"survey", "stream", "self-test", "activate"}


def check(points: int, directory: Path, monkeypatch: pytest.MonkeyPatch, *, twins: int, first: bool = False) -> None:
    ensure_image(progress=SILENT)
    monkeypatch.setenv(STATE_VARIABLE, str(directory / "state"))
    outcomes = cut_flashes(points, directory, print, twins=twins, first=first)
    assert [str(item) for item in outcomes if item.problems] == []
    counts = tally(outcomes)
    assert counts["whole"] == counts["points"] == counts["old"] + counts["new"] == points
    assert counts["old"] > 0
    assert {item.cut.name for item in outcomes} == OPERATIONS
    assert any(item.unfinished for item in outcomes), "no cut met a flash that the board knew of"


@pytest.mark.timeout(1800)
def test_power_cut_at_some_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The other core is for the tests beside this one; a second twin would first need a board and releases of its own.
    check(FEW_POINTS, tmp_path, monkeypatch, twins=1)


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3600)
def test_power_cut_at_many_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(MANY_POINTS, tmp_path, monkeypatch, twins=TWINS)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_power_cut_of_a_first_flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(FIRST_POINTS, tmp_path, monkeypatch, twins=1, first=True)
