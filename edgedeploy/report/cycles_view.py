"""What a result of ``cycles`` says, in words and ready-made rows: page and terminal show the same.

No figure of cycles stands without the word estimate near it, and none is turned into a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from edgedeploy.artifacts import Precision
from edgedeploy.cyclesfile import CyclesRecord, KernelCycles, LayerCycles, MissPrices, SideCycles
from edgedeploy.report import wording
from edgedeploy.report.summary import Tile

RELEVANT_CHANGE = 0.001
UNSEEN_CHANGE = 0.0005
_ANONYMOUS = "(anonymous namespace)::"
_UNKNOWN = "–"


@dataclass(frozen=True, kw_only=True)
class SideRow:
    """One figure of both sides. ``other`` and ``change`` are empty where nothing is compared."""

    name: str
    ours: str
    other: str = ""
    change: str = ""


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """One layer or kernel. ``other`` is what it costs the other side."""

    name: str
    type: str
    implementation: str
    share: str
    share_value: float
    cost: str
    other: str
    mac_per_cycle: str
    kernel: str
    with_misses: str = ""
    with_misses_value: int = 0


@dataclass(frozen=True, kw_only=True)
class CyclesView:
    """The head and the tables.

    Args:
        unit: What costs are counted in.
        against: The other side's label.
        misses: Whether there is an estimate with misses.
    """

    headline: str
    tone: str
    sentence: str
    banner: str
    tiles: tuple[Tile, ...]
    unit: str
    priced: bool
    misses: bool
    against: str
    sides: tuple[SideRow, ...]
    layers: tuple[CostRow, ...]
    kernels: tuple[CostRow, ...]
    threads: tuple[SideRow, ...]
    memory: tuple[SideRow, ...]
    facts: tuple[SideRow, ...]
    notes: tuple[str, ...]


def view_cycles(record: CyclesRecord) -> CyclesView:
    """Return what page and terminal show."""
    ours, other = record.ours, record.against
    priced = ours.cycles is not None
    return CyclesView(
        headline=_headline(record),
        tone=_tone(record),
        sentence=_sentence(record),
        banner=_banner(record),
        tiles=tuple(_tiles(record)),
        unit="cycles" if priced else "instructions",
        priced=priced,
        misses=ours.cycles_with_misses is not None,
        against=_label(record),
        sides=tuple(_side_rows(ours, other)),
        layers=_layer_rows(record),
        kernels=_kernel_rows(ours),
        threads=tuple(
            SideRow(name=f"thread {thread.vcpu}", ours=amount(thread.cycles if priced else thread.instructions))
            for thread in ours.threads
        )
        if record.threads > 1
        else (),
        memory=tuple(_memory_rows(ours, other)),
        facts=tuple(_facts(record)),
        notes=record.notes,
    )


def amount(count: int | None) -> str:
    """Return a count in the unit that suits it.

    Example:
        >>> amount(30912345), amount(8123), amount(None)
        ('30.91 M', '8.1 k', '–')
    """
    if count is None:
        return _UNKNOWN
    if count >= 1_000_000:
        return f"{count / 1e6:,.2f} M"
    return f"{count / 1e3:.1f} k" if count >= 1000 else str(count)


def short_kernel(name: str) -> str:
    """Return a function's name without parameters, template arguments and the namespace of the engine."""
    kept: list[str] = []
    depth = 0
    for letter in name.removeprefix("void ").removeprefix("int ").replace(_ANONYMOUS, ""):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0 and kept:
            break
        if depth == 0 and letter != ">":
            kept.append(letter)
    return "".join(kept).removeprefix("ncnn::").strip() or name


def _headline(record: CyclesRecord) -> str:
    ours = record.ours
    name = f"{record.model}{' in int8' if record.int8 else ''}"
    compared = _against(record)
    if ours.cycles is None:
        counted = f"{amount(ours.instructions)} instructions an inference on a {record.core}"
        return f"{name} takes {counted}{compared}; its cycles are not estimated"
    return f"{name} takes an estimated {amount(ours.cycles)} cycles an inference on a {record.core}{compared}"


def _against(record: CyclesRecord) -> str:
    ratio = record.ratio if record.ratio is not None else record.instructions_ratio
    if record.against is None or ratio is None:
        return ""
    if abs(ratio - 1) < RELEVANT_CHANGE:
        return f", as {_label(record)}"
    return f", {abs(ratio - 1) * 100:.1f} % {'fewer' if ratio < 1 else 'more'} than {_label(record)}"


def _wrong(record: CyclesRecord) -> bool:
    return record.ours.outputs is not None and not record.ours.outputs.passed


def _tone(record: CyclesRecord) -> str:
    if record.ratio is None and not _wrong(record):
        return "plain"
    return "bad" if _wrong(record) or (record.ratio is not None and record.ratio > 1) else "good"


def _tone_of(ratio: float | None) -> str:
    """Return a tile's tone: more instructions by themselves are neither good nor bad."""
    if ratio is None:
        return "plain"
    return "good" if ratio <= 1 else "bad"


def _sentence(record: CyclesRecord) -> str:
    """Return whether the results are right, which comes before what they cost."""
    check = record.ours.outputs
    if check is None:
        return "Whether the outputs are right was not checked."
    cosine = "values that are not finite" if check.cosine is None else f"cosine {check.cosine:.6f}"
    if check.passed:
        return f"The outputs are those of the host ({cosine})."
    text = f"The outputs differ from the host's beyond the limits ({cosine}): see that they are right first."
    if check.cosine is None and record.precision == Precision.FP16:
        text += " Half precision overflows in some networks; --precision fp32 does not."
    return text


def _label(record: CyclesRecord) -> str:
    if record.against is None:
        return ""
    return record.against.label if record.stock is not None else "the earlier result"


def _banner(record: CyclesRecord) -> str:
    if record.ours.cycles is None:
        return f"Counted, not measured, and not priced: {record.estimated_by}. Nothing here is a board's time."
    return f"An estimate, not a measurement: {record.estimated_by}. Nothing here is a board's time."


def _tiles(record: CyclesRecord) -> Iterator[Tile]:
    ours = record.ours
    if ours.cycles is not None:
        yield Tile(label="Cycles, estimated", value=amount(ours.cycles), note="in the core, perfect caches")
    if ours.cycles_with_misses is not None:
        yield Tile(label="With misses, estimated", value=amount(ours.cycles_with_misses), note="at fitted prices")
    yield Tile(label="Instructions", value=amount(ours.instructions), note="counted")
    if ours.mac_per_cycle is not None:
        yield Tile(label="MAC a cycle", value=f"{ours.mac_per_cycle:.2f}", note=f"{amount(ours.macs)} MAC, estimated")
    if ours.bounds is not None:
        yield Tile(label="Pipes need", value=amount(ours.bounds.at_least), note="cycles at least; no estimate")
    ratio = record.ratio or record.instructions_ratio
    if ratio is not None:
        what = "cycles, estimated" if record.ratio is not None else "instructions"
        yield Tile(
            label=f"Against {_label(record)}",
            value=_change(ratio),
            note=what,
            tone=_tone_of(record.ratio),
        )


def priced_misses(prices: MissPrices) -> str:
    """Return what ``cycles_with_misses`` adds, where the prices come from and how good they are."""
    parts = [f"{prices.l2_hit:g} cycles a line from L2", f"{prices.l2_miss:g} a line from memory"]
    if prices.int8_extra:
        parts.append(f"{wording.percent(prices.int8_extra)} more in int8 layers")
    return (
        f"{', '.join(parts)}: fitted on {prices.networks} networks' {prices.fitted_on}; "
        f"{wording.percent(prices.error)} off on as many others"
    )


def _side_rows(ours: SideCycles, other: SideCycles | None) -> Iterator[SideRow]:
    if ours.cycles is not None:
        yield _compared("cycles, estimated", ours.cycles, other.cycles if other else None, other)
    if ours.cycles_with_misses is not None:
        theirs = other.cycles_with_misses if other is not None else None
        yield _compared("cycles with misses, estimated", ours.cycles_with_misses, theirs, other)
    if ours.span_cycles is not None:
        theirs = other.span_cycles if other is not None else None
        yield _compared("of the busiest thread, by layer", ours.span_cycles, theirs, other)
    yield _compared("instructions", ours.instructions, other.instructions if other else None, other)
    yield _compared("MAC", ours.macs, other.macs if other else None, other)
    if ours.cycles is not None:
        yield SideRow(name="instructions a cycle", ours=_per_cycle(ours), other=_per_cycle(other) if other else "")
        yield SideRow(name="MAC a cycle", ours=_rate(ours), other=_rate(other) if other else "")
    unit = "cycles" if ours.cycles is not None else "instructions"
    yield _compared(f"{unit} outside of layers", _outside(ours), _outside(other) if other else None, other)
    if ours.bounds is not None:
        for name in ("issue", "load_store", "vector", "branch"):
            theirs = getattr(other.bounds, name) if other is not None and other.bounds is not None else None
            label = {"load_store": "loads and stores", "vector": "NEON and FP", "branch": "branches"}.get(name, name)
            yield _compared(f"cycles at least: {label}", getattr(ours.bounds, name), theirs, other)


def _compared(name: str, ours: int | None, theirs: int | None, other: SideCycles | None) -> SideRow:
    change = _change(ours / theirs) if ours is not None and theirs else ""
    return SideRow(name=name, ours=amount(ours), other=amount(theirs) if other is not None else "", change=change)


def _change(ratio: float) -> str:
    return "0 %" if abs(ratio - 1) < UNSEEN_CHANGE else wording.change(ratio)


def _outside(side: SideCycles) -> int:
    return side.outside.cycles if side.outside.cycles is not None else side.outside.instructions


def _per_cycle(side: SideCycles) -> str:
    return f"{side.instructions / side.cycles:.2f}" if side.cycles else _UNKNOWN


def _rate(side: SideCycles | LayerCycles) -> str:
    return f"{side.mac_per_cycle:.2f}" if side.mac_per_cycle and side.macs else _UNKNOWN


def _layer_rows(record: CyclesRecord) -> tuple[CostRow, ...]:
    others = {layer.name: layer for layer in record.against.layers} if record.against is not None else {}
    return tuple(
        CostRow(
            name=layer.name,
            type=layer.type,
            implementation=layer.implementation,
            share=wording.percent(layer.share),
            share_value=layer.share,
            cost=amount(_cost(layer)),
            other=amount(_cost(others[layer.name])) if layer.name in others else "",
            mac_per_cycle=_rate(layer),
            kernel=short_kernel(layer.kernel),
            with_misses=amount(layer.cycles_with_misses),
            with_misses_value=layer.cycles_with_misses or 0,
        )
        for layer in record.ours.layers
    )


def _kernel_rows(side: SideCycles) -> tuple[CostRow, ...]:
    """Return functions, heaviest first; variants of one template and parts that the compiler split off are one."""
    costs: Counter[str] = Counter()
    shares: defaultdict[str, float] = defaultdict(float)
    for kernel in side.kernels:
        name = short_kernel(kernel.name)
        costs[name] += _cost(kernel)
        shares[name] += kernel.share
    return tuple(
        CostRow(
            name=name,
            type="",
            implementation="",
            share=wording.percent(shares[name]),
            share_value=shares[name],
            cost=amount(costs[name]),
            other="",
            mac_per_cycle="",
            kernel=name,
        )
        for name in sorted(costs, key=lambda item: (-costs[item], item))
    )


def _cost(entry: LayerCycles | KernelCycles) -> int:
    return entry.cycles if entry.cycles is not None else entry.instructions


def _memory_rows(ours: SideCycles, other: SideCycles | None) -> Iterator[SideRow]:
    if ours.memory is None:
        return
    theirs = other.memory if other is not None else None
    for key, value in ours.memory.model_dump().items():
        label = key.replace("l1_", "L1 ").replace("l2_", "L2 ").replace("_", " ")
        yield _compared(label, value, theirs.model_dump()[key] if theirs is not None else None, other)


def _facts(record: CyclesRecord) -> Iterator[SideRow]:
    ours = record.ours
    yield SideRow(name="Estimated by", ours=record.estimated_by)
    if ours.priced_share is not None:
        yield SideRow(name="Priced by themselves", ours=f"{ours.priced_share * 100:.2f} % of the instructions")
        yield SideRow(name="Without a price", ours=f"{ours.unpriced_instructions:,} instructions, each as a nop")
    yield SideRow(name="Float layers", ours=wording.precision(record.precision))
    yield SideRow(name="Threads", ours=str(record.threads))
    if record.caches is not None:
        yield SideRow(name="Simulated caches", ours=f"L1 data {record.caches.l1d}, L2 {record.caches.l2} (KiB x ways)")
    if record.miss_prices is not None:
        yield SideRow(name="Misses estimated by", ours=priced_misses(record.miss_prices))
    yield SideRow(name="Versions", ours=", ".join(f"{name} {version}" for name, version in record.versions.items()))
    yield SideRow(name="Network", ours=record.network[:16])
