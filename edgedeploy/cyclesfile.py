"""The result of ``edgedeploy cycles``: what one inference costs. ``cycles`` makes it, ``report`` shows it.

Strict as ``run.json`` is. Every figure of cycles is an estimate and stands beside what it was estimated by; none is a
board's time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from edgedeploy.errors import RunFileError
from edgedeploy.files import write_whole
from edgedeploy.latency_stats import Frozen
from edgedeploy.runfile import check_version, dump_record, list_faults, read_record_text

CYCLES_SCHEMA = 1
_AGAIN = "count again with edgedeploy cycles"

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]


class MemoryFigures(Frozen):
    """Data accesses of one inference, and lines that simulated caches lacked.

    ``stream`` misses follow a miss of the line before: what a prefetcher that knows the next line would have fetched.
    """

    loads: Count
    stores: Count
    l1_misses: Count
    l1_stream_misses: Count
    l2_misses: Count
    l2_stream_misses: Count


class InstructionMix(Frozen):
    """Instructions by kind, told by their encoding. ``vector_...``: arithmetic on NEON and FP registers."""

    integer: Count
    branch: Count
    load: Count
    store: Count
    vector_128: Count
    vector_64: Count
    system: Count


class LayerCycles(Frozen):
    """One layer. The engine's conversions of a layer's inputs are booked to the layer.

    Args:
        kernel: The function that most of it is spent in.
        share: Of the side's cycles; of its instructions where there are no cycles.
        at_least_cycles: By issue width and pipes, on cores that are not priced.
        cycles_with_misses: ``cycles`` and what the simulated caches' misses cost; None where none were simulated.
        span_cycles: Of the thread with most; None with one thread.
    """

    index: Count
    name: str
    type: str
    implementation: str
    precision: str
    instructions: Count
    cycles: Count | None
    macs: Count
    mac_per_cycle: Rate | None
    share: Share
    kernel: str
    at_least_cycles: Count | None = None
    memory: MemoryFigures | None = None
    cycles_with_misses: Count | None = None
    span_cycles: Count | None = None


class OutsideCycles(Frozen):
    """What belongs to no layer: inputs handed over, outputs taken, the engine's own book-keeping."""

    instructions: Count
    cycles: Count | None
    share: Share
    memory: MemoryFigures | None = None
    cycles_with_misses: Count | None = None
    span_cycles: Count | None = None


class KernelCycles(Frozen):
    """One function of the program, by the symbol that its blocks lie in."""

    name: str
    instructions: Count
    cycles: Count | None
    share: Share


class ThreadCycles(Frozen):
    """One thread as the emulator numbers them. Waiting for other threads counts as well."""

    vcpu: Count
    instructions: Count
    cycles: Count | None


class Bounds(Frozen):
    """Cycles that each resource of an in-order core needs at least; ``at_least`` is the largest. No estimate."""

    issue: Count
    load_store: Count
    vector: Count
    branch: Count
    at_least: Count


class OutputCheck(Frozen):
    """How the outputs compare with the host's, worst over all; the speed of wrong results is worth nothing."""

    passed: bool
    cosine: float | None
    max_abs_error: float | None


class SideCycles(Frozen):
    """One inference of one side.

    Args:
        label: Such as ``edgedeploy`` or ``stock ncnn``.
        outputs: Of the self-test before the count; None where none was made.
        priced_share: Of the instructions, those in blocks that llvm-mca priced; the rest has their average.
        unpriced_instructions: Within the priced blocks, those that llvm cannot read or price: they cost a nop.
        cycles_with_misses: ``cycles`` and what the simulated caches' misses cost; None where none were simulated, or
            the core's misses have no price.
        span_cycles: Those of the layers and outside added up: threads wait for each other after each layer, so no
            split of the work takes less. None with one thread.
    """

    label: str
    outputs: OutputCheck | None = None
    instructions: Count
    cycles: Count | None
    macs: Count
    mac_per_cycle: Rate | None
    priced_share: Share | None
    unpriced_instructions: Count
    layers: tuple[LayerCycles, ...]
    outside: OutsideCycles
    kernels: tuple[KernelCycles, ...]
    threads: tuple[ThreadCycles, ...]
    mix: InstructionMix
    bounds: Bounds | None = None
    memory: MemoryFigures | None = None
    cycles_with_misses: Count | None = None
    span_cycles: Count | None = None


class CacheSizes(Frozen):
    """What was simulated, as KiB and ways: ``32x2``."""

    l1d: str
    l2: str


class MissPrices(Frozen):
    """What ``cycles_with_misses`` adds to ``cycles``, and where the prices come from.

    Args:
        l2_hit: Cycles a line that the L1 data cache lacks and L2 has.
        l2_miss: Cycles a line that L2 lacks too.
        int8_extra: Share of an int8 layer's cycles that it takes on top.
        fitted_on: The board whose published times they were fitted on.
        networks: How many networks were fitted on.
        error: Of estimate to published on as many others, root mean square.
    """

    l2_hit: Rate
    l2_miss: Rate
    int8_extra: Rate
    fitted_on: str
    networks: Count
    error: Rate


class CyclesRecord(Frozen):
    """The whole result.

    Args:
        network: SHA-256 over the model's two files.
        priced_as: llvm's name of the core whose model priced it; None: the core has no price.
        emulated_as: QEMU's name of the core that the program ran on.
        ours: The model with edgedeploy's operators.
        stock: The same release with the engine's own layers alone.
        other: ``ours`` of an earlier result.
        ratio: Cycles of ``ours`` to the other side's; below 1 is fewer.
        ratio_with_misses: The same of ``cycles_with_misses``.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    model: str
    network: str
    int8: bool
    precision: str
    core: str
    priced_as: str | None
    emulated_as: str
    threads: Annotated[int, Field(ge=1)]
    estimated_by: str
    versions: dict[str, str]
    command: str
    ours: SideCycles
    stock: SideCycles | None = None
    other: SideCycles | None = None
    ratio: Rate | None = None
    instructions_ratio: Rate | None = None
    caches: CacheSizes | None = None
    miss_prices: MissPrices | None = None
    ratio_with_misses: Rate | None = None
    notes: tuple[str, ...] = ()

    @property
    def against(self) -> SideCycles | None:
        return self.stock or self.other


def write_cycles(record: CyclesRecord, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        RunFileError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, dump_record(record))
    except OSError as error:
        raise RunFileError(
            f"{path} cannot be written: {error.strerror}", hint="free some space or name another file"
        ) from None


def parse_cycles(text: str, *, source: str) -> CyclesRecord:
    """Read a result's text; ``source`` names it in errors.

    Raises:
        RunFileError: Not JSON, a newer schema (the message has both versions), or damaged.
    """
    check_version(text, what=source, known=CYCLES_SCHEMA, again=_AGAIN)
    try:
        return CyclesRecord.model_validate_json(text)
    except ValidationError as error:
        raise RunFileError(f"{source} is damaged:\n{list_faults(error)}", hint=_AGAIN) from None


def read_cycles(path: Path) -> CyclesRecord:
    """Read a result.

    Raises:
        RunFileError: As :func:`parse_cycles`, or the file is missing or unreadable.
    """
    text = read_record_text(path, missing="edgedeploy cycles --output FILE writes one", again=_AGAIN)
    return parse_cycles(text, source=str(path))
