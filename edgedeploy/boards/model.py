"""The schema of ``boards/*.toml``: a board is data. ``boards/schema.json`` is generated from these models.

Figures that nobody publishes stay out of a file: what may be unknown is optional here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgedeploy.boards.cores import CORE_PARTS, KERNEL_SERVICES, QEMU_FEATURES, Feature, QemuCore

BoardName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
HexId = Annotated[str, Field(pattern=r"^0x[0-9a-f]{2,3}$")]
CoreType = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Count = Annotated[int, Field(ge=1, le=256)]
CpuIndex = Annotated[int, Field(ge=0, le=1023)]
SysfsPath = Annotated[str, Field(pattern=r"^/sys/[A-Za-z0-9_./:-]+$")]
GlibcVersion = Annotated[str, Field(pattern=r"^2\.[0-9]{1,2}$")]
ZoneKind = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
CacheLevel = Literal["l1i", "l1d", "l2", "l3"]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, numbers are never read out of strings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cache(Section):
    """One cache: KiB of one instance, associativity, and who shares the instance."""

    size_kib: Annotated[int, Field(ge=1, le=1 << 20, strict=True)]
    ways: Annotated[int, Field(ge=1, le=64, strict=True)] | None = None
    scope: Literal["core", "cluster", "soc"]


class Cluster(Section):
    """Cores of one type that share a clock.

    Args:
        core: Arm's name in lower case, such as ``cortex-a72``.
        part: MIDR part number as in /proc/cpuinfo.
        cpus: The kernel's indices of these cores.
        max_mhz: Highest clock that the vendor's software sets.
        features: Instruction-set features, named as in /proc/cpuinfo.
    """

    core: CoreType
    implementer: HexId = "0x41"
    part: HexId
    count: Annotated[Count, Field(strict=True)]
    cpus: Annotated[tuple[CpuIndex, ...], Field(min_length=1)]
    max_mhz: Annotated[int, Field(ge=100, le=6000, strict=True)]
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    l1i: Cache | None = None
    l1d: Cache | None = None
    l2: Cache | None = None
    l3: Cache | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Cluster:
        if self.count != len(self.cpus):
            raise ValueError(f"count is {self.count} but cpus lists {len(self.cpus)} indices")
        if len(set(self.features)) != len(self.features):
            raise ValueError("features lists a name twice")
        known = CORE_PARTS.get(self.core)
        if known is not None and known != self.part:
            raise ValueError(f"a {self.core} has the part number {known}, not {self.part}")
        return self

    @property
    def isa(self) -> frozenset[str]:
        """Features that are instructions, without the kernel's own services."""
        return frozenset(self.features) - KERNEL_SERVICES


class Memory(Section):
    """RAM sizes that the board is sold with."""

    sizes_mib: Annotated[tuple[Annotated[int, Field(ge=64, le=1 << 20, strict=True)], ...], Field(min_length=1)]


class ThermalZoneSection(Section):
    """A thermal zone by its ``type``. Kernels of different origin name the same sensor differently: ``aliases``."""

    kind: ZoneKind
    aliases: tuple[ZoneKind, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.kind, *self.aliases})


class LinuxSection(Section):
    """Where the board's kernel shows temperatures and clocks; the oldest glibc of the images that its vendor keeps."""

    thermal_zones: tuple[ThermalZoneSection, ...] = ()
    cpufreq_policies: tuple[SysfsPath, ...] = ()
    glibc: GlibcVersion | None = None


class Twin(Section):
    """The emulated twin. ``note`` says what differs from the board."""

    core: QemuCore
    vcpus: Annotated[int, Field(ge=1, le=8, strict=True)]
    memory_mib: Annotated[int, Field(ge=256, le=16384, strict=True)]
    note: Text

    @property
    def features(self) -> frozenset[str] | None:
        """Instruction-set features of the emulated core; None for ``max``, which has whatever its QEMU knows."""
        return QEMU_FEATURES.get(self.core)


class Board(Section):
    """A whole board file.

    Args:
        sources: Figure -> where it is published. Figures are named ``soc``, ``memory``, ``default_user``,
            ``linux.thermal_zones``, ``linux.cpufreq_policies``, ``linux.glibc``, ``twin``, and ``CORE.count``,
            ``CORE.cpus``, ``CORE.max_mhz``, ``CORE.features``, ``CORE.part``, ``CORE.l1i``, ``CORE.l1d``, ``CORE.l2``,
            ``CORE.l3`` for each core type. A key without its last word stands for all figures below it.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: BoardName
    soc: Text
    description: Text
    triple: Literal["aarch64-linux-gnu"]
    default_user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
    default_directory: Annotated[str, Field(pattern=r"^(~/|/)[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)*$")] = "~/.edgedeploy"
    memory: Memory
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1)]
    linux: LinuxSection = LinuxSection()
    twin: Twin
    sources: dict[str, Text] = {}

    @model_validator(mode="after")
    def _holds_together(self) -> Board:
        indices = sorted(index for cluster in self.clusters for index in cluster.cpus)
        if indices != list(range(len(indices))):
            raise ValueError(f"the clusters' cpus must be 0 to {len(indices) - 1}, each once, not {indices}")
        if ".." in self.default_directory.split("/"):
            raise ValueError("default_directory must not contain '..'")
        figures = self.figures
        for key in self.sources:
            if not any(figure == key or figure.startswith(f"{key}.") for figure in figures):
                raise ValueError(f"sources has {key!r}, which is no figure of this file; figures: {', '.join(figures)}")
        return self

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the names of every figure that the file gives, as ``sources`` names them."""
        return tuple(dict.fromkeys(self._figures()))

    @property
    def unsourced(self) -> tuple[str, ...]:
        """Return the figures whose source the file does not say."""
        return tuple(
            figure
            for figure in self.figures
            if not any(figure == key or figure.startswith(f"{key}.") for key in self.sources)
        )

    @property
    def architecture(self) -> str:
        """What ``uname -m`` says on the board, such as ``aarch64``."""
        return self.triple.split("-", 1)[0]

    @property
    def core_count(self) -> int:
        return sum(cluster.count for cluster in self.clusters)

    @property
    def cores_by_part(self) -> Counter[str]:
        """Return how many cores each part number has."""
        counts: Counter[str] = Counter()
        for cluster in self.clusters:
            counts[cluster.part] += cluster.count
        return counts

    @property
    def features(self) -> frozenset[str]:
        """Instruction-set features that every core has: what code may use on whichever core it lands."""
        return frozenset.intersection(*(cluster.isa for cluster in self.clusters))

    @property
    def fastest_cluster(self) -> Cluster:
        """The cluster with the highest clock; the first of those that tie."""
        return max(self.clusters, key=lambda cluster: cluster.max_mhz)

    def to_json(self) -> dict[str, Any]:
        """Return what ``boards show --json`` prints: the file's content, with the derived ``architecture``,
        ``core_count`` and ``features`` beside it."""
        document = self.model_dump(mode="json", by_alias=True)
        document["architecture"] = self.architecture
        document["core_count"] = self.core_count
        document["features"] = sorted(self.features)
        return document

    def _figures(self) -> Iterator[str]:
        yield from ("soc", "memory", "default_user", "twin")
        if self.linux.thermal_zones:
            yield "linux.thermal_zones"
        if self.linux.cpufreq_policies:
            yield "linux.cpufreq_policies"
        if self.linux.glibc:
            yield "linux.glibc"
        for cluster in self.clusters:
            yield from (f"{cluster.core}.{key}" for key in ("part", "count", "cpus", "max_mhz", "features"))
            yield from (f"{cluster.core}.{key}" for key in ("l1i", "l1d", "l2", "l3") if getattr(cluster, key))
