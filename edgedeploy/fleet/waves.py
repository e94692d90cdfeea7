"""How a fleet is cut into waves."""

from __future__ import annotations

from collections.abc import Sequence

from edgedeploy.fleetfile import REST


def wave_counts(sizes: Sequence[int | str], boards: int) -> tuple[int, ...]:
    """Return how many boards each wave has.

    A share is one of the whole fleet, rounded up. The last size is repeated until no board is left.

    Example:
        >>> wave_counts([1, "25%", "rest"], 16)
        (1, 4, 11)
        >>> wave_counts([1, 4], 10)
        (1, 4, 4, 1)
    """
    counts: list[int] = []
    left = boards
    while left:
        size = sizes[min(len(counts), len(sizes) - 1)]
        count = min(left, _count(size, boards, left))
        counts.append(count)
        left -= count
    return tuple(counts)


def _count(size: int | str, boards: int, left: int) -> int:
    if isinstance(size, int):
        return size
    return left if size == REST else -(-boards * int(size.removesuffix("%")) // 100)
