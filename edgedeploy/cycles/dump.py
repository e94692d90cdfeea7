"""What the block counter wrote: executed blocks with their instructions, and how often each ran in which slot.

A slot says when: 0 in a boundary between runs, 1 outside of layers, 2 + 2 i inside layer i, 3 + 2 i after layer i.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import CycleCountError

MAGIC = "edgedeploy-blocks"
VERSION = "1"
BOUNDARY_SLOT = 0
OUTSIDE_SLOT = 1
FIRST_LAYER_SLOT = 2

_WORD_DIGITS = 8
_MEMORY_FIELDS = 7
_COUNT_FIELDS = 3
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, kw_only=True)
class SlotCount:
    """How often a block ran in a slot on one vCPU."""

    slot: int
    vcpu: int
    executions: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """A translated block: straight code from ``address`` on.

    Args:
        code: Its instructions, each a little-endian word as eight hex digits, one after the other.
    """

    address: int
    code: str
    counts: tuple[SlotCount, ...]

    @property
    def length(self) -> int:
        """How many instructions it has."""
        return len(self.code) // _WORD_DIGITS

    @property
    def executions(self) -> int:
        """How often it ran, boundaries left out."""
        return sum(count.executions for count in self.counts if count.slot != BOUNDARY_SLOT)


@dataclass(frozen=True, kw_only=True)
class SlotMemory:
    """Data accesses in a slot and what simulated caches made of them."""

    slot: int
    loads: int
    stores: int
    l1_misses: int
    l1_stream_misses: int
    l2_misses: int
    l2_stream_misses: int


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A whole file.

    Args:
        boundaries: How many the program passed: one before its first run and one after each.
        sequence: The slots of one inference in the order in which they came.
    """

    boundaries: int
    vcpus: int
    sequence: tuple[int, ...]
    blocks: tuple[Block, ...]
    memory: tuple[SlotMemory, ...] = ()


def words_of(code: str) -> Iterator[str]:
    """Return the instructions of a block's code, eight hex digits each."""
    return (code[start : start + _WORD_DIGITS] for start in range(0, len(code), _WORD_DIGITS))


def read_dump(path: Path) -> Dump:
    """Read a file of the block counter.

    Raises:
        CycleCountError: It is not there, cut short or damaged; the message names the line.
    """
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise CycleCountError(f"the block counter's file cannot be read: {error}", hint=_HINT) from None
    return parse_dump(text)


def parse_dump(text: str) -> Dump:
    """Read the text of a block counter's file.

    Raises:
        CycleCountError: The message names the line.
    """
    if not text.endswith("\n"):
        raise CycleCountError("the block counter's file is cut short", hint=_HINT)
    return _Reader().read(text.splitlines())


_HINT = "run the command again; the emulator may have been stopped, or the disk may be full"


class _Reader:
    """Collects lines; a ``count`` belongs to the ``block`` before it."""

    def __init__(self) -> None:
        self._heads: dict[str, int] = {}
        self._sequence: tuple[int, ...] | None = None
        self._blocks: list[tuple[int, str, list[SlotCount]]] = []
        self._memory: list[SlotMemory] = []

    def read(self, lines: Sequence[str]) -> Dump:
        if not lines or lines[0].split() != [MAGIC, VERSION]:
            raise CycleCountError(f"the block counter's file does not begin with {MAGIC} {VERSION}", hint=_HINT)
        for number, line in enumerate(lines[1:], start=2):
            try:
                self._take(line.split())
            except (ValueError, IndexError, KeyError) as error:
                raise CycleCountError(
                    f"line {number} of the block counter's file is damaged ({error}): {line[:60]!r}", hint=_HINT
                ) from None
        missing = [key for key in ("boundaries", "vcpus") if key not in self._heads]
        if missing or self._sequence is None:
            raise CycleCountError(
                f"the block counter's file has no line {', '.join(missing) or 'sequence'}", hint=_HINT
            )
        return Dump(
            boundaries=self._heads["boundaries"],
            vcpus=self._heads["vcpus"],
            sequence=self._sequence,
            blocks=tuple(Block(address=at, code=code, counts=tuple(counts)) for at, code, counts in self._blocks),
            memory=tuple(self._memory),
        )

    def _take(self, fields: list[str]) -> None:
        kind, *values = fields
        match kind:
            case "boundaries" | "vcpus":
                (value,) = values
                self._heads[kind] = _number(value)
            case "sequence":
                self._sequence = tuple(_number(value) for value in values)
            case "block":
                address, code = values
                if len(code) % _WORD_DIGITS or not _HEX.fullmatch(code):
                    raise ValueError("no whole instructions")
                self._blocks.append((int(address, 16), code, []))
            case "count":
                if len(values) != _COUNT_FIELDS:
                    raise ValueError("not three numbers")
                slot, vcpu, executions = map(_number, values)
                self._blocks[-1][2].append(SlotCount(slot=slot, vcpu=vcpu, executions=executions))
            case "memory":
                self._memory.append(_memory(values))
            case _:
                raise ValueError("unknown kind")


def _memory(values: list[str]) -> SlotMemory:
    if len(values) != _MEMORY_FIELDS:
        raise ValueError("not seven numbers")
    slot, loads, stores, l1, l1_stream, l2, l2_stream = map(_number, values)
    return SlotMemory(
        slot=slot,
        loads=loads,
        stores=stores,
        l1_misses=l1,
        l1_stream_misses=l1_stream,
        l2_misses=l2,
        l2_stream_misses=l2_stream,
    )


def _number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("a negative number")
    return value


def owners(dump: Dump) -> dict[int, int | None]:
    """Return the layer that each slot of a dump is booked to; None: to none.

    What the engine does after a layer is a conversion for the layer that begins next, so it is booked to that one;
    after the last layer it belongs to none.

    Example:
        >>> owners(Dump(boundaries=3, vcpus=1, sequence=(1, 2, 3, 4, 5), blocks=()))
        {1: None, 2: 0, 3: 1, 4: 1, 5: None}
    """
    booked: dict[int, int | None] = {OUTSIDE_SLOT: None}
    following: int | None = None
    for slot in reversed(dump.sequence):
        if slot >= FIRST_LAYER_SLOT and slot % 2 == 0:
            following = (slot - FIRST_LAYER_SLOT) // 2
            booked[slot] = following
        elif slot > FIRST_LAYER_SLOT:
            booked[slot] = following
    return dict(sorted(booked.items()))
