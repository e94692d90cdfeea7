"""Where a definition and a live board differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from edgedeploy.artifacts import BoardFacts
from edgedeploy.boards.cores import CORE_PARTS, KERNEL_SERVICES, core_name
from edgedeploy.boards.model import Board

MIB = 1024 * 1024

# Firmware, GPU and kernel keep a part of the RAM to themselves; the rest shows as MemTotal.
SMALLEST_SHARE_OF_RAM = 0.80

# Frequency tables are in steps of the crystal: 1479 MHz is 1478400 kHz on some kernels.
FREQUENCY_TOLERANCE = 0.01


class Severity(str, Enum):
    """How much a difference matters.

    ERROR: what is built for the definition may not run. WARNING: it runs, with other results than the definition lets
    expect. NOTE: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One point. ``defined`` and ``found`` are texts for people.

    Example:
        ``Difference(what="cores cortex-a72", defined="2", found="1", severity=Severity.WARNING)``
    """

    what: str
    defined: str
    found: str
    severity: Severity

    def to_json(self) -> dict[str, str]:
        return {"what": self.what, "defined": self.defined, "found": self.found, "severity": self.severity.value}


def differences(
    board: Board, facts: BoardFacts, *, twin: bool = False, twin_vcpus: int | None = None
) -> tuple[Difference, ...]:
    """Return where the live board differs from its definition, errors first.

    Args:
        board: The definition.
        facts: What ``probe`` returned.
        twin: Compare with the definition's twin (its core type, vCPUs and RAM, no clocks, no sensors) and not with
            the board.
        twin_vcpus: With how many vCPUs the twin was started, where that differs from the definition (the clock that
            counts instructions has one).
    """
    found = (
        _twin_differences(board, facts, twin_vcpus or board.twin.vcpus) if twin else _board_differences(board, facts)
    )
    order = list(Severity)
    return tuple(sorted(found, key=lambda item: order.index(item.severity)))


def _board_differences(board: Board, facts: BoardFacts) -> Iterator[Difference]:
    yield from _architecture(board.architecture, facts)
    yield from _cores(board.cores_by_part, facts)
    for cluster in board.clusters:
        indices = set(cluster.cpus)
        yield from _features(
            f"features of {cluster.core}, cpu {min(indices)} to {max(indices)}", cluster.isa, facts, indices
        )
        yield from _frequencies(cluster.max_mhz, facts, indices)
    yield from _memory(board.memory.sizes_mib, facts)
    yield from _thermal_zones(board, facts)


def _twin_differences(board: Board, facts: BoardFacts, vcpus: int) -> Iterator[Difference]:
    twin = board.twin
    yield from _architecture(board.architecture, facts)
    if twin.core in CORE_PARTS:
        yield from _cores(Counter({CORE_PARTS[twin.core]: vcpus}), facts)
    elif len(facts.cores) != vcpus:
        yield _difference("cores", vcpus, len(facts.cores), Severity.WARNING)
    if twin.features is not None:
        yield from _features(f"features of {twin.core}", twin.features, facts, {core.index for core in facts.cores})
    yield from _memory((twin.memory_mib,), facts)


def _architecture(defined: str, facts: BoardFacts) -> Iterator[Difference]:
    if facts.architecture != defined:
        yield _difference("architecture", defined, facts.architecture, Severity.ERROR)


def _cores(defined: Counter[str], facts: BoardFacts) -> Iterator[Difference]:
    """A core type that is absent or foreign means another board; a number that differs, cores switched off."""
    found = Counter(core.part for core in facts.cores)
    for part in sorted(defined | found):
        if defined[part] != found[part]:
            severity = Severity.WARNING if defined[part] and found[part] else Severity.ERROR
            yield _difference(f"cores {core_name(part)}", defined[part], found[part], severity)


def _features(what: str, defined: frozenset[str], facts: BoardFacts, indices: set[int]) -> Iterator[Difference]:
    live = [frozenset(core.features) for core in facts.cores if core.index in indices]
    if not live:
        return
    found = frozenset.intersection(*live) - KERNEL_SERVICES
    if defined - found:
        lacking = " ".join(sorted(defined - found))
        yield _difference(what, " ".join(sorted(defined)), f"without {lacking}", Severity.ERROR)
    if found - defined:
        more = " ".join(sorted(found - defined))
        yield _difference(what, " ".join(sorted(defined)), f"also {more}", Severity.NOTE)


def _frequencies(defined_mhz: int, facts: BoardFacts, indices: set[int]) -> Iterator[Difference]:
    found_khz = {facts.max_frequencies_khz[f"cpu{i}"] for i in indices if f"cpu{i}" in facts.max_frequencies_khz}
    what = f"highest clock of cpu {min(indices)} to {max(indices)}"
    if not found_khz:
        yield _difference(what, f"{defined_mhz} MHz", "not shown (no cpufreq)", Severity.NOTE)
    for khz in sorted(found_khz):
        if abs(khz - defined_mhz * 1000) > FREQUENCY_TOLERANCE * defined_mhz * 1000:
            yield _difference(what, f"{defined_mhz} MHz", f"{khz / 1000:g} MHz", Severity.WARNING)


def _memory(sizes_mib: tuple[int, ...], facts: BoardFacts) -> Iterator[Difference]:
    total_mib = facts.memory_total_bytes / MIB
    if not any(SMALLEST_SHARE_OF_RAM * size <= total_mib <= size for size in sizes_mib):
        defined = " or ".join(str(size) for size in sizes_mib)
        yield _difference("memory", f"{defined} MiB", f"{total_mib:.0f} MiB", Severity.WARNING)


def _thermal_zones(board: Board, facts: BoardFacts) -> Iterator[Difference]:
    kinds = {zone.kind for zone in facts.thermal_zones}
    for zone in board.linux.thermal_zones:
        if not zone.names & kinds:
            found = " ".join(sorted(kinds)) or "none"
            yield _difference("thermal zone", " or ".join(sorted(zone.names)), found, Severity.NOTE)


def _difference(what: str, defined: object, found: object, severity: Severity) -> Difference:
    return Difference(what=what, defined=str(defined), found=str(found), severity=severity)
