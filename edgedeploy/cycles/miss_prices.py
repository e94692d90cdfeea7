"""What the lines that simulated caches lack cost a core on top of the in-core estimate.

Source:
    Fitted by benchmarks/miss_prices.py on times that the engine's authors publish for their benchmark networks (stock
    ncnn, one thread): half of the networks are fitted on, the other half says how good it is. docs/cycles.md has both
    tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgedeploy.cyclesfile import MemoryFigures, MissPrices

MISS_PRICES: Mapping[str, MissPrices] = MappingProxyType(
    {
        "cortex-a72": MissPrices(
            l2_hit=4.6,
            l2_miss=18.0,
            int8_extra=0.25,
            fitted_on="published times of a Rockchip RK3399 at 1.8 GHz, January 2022",
            networks=12,
            error=0.110,
        ),
        "cortex-a76": MissPrices(
            l2_hit=0.8,
            l2_miss=3.6,
            int8_extra=0.0,
            fitted_on="published times of a Raspberry Pi 5 at 2.4 GHz, December 2023",
            networks=12,
            error=0.092,
        ),
    }
)
"""By Arm's name of the core; none for cores that are not priced or that no published times are at hand for."""


def with_misses(in_core: float, memory: MemoryFigures, prices: MissPrices, *, int8: bool) -> float:
    """Return an estimate that counts misses.

    Args:
        in_core: Cycles with perfect caches.
        memory: What the caches lacked.
        int8: Whether it is an int8 layer's.
    """
    extra = prices.int8_extra * in_core if int8 else 0.0
    hits = memory.l1_misses - memory.l2_misses
    return in_core + extra + hits * prices.l2_hit + memory.l2_misses * prices.l2_miss
