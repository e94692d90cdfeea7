"""From a release to the result of ``cycles``: each side counted under the emulator, priced, held against the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import edgedeploy
from edgedeploy.boards.model import Board, Cache
from edgedeploy.build.plugin import build_plugin
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.countable import Countable
from edgedeploy.cycles.account import account
from edgedeploy.cycles.cores import Core, find_core
from edgedeploy.cycles.emulated import Plan, check_outputs, count_inference, find_qemu, qemu_version
from edgedeploy.cycles.llvm import Llvm, find_llvm
from edgedeploy.cycles.price_cache import PriceCache
from edgedeploy.cycles.pricing import COVERAGE, price_dump
from edgedeploy.cycles.symbols import read_symbols
from edgedeploy.cyclesfile import CacheSizes, CyclesRecord, MissPrices, OutputCheck, SideCycles
from edgedeploy.errors import IncomparableRunsError, SlowerError, UsageError
from edgedeploy.paths import cache_dir

OURS = "edgedeploy"
STOCK = "stock ncnn"
_LIMIT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%?")
_SAME = ("model", "int8", "precision", "core", "priced_as", "threads")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for.

    Args:
        stock: Count the engine's own layers too.
        earlier: A result to hold this one against.
        caches: To be simulated.
    """

    core: Core
    threads: int
    stock: bool
    earlier: CyclesRecord | None
    caches: tuple[str, str] | None
    command: str

    @property
    def miss_prices(self) -> MissPrices | None:
        """What misses cost; None where there are none to price. How threads interleave decides what L2 lacks."""
        return self.core.miss_prices if self.caches is not None and self.threads == 1 else None


ESTIMATED_ARCHITECTURE = "aarch64"


def core_of(core: str | None, board: Board | None) -> Core:
    """Return the core to count for: as named, or the fastest of a board.

    Raises:
        UsageError: Neither is given, the board lacks the core, or cycles cannot be counted for it.
    """
    if board is None:
        if core is None:
            raise UsageError("whose cycles?", hint="name a core (--core cortex-a76) or a board (--board rk3399)")
        return find_core(core)
    if board.architecture != ESTIMATED_ARCHITECTURE:
        raise UsageError(
            f"cycles are not estimated for {board.name}: its system is {board.architecture}",
            hint=f"edgedeploy bench --board {board.name} --emulated --clock instructions counts its instructions",
        )
    names = [cluster.core for cluster in board.clusters]
    if core is not None and core not in names:
        raise UsageError(f"{board.name} has no {core}", hint=f"it has: {', '.join(names)}")
    return find_core(core or board.fastest_cluster.core)


def caches_of(core: Core, board: Board | None) -> tuple[str, str]:
    """Return sizes and ways of the L1 data cache and the L2 cache: the board's where it states them."""
    cluster = next((item for item in board.clusters if item.core == core.name), None) if board else None
    return (
        _size(cluster.l1d if cluster else None) or core.l1d,
        _size(cluster.l2 if cluster else None) or core.l2,
    )


def _size(cache: Cache | None) -> str | None:
    return f"{cache.size_kib}x{cache.ways}" if cache is not None and cache.ways is not None else None


def count(countable: Countable, wish: Wish, *, progress: ConsoleProgress) -> CyclesRecord:
    """Count and price.

    Raises:
        MissingToolError: Emulator, compiler or llvm are not installed.
        CycleCountError: One of them failed.
        IncomparableRunsError: The earlier result is of something else.
    """
    if wish.earlier is not None:
        _check_comparable(_identity(countable, wish), wish.earlier)
    qemu = find_qemu()
    llvm = find_llvm() if wish.core.priced_as is not None else None
    counter = Counter(
        countable=countable, wish=wish, qemu=qemu, llvm=llvm, plugin=build_plugin(progress=progress), progress=progress
    )
    version = qemu_version(qemu)
    record = CyclesRecord(
        model=countable.name,
        network=countable.network,
        int8=countable.int8,
        precision=countable.precision,
        core=wish.core.name,
        priced_as=wish.core.priced_as,
        emulated_as=wish.core.emulated_as,
        threads=wish.threads,
        estimated_by=_estimated_by(wish.core, llvm, version),
        versions={
            "edgedeploy": edgedeploy.__version__,
            "engine": countable.runtime.engine_version,
            "compiler": countable.runtime.compiler,
            "qemu": version,
            **({"llvm": llvm.version} if llvm is not None else {}),
        },
        command=wish.command,
        ours=counter.side(OURS, disable_layers=False).model_copy(update={"outputs": counter.outputs()}),
        stock=counter.side(STOCK, disable_layers=True) if wish.stock else None,
        caches=CacheSizes(l1d=wish.caches[0], l2=wish.caches[1]) if wish.caches else None,
        miss_prices=wish.miss_prices,
        notes=_notes(wish),
    )
    return hold_against(record, wish.earlier)


def hold_against(record: CyclesRecord, earlier: CyclesRecord | None) -> CyclesRecord:
    """Return the result with the other side and the ratios.

    Raises:
        IncomparableRunsError: The earlier result is of another model, core, precision or number of threads.
    """
    other = None
    notes = record.notes
    if earlier is not None:
        _check_comparable({name: getattr(record, name) for name in _SAME}, earlier)
        other = earlier.ours
        if earlier.network != record.network:
            notes += ("the earlier result was counted on a network of other weights or parameters",)
        changed = [name for name, version in record.versions.items() if earlier.versions.get(name) != version]
        if changed:
            notes += (f"the earlier result was counted with other versions: {', '.join(changed)}",)
    against = record.stock or other
    ratio = ratio_with_misses = None
    instructions_ratio = None
    if against is not None:
        instructions_ratio = record.ours.instructions / max(against.instructions, 1)
        if record.ours.cycles is not None and against.cycles:
            ratio = record.ours.cycles / against.cycles
        if record.ours.cycles_with_misses is not None and against.cycles_with_misses:
            ratio_with_misses = record.ours.cycles_with_misses / against.cycles_with_misses
    return record.model_copy(
        update={
            "other": other,
            "ratio": ratio,
            "instructions_ratio": instructions_ratio,
            "ratio_with_misses": ratio_with_misses,
            "notes": notes,
        }
    )


def _identity(countable: Countable, wish: Wish) -> dict[str, object]:
    """Return what two results must have in common, as far as it is known before the count."""
    return {
        "model": countable.name,
        "int8": countable.int8,
        "precision": countable.precision,
        "core": wish.core.name,
        "priced_as": wish.core.priced_as,
        "threads": wish.threads,
    }


def _check_comparable(values: Mapping[str, object], earlier: CyclesRecord) -> None:
    differing = [name for name in _SAME if values[name] != getattr(earlier, name)]
    if differing:
        listed = ", ".join(f"{name} {getattr(earlier, name)}, now {values[name]}" for name in differing)
        raise IncomparableRunsError(
            f"the earlier result is of something else: {listed}", hint="count both with the same options"
        )


def parse_limit(text: str) -> float:
    """Return a limit in percent as a share.

    Example:
        >>> parse_limit("1 %"), parse_limit("0.5")
        (0.01, 0.005)
    """
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--fail-if-slower takes a percentage, not {text!r}", hint='for example "1 %"')
    return float(match.group(1)) / 100


def check_speed(record: CyclesRecord, limit: float) -> None:
    """Fail where ours needs more cycles than the other side, beyond the limit.

    Raises:
        SlowerError: By the estimate it does.
    """
    against = record.against
    if record.ratio is None or against is None or record.ratio <= 1 + limit:
        return
    raise SlowerError(
        f"{record.model} needs {record.ours.cycles:,} estimated cycles on a {record.core}, "
        f"{(record.ratio - 1) * 100:.2f} % more than {against.label} ({against.cycles:,}); "
        f"{limit * 100:g} % are allowed",
        hint="the table of layers names those that grew; --output FILE keeps the result",
    )


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Counts the sides of one release."""

    countable: Countable
    wish: Wish
    qemu: Path
    llvm: Llvm | None
    plugin: Path
    progress: ConsoleProgress

    def outputs(self) -> OutputCheck:
        """Return how ours compares with the host."""
        with self.progress.task(f"Checking the outputs of {self.countable.name}"):
            return check_outputs(self._plan(disable_layers=False), self.qemu)

    def _plan(self, *, disable_layers: bool) -> Plan:
        return Plan(
            runner=self.countable.runtime.runner,
            release=self.countable.directory,
            plugin=self.plugin,
            emulated_as=self.wish.core.emulated_as,
            threads=self.wish.threads,
            disable_layers=disable_layers,
            caches=self.wish.caches,
        )

    def side(self, label: str, *, disable_layers: bool) -> SideCycles:
        """Return what one inference of one side costs."""
        core, countable = self.wish.core, self.countable
        plan = self._plan(disable_layers=disable_layers)
        with (
            TemporaryDirectory(prefix="edgedeploy-") as scratch,
            self.progress.task(f"Counting {countable.name} under {self.qemu.name} -cpu {core.emulated_as}, {label}"),
        ):
            counted = count_inference(plan, self.qemu, Path(scratch))
        priced = None
        if core.priced_as is not None and self.llvm is not None:
            cache = PriceCache(cache_dir() / "cycles", version=self.llvm.version, cpu=core.priced_as)
            priced = price_dump(counted.dump, core.priced_as, self.llvm, cache, progress=self.progress)
        return account(
            counted,
            label=label,
            core=core,
            graph=countable.graph,
            priced=priced,
            symbols=read_symbols(countable.runtime.symbols),
            miss_prices=self.wish.miss_prices,
        )


def _estimated_by(core: Core, llvm: Llvm | None, qemu: str) -> str:
    ran = f"one inference counted by qemu-aarch64 {qemu} as {core.emulated_as}"
    if llvm is None:
        return f"{ran}; no cycles"
    return f"{ran}, its blocks priced by llvm-mca {llvm.version} as {core.priced_as}, each as a loop of itself"


def _notes(wish: Wish) -> tuple[str, ...]:
    core = wish.core
    notes = [core.note] if core.note else []
    if core.priced_as is not None:
        notes.append(
            "no caches, no branch misses, no start of pipelines: an estimate of in-core cycles, not a board's time"
        )
        notes.append(
            f"blocks of {COVERAGE * 100:g} % of the instructions have prices of their own, the rest their average"
        )
    if wish.miss_prices is not None:
        notes.append("prices of misses are fitted on the engine's own layers and may be further off with other kernels")
    if wish.threads > 1:
        notes.append("cycles are summed over threads; which thread takes which part may differ from run to run")
        if wish.caches is not None:
            notes.append("the emulator's interleaving of threads decides what the simulated L2 cache holds")
    return tuple(notes)
