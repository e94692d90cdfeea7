"""The block counter's caches: patterns whose misses follow from the caches' shape, and a plain model of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from block_counting import Memory, build_freestanding, count, mark

pytestmark = pytest.mark.cross

LINE_BYTES = 64
WORD_BYTES = 8
# 8 sets of 2 ways, 16 sets of 4 ways: 16 and 64 lines.
L1D_SETS, L1D_WAYS = 8, 2
L2_SETS, L2_WAYS = 16, 4
CACHES = "l1d=1x2,l2=4x4"
STREAMS = 16
FIRST_SLOT = 2
SEED = 20240517


@dataclass(frozen=True)
class Access:
    """One access of 8 bytes at an offset into the program's data."""

    offset_bytes: int
    is_store: bool = False


def load(line: int) -> Access:
    return Access(line * LINE_BYTES)


def store(line: int) -> Access:
    return Access(line * LINE_BYTES, is_store=True)


def _assembly(access: Access) -> str:
    offset = access.offset_bytes
    word = "str" if access.is_store else "ldr"
    return f"movz x2, #{offset & 0xFFFF}\n movk x2, #{offset >> 16}, lsl #16\n {word} x1, [x19, x2]"


def _measure(
    plugin: Path, directory: Path, patterns: Sequence[Sequence[Access]], *, runs: int = 1, window: str = "from=0,to=1"
) -> list[Memory]:
    """What each pattern, in a slot of its own, does to the caches."""
    run = "\n".join(
        f"{mark(FIRST_SLOT + number)}\n" + "\n".join(map(_assembly, pattern)) for number, pattern in enumerate(patterns)
    )
    body = "\n".join(["adrp x19, data", mark(0), *([run, mark(0)] * runs)])
    program = build_freestanding(directory, body)
    dump = count(plugin, directory / "dump", f"{window},{CACHES}", program).dump
    assert set(dump.memory) == {FIRST_SLOT + number for number, pattern in enumerate(patterns) if pattern}
    return [dump.memory[FIRST_SLOT + number] for number in range(len(patterns))]


FEW = range(16)  # lines that fill the first level
MANY = range(32)  # twice as many; the second level holds them
INTERLEAVED = [1000 * run + step for step in range(4) for run in range(1, STREAMS + 1)]
ONE_RUN_TOO_MANY = [900 * run + step for step in range(4) for run in range(1, STREAMS + 2)]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param([[load(line) for line in FEW]] * 2, [(16, 0, 16, 15, 16, 15), (16, 0, 0, 0, 0, 0)], id="fits"),
        pytest.param(
            [[load(line) for line in MANY]] * 2,
            [(32, 0, 32, 31, 32, 31), (32, 0, 32, 31, 0, 0)],
            id="fits the second level alone",
        ),
        pytest.param([[store(line) for line in FEW]], [(0, 16, 16, 15, 16, 15)], id="stores bring lines in"),
        pytest.param([[load(line) for line in reversed(FEW)]], [(16, 0, 16, 0, 16, 0)], id="descending is no stream"),
        pytest.param([[load(0), load(2), load(4)]], [(3, 0, 3, 2, 3, 2)], id="a line between may be skipped"),
        pytest.param([[load(0), load(3), load(6)]], [(3, 0, 3, 0, 3, 0)], id="two lines between may not"),
        pytest.param([[Access(LINE_BYTES - 4)]], [(1, 0, 2, 1, 2, 1)], id="an access across two lines"),
        pytest.param([[load(5), store(5), load(5)]], [(2, 1, 1, 0, 1, 0)], id="the same line"),
        # Three lines of one set of two ways.
        pytest.param(
            [[load(line) for line in (0, 8, 0, 16, 0, 8)]], [(6, 0, 4, 0, 3, 0)], id="the line used last stays"
        ),
        pytest.param([[load(line) for line in INTERLEAVED]], [(64, 0, 64, 48, 64, 48)], id="sixteen streams"),
        pytest.param([[load(line) for line in ONE_RUN_TOO_MANY]], [(68, 0, 68, 0, 68, 0)], id="seventeen streams"),
    ],
)
def test_misses_of_known_patterns(
    block_counter: Path, tmp_path: Path, patterns: list[list[Access]], expected: list[Memory]
) -> None:
    assert _measure(block_counter, tmp_path, patterns) == expected


def test_runs_before_the_window_warm_the_caches(block_counter: Path, tmp_path: Path) -> None:
    patterns = [[load(line) for line in FEW]]
    assert _measure(block_counter, tmp_path, patterns, runs=2, window="from=1,to=2") == [(16, 0, 0, 0, 0, 0)]


@dataclass(kw_only=True)
class PlainCaches:
    """The same caches, said another way: a list of lines a set, oldest first."""

    l1d: list[list[int]] = field(default_factory=lambda: [[] for _ in range(L1D_SETS)])
    l2: list[list[int]] = field(default_factory=lambda: [[] for _ in range(L2_SETS)])
    streams: list[int] = field(default_factory=list)

    def run(self, pattern: Sequence[Access]) -> Memory:
        totals = [sum(not access.is_store for access in pattern), sum(access.is_store for access in pattern)]
        misses = [0, 0, 0, 0]
        for access in pattern:
            last = (access.offset_bytes + WORD_BYTES - 1) // LINE_BYTES
            for line in range(access.offset_bytes // LINE_BYTES, last + 1):
                misses = [total + one for total, one in zip(misses, self._touch(line), strict=True)]
        loads, stores = totals
        return loads, stores, misses[0], misses[1], misses[2], misses[3]

    def _touch(self, line: int) -> tuple[int, int, int, int]:
        if _hits(self.l1d[line % L1D_SETS], line, L1D_WAYS):
            return 0, 0, 0, 0
        stream = int(self._continues(line))
        if _hits(self.l2[line % L2_SETS], line, L2_WAYS):
            return 1, stream, 0, 0
        return 1, stream, 1, stream

    def _continues(self, line: int) -> bool:
        found = [place for place, last in enumerate(self.streams) if line - last in {1, 2}]
        if found:
            del self.streams[found[-1]]
        self.streams = [*self.streams, line][-STREAMS:]
        return bool(found)


def _hits(lines: list[int], line: int, ways: int) -> bool:
    hit = line in lines
    if hit:
        lines.remove(line)
    lines.append(line)
    del lines[:-ways]
    return hit


def test_random_accesses_miss_as_in_a_plain_model(block_counter: Path, tmp_path: Path) -> None:
    """Locality of several kinds, so that each count is far from 0 and from all."""
    generator = random.Random(SEED)
    patterns = []
    for span_lines in (20, 60, 300):
        pattern = []
        while len(pattern) < 1500:
            begin = generator.randrange(span_lines * LINE_BYTES)
            step = generator.choice((WORD_BYTES, LINE_BYTES, 72, -40))
            for index in range(generator.randrange(1, 12)):
                offset = max(0, begin + step * index)
                pattern.append(Access(offset, is_store=generator.random() < 0.3))
        patterns.append(pattern)
    plain = PlainCaches()
    expected = [plain.run(pattern) for pattern in patterns]
    assert min(expected[-1]) > 100, expected
    assert _measure(block_counter, tmp_path, patterns) == expected
