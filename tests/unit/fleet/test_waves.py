"""How a fleet is cut into waves."""

from __future__ import annotations

import pytest

from edgedeploy.cli.members import parse_waves
from edgedeploy.errors import UsageError
from edgedeploy.fleet.waves import wave_counts


@pytest.mark.parametrize(
    ("sizes", "boards", "counts"),
    [
        ((1, "rest"), 16, (1, 15)),
        ((1, "rest"), 1, (1,)),
        ((1, 4), 10, (1, 4, 4, 1)),
        (("25%",), 16, (4, 4, 4, 4)),
        (("10%", "rest"), 5, (1, 4)),
        ((1, "50%", "rest"), 3, (1, 2)),
        (("100%",), 7, (7,)),
        ((64,), 3, (3,)),
    ],
)
def test_wave_counts(sizes: tuple[int | str, ...], boards: int, counts: tuple[int, ...]) -> None:
    assert wave_counts(sizes, boards) == counts
    assert sum(counts) == boards


def test_waves_of_the_command_line() -> None:
    assert parse_waves("1,25%,rest") == (1, "25%", "rest")
    for text in ("", "0", "1,,2", "rest,1", "101%", "-1", "1.5", "all"):
        with pytest.raises(UsageError, match="--waves"):
            parse_waves(text)
