"""What the benchmark of flashes makes of its measurements."""

from __future__ import annotations

import pytest

from flash_speed import beyond, medians
from flash_speeds.contenders import Measured


def measured(seconds: float, count: int) -> Measured:
    return Measured(
        seconds=seconds,
        bytes=count,
        processor_seconds=1.0,
        probed_seconds=seconds + 1,
        whole_seconds=seconds + 2,
        whole_bytes=count + 10,
    )


def document(seconds: float, count: int) -> dict[str, dict[str, object]]:
    ours = [measured(9.0, 9), measured(seconds, count), measured(0.0, 0)]
    others = [measured(2.0, 100)] * 3
    return medians({"one layer": {"edgedeploy": ours, "rsync": others, "scp": others}})


def test_medians_and_their_ratios() -> None:
    found = document(1.5, 7)["one layer"]
    assert found["edgedeploy"] == {
        "seconds": 1.5,
        "bytes": 7,
        "processor_seconds": 1.0,
        "probed_seconds": 2.5,
        "whole_seconds": 3.5,
        "whole_bytes": 17,
        "round_trips": None,
    }
    ratios = found["ratios"]
    assert isinstance(ratios, dict)
    assert (ratios["seconds / rsync"], ratios["bytes / scp"]) == (0.75, 0.07)
    assert (ratios["probed_seconds / rsync"], ratios["whole_bytes / rsync"]) == (0.833, 0.155)


@pytest.mark.parametrize(("seconds", "faults"), [(2.0, []), (2.1, ["one layer: 1.05 of seconds / rsync"]), (1.0, [])])
def test_more_than_rsync_is_told(seconds: float, faults: list[str]) -> None:
    assert beyond(document(seconds, 7)) == faults
