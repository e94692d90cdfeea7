"""The bill: blocks times prices, by layer, by kernel and by thread."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from edgedeploy.cycles.cores import Core
from edgedeploy.cycles.dump import BOUNDARY_SLOT, Dump, SlotMemory, owners
from edgedeploy.cycles.emulated import Counted, RanLayer
from edgedeploy.cycles.macs import macs_of
from edgedeploy.cycles.miss_prices import with_misses
from edgedeploy.cycles.mix import Kind, bounds_of, kinds_of, mix_of
from edgedeploy.cycles.pricing import Priced
from edgedeploy.cycles.symbols import Symbols
from edgedeploy.cyclesfile import (
    KernelCycles,
    LayerCycles,
    MemoryFigures,
    MissPrices,
    OutsideCycles,
    SideCycles,
    ThreadCycles,
)
from edgedeploy.graph import Graph

INT8 = "int8"
_OUTSIDE: int | None = None


@dataclass(kw_only=True)
class _Account:
    """What one entry of the bill amounts to, over all counted runs."""

    instructions: int = 0
    cycles: float = 0.0
    kinds: Counter[Kind] = field(default_factory=Counter)

    def book(self, instructions: int, cycles: float) -> None:
        self.instructions += instructions
        self.cycles += cycles


@dataclass(kw_only=True)
class _Books:
    """All entries of one side."""

    layers: defaultdict[int | None, _Account] = field(default_factory=lambda: defaultdict(_Account))
    kernels: defaultdict[str, _Account] = field(default_factory=lambda: defaultdict(_Account))
    threads: defaultdict[int, _Account] = field(default_factory=lambda: defaultdict(_Account))
    within: defaultdict[int | None, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    by_thread: defaultdict[int | None, defaultdict[int, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )


def account(
    counted: Counted,
    *,
    label: str,
    core: Core,
    graph: Graph,
    priced: Priced | None,
    symbols: Symbols,
    miss_prices: MissPrices | None = None,
) -> SideCycles:
    """Return what one inference of one side costs.

    Args:
        graph: The network that ran, for the multiply-accumulates.
        priced: None: the core has no price.
        miss_prices: Of the core; None: misses are counted at most.
    """
    books = _booked(counted.dump, priced, symbols)
    bill = _Bill(counted=counted, core=core, graph=graph, priced=priced, miss_prices=miss_prices, books=books)
    return bill.side(label)


def _booked(dump: Dump, priced: Priced | None, symbols: Symbols) -> _Books:
    """Book every execution. Blocks go by code and address, so that sums of floats come in one order."""
    books, owner = _Books(), owners(dump)
    for block in sorted(dump.blocks, key=lambda item: (item.address, item.code)):
        name = symbols.name_of(block.address)
        price = priced.cycles(block.code) if priced is not None else 0.0
        for count in sorted(block.counts, key=lambda item: (item.slot, item.vcpu)):
            if count.slot == BOUNDARY_SLOT or not count.executions:
                continue
            layer = owner.get(count.slot, _OUTSIDE)
            instructions, cycles = block.length * count.executions, price * count.executions
            for entry in (books.layers[layer], books.kernels[name], books.threads[count.vcpu]):
                entry.book(instructions, cycles)
            for kind, number in kinds_of(block.code).items():
                books.layers[layer].kinds[kind] += number * count.executions
            books.by_thread[layer][count.vcpu] += cycles
            books.within[layer][name] += cycles if priced is not None else instructions
    return books


@dataclass(frozen=True, kw_only=True)
class _Bill:
    """Turns the books into figures of one inference."""

    counted: Counted
    core: Core
    graph: Graph
    priced: Priced | None
    miss_prices: MissPrices | None
    books: _Books

    def side(self, label: str) -> SideCycles:
        total = self._total
        layers = tuple(self._layer(layer) for layer in self.counted.layers)
        macs = sum(layer.macs for layer in layers)
        mix = mix_of(self._an_inference(total.kinds))
        outside = self._outside()
        parts: tuple[LayerCycles | OutsideCycles, ...] = (*layers, outside)
        return SideCycles(
            label=label,
            instructions=self._instructions(total),
            cycles=self._cycles(total),
            macs=macs,
            mac_per_cycle=self._rate(macs, total),
            priced_share=self.priced.share if self.priced is not None else None,
            unpriced_instructions=round(self.priced.unpriced_instructions / self._runs) if self.priced else 0,
            layers=layers,
            outside=outside,
            kernels=self._kernels(),
            threads=tuple(
                ThreadCycles(vcpu=vcpu, instructions=self._instructions(entry), cycles=self._cycles(entry))
                for vcpu, entry in sorted(self.books.threads.items())
            ),
            mix=mix,
            bounds=bounds_of(mix, self.core.pipes) if self.core.pipes is not None else None,
            memory=self._memory(self.counted.dump.memory),
            cycles_with_misses=_sum_of([part.cycles_with_misses for part in parts]),
            span_cycles=_sum_of([part.span_cycles for part in parts]),
        )

    @property
    def _runs(self) -> int:
        return self.counted.runs

    @cached_property
    def _owners(self) -> dict[int, int | None]:
        return owners(self.counted.dump)

    @cached_property
    def _total(self) -> _Account:
        total = _Account()
        for entry in self.books.layers.values():
            total.book(entry.instructions, entry.cycles)
            total.kinds.update(entry.kinds)
        return total

    def _layer(self, layer: RanLayer) -> LayerCycles:
        entry = self.books.layers[layer.index]
        macs = self._macs(layer)
        within = self.books.within[layer.index]
        pipes = self.core.pipes
        return LayerCycles(
            index=layer.index,
            name=layer.name,
            type=layer.type,
            implementation=layer.implementation,
            precision=layer.precision,
            instructions=self._instructions(entry),
            cycles=self._cycles(entry),
            macs=macs,
            mac_per_cycle=self._rate(macs, entry),
            share=self._share(entry),
            kernel=max(sorted(within), key=lambda name: within[name], default=""),
            at_least_cycles=bounds_of(mix_of(self._an_inference(entry.kinds)), pipes).at_least if pipes else None,
            memory=self._memory(self._memory_of(layer.index)),
            cycles_with_misses=self._with_misses(layer.index, int8=layer.precision == INT8),
            span_cycles=self._span(layer.index),
        )

    def _outside(self) -> OutsideCycles:
        entry = self.books.layers[_OUTSIDE]
        return OutsideCycles(
            instructions=self._instructions(entry),
            cycles=self._cycles(entry),
            share=self._share(entry),
            memory=self._memory(self._memory_of(_OUTSIDE)),
            cycles_with_misses=self._with_misses(_OUTSIDE, int8=False),
            span_cycles=self._span(_OUTSIDE),
        )

    def _kernels(self) -> tuple[KernelCycles, ...]:
        kernels = [
            KernelCycles(
                name=name,
                instructions=self._instructions(entry),
                cycles=self._cycles(entry),
                share=self._share(entry),
            )
            for name, entry in self.books.kernels.items()
        ]
        return tuple(sorted(kernels, key=lambda kernel: (-kernel.share, kernel.name)))

    def _macs(self, layer: RanLayer) -> int:
        listed = self.graph.layers[layer.index] if layer.index < len(self.graph.layers) else None
        if listed is None or listed.name != layer.name:
            return 0
        return macs_of(listed, layer.input_shapes, layer.output_shapes)

    def _span(self, layer: int | None) -> int | None:
        if self.priced is None or len(self.books.threads) < 2:
            return None
        # Rounded up, so that the sum over the layers is no less than any thread has.
        return math.ceil(max(self.books.by_thread[layer].values(), default=0.0) / self._runs)

    def _with_misses(self, layer: int | None, *, int8: bool) -> int | None:
        memory = self._memory(self._memory_of(layer))
        if memory is None or self.miss_prices is None or self.priced is None:
            return None
        return round(with_misses(self.books.layers[layer].cycles / self._runs, memory, self.miss_prices, int8=int8))

    def _memory_of(self, layer: int | None) -> tuple[SlotMemory, ...]:
        return tuple(item for item in self.counted.dump.memory if self._owners.get(item.slot, _OUTSIDE) == layer)

    def _memory(self, slots: tuple[SlotMemory, ...]) -> MemoryFigures | None:
        if not self.counted.dump.memory:
            return None
        counted = [slot for slot in slots if slot.slot != BOUNDARY_SLOT]
        return MemoryFigures.model_validate(
            {key: round(sum(getattr(slot, key) for slot in counted) / self._runs) for key in MemoryFigures.model_fields}
        )

    def _an_inference(self, kinds: Mapping[Kind, int]) -> Counter[Kind]:
        return Counter({kind: round(count / self._runs) for kind, count in kinds.items()})

    def _instructions(self, entry: _Account) -> int:
        return round(entry.instructions / self._runs)

    def _cycles(self, entry: _Account) -> int | None:
        return round(entry.cycles / self._runs) if self.priced is not None else None

    def _rate(self, macs: int, entry: _Account) -> float | None:
        cycles = self._cycles(entry)
        return macs / cycles if cycles else None

    def _share(self, entry: _Account) -> float:
        total = self._total
        if self.priced is not None:
            return min(1.0, entry.cycles / total.cycles) if total.cycles else 0.0
        return entry.instructions / total.instructions if total.instructions else 0.0


def _sum_of(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
