"""The benchmark of fleets, with boards that only answer."""

from __future__ import annotations

import argparse
from pathlib import Path

from fleet import replayed
from fleet_boards import make_release

PAYLOAD_BYTES = 100_000


def test_boards_that_replay_a_flash_are_flashed_and_counted(tmp_path: Path) -> None:
    bundle = make_release(tmp_path / "release", PAYLOAD_BYTES)
    arguments = argparse.Namespace(latency_ms=1.0, link_mb=1000.0, boards=3, parallel=2)
    found = replayed(tmp_path, bundle, arguments)
    assert (found["boards"], found["parallel"]) == (3, 2)
    assert found["bytes"] > 3 * PAYLOAD_BYTES
    assert found["round_trips"] % 3 == 0
    assert {"inspect", "push", "self-test", "activate"} <= set(found["steps_s"])
