"""Board cores: what each runs as in the emulator, and by which model its cycles are priced.

In-order cores have no price: llvm's models of the Cortex-A53 and A55 rank hand-tuned kernels that were measured on
boards in the wrong order. For them the pipes give what a core cannot be faster than.

Source:
    Cortex-A76 as Neoverse N1: the Neoverse N1 is the A76's design with other caches (Arm, Neoverse N1 platform
    announcement, 2019; the two software optimization guides list the same pipes, latencies and throughputs).
    Cortex-A53 pipes: Arm Cortex-A53 technical reference manual, about the instruction pipeline (in order, two a
    cycle), and llvm's AArch64SchedA53.td (one load/store and one branch pipe, two of 64 bits for NEON and FP).
    Cortex-A55 pipes: Arm Cortex-A55 software optimization guide, section 2.1 (two a cycle; one load, one store and one
    branch pipe; two of 64 bits for NEON and FP, a 128-bit operation takes both).
    Caches: technical reference manuals; where a size is the maker's choice, the one of the boards shipped with
    edgedeploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgedeploy.cycles.miss_prices import MISS_PRICES
from edgedeploy.cyclesfile import MissPrices
from edgedeploy.errors import UsageError, close_matches


@dataclass(frozen=True, kw_only=True)
class Pipes:
    """What an in-order core starts a cycle at most. ``one_memory_pipe``: loads and stores share it."""

    issue: int
    one_memory_pipe: bool


@dataclass(frozen=True, kw_only=True)
class Core:
    """A core that cycles can be asked for.

    Args:
        emulated_as: QEMU's ``-cpu``.
        priced_as: llvm's ``-mcpu``; None: no price.
        pipes: Of a core without a price.
        l1d: Data cache, as KiB and ways: ``32x2``; what is simulated where no board says it.
        note: What stands beside every result.
    """

    name: str
    emulated_as: str
    priced_as: str | None
    pipes: Pipes | None
    l1d: str
    l2: str
    note: str = ""

    @property
    def miss_prices(self) -> MissPrices | None:
        """What its misses cost; None where that is not known."""
        return MISS_PRICES.get(self.name) if self.priced_as is not None else None


_NO_CYCLES = (
    "in order: llvm's models rank known kernels wrongly, so there are no cycles, only what the pipes need at least"
)

CORES: Mapping[str, Core] = MappingProxyType(
    {
        core.name: core
        for core in (
            Core(
                name="cortex-a53",
                emulated_as="cortex-a53",
                priced_as=None,
                pipes=Pipes(issue=2, one_memory_pipe=True),
                l1d="32x4",
                l2="512x16",
                note=f"the Cortex-A53 is {_NO_CYCLES}",
            ),
            Core(
                name="cortex-a55",
                emulated_as="cortex-a76",
                priced_as=None,
                pipes=Pipes(issue=2, one_memory_pipe=False),
                l1d="32x4",
                l2="512x16",
                note=f"the Cortex-A55 is {_NO_CYCLES}; the emulator has no A55, so it ran as a Cortex-A76, "
                "which has the same instructions",
            ),
            Core(
                name="cortex-a57",
                emulated_as="cortex-a57",
                priced_as="cortex-a57",
                pipes=None,
                l1d="32x2",
                l2="2048x16",
            ),
            Core(
                name="cortex-a72",
                emulated_as="cortex-a72",
                priced_as="cortex-a72",
                pipes=None,
                l1d="32x2",
                l2="1024x16",
                note="llvm's model of the Cortex-A72 is that of the A57 and sees no cache: stock ncnn on an "
                "RK3399 takes 1.3 to 1.8 times the estimate",
            ),
            Core(
                name="cortex-a76",
                emulated_as="cortex-a76",
                priced_as="neoverse-n1",
                pipes=None,
                l1d="64x4",
                l2="512x8",
                note="the Cortex-A76 is priced as a Neoverse N1, which is the same design",
            ),
        )
    }
)


def find_core(name: str) -> Core:
    """Return a core by Arm's name in lower case.

    Raises:
        UsageError: There is no way to count for it; the hint has the close matches.
    """
    core = CORES.get(name)
    if core is None:
        raise UsageError(f"cycles cannot be counted for the core {name!r}", hint=close_matches(name, CORES))
    return core
