#!/usr/bin/env python3
"""What each assembly kernel says that its loop reaches, against what llvm-mca says of the loop as it stands.

    python benchmarks/kernel_loops.py [--json]

Each .S file under csrc/kernels/ is assembled; of its inner loops, each on the shortest way around, the one with most
products a turn is priced, block by block as ``edgedeploy cycles`` does. Rows: {"kernel", "core" (llvm's name),
"stated" and "estimated" (cycles a turn), "macs" (a turn), "mac_per_cycle"}. Exits with 1 where a stated figure is off
by more than 2 %. Estimates: the ends of tiles and what is before the loop are not in them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgedeploy.cycles.llvm import Llvm, disassemble, find_llvm, price_blocks
from edgedeploy.paths import resource_dir

TOLERANCE = 0.02
_COMPILER = "aarch64-linux-gnu-gcc"
_OBJCOPY = "aarch64-linux-gnu-objcopy"
_LONGEST_WAY = 600
_MOST_TRIED = 256
_REACHED = re.compile(
    r"Reached\s+(\d+(?:\.\d+)?)\b.*? cycles a (?:step|turn|unit)\b.*? llvm-mca 19 estimates for ([\w-]+)"
)
# First match counts: products of 16, 32, 8 and 4 pairs.
_MACS = (
    (re.compile(r"sdot\b"), 16),
    (re.compile(r"smmla\b"), 32),
    (re.compile(r"(?:smlal2?|smull2?|mul|mla) v\d+\.8h"), 8),
    (re.compile(r"(?:smlal2?|smull2?) v\d+\.4s"), 4),
)
# Mask, value, lowest bit and length of the offset: B, B.cond, CBZ and CBNZ, TBZ and TBNZ. Only B always jumps.
_BRANCHES = (
    (0xFC000000, 0x14000000, 0, 26),
    (0xFF000010, 0x54000000, 5, 19),
    (0x7E000000, 0x34000000, 5, 19),
    (0x7E000000, 0x36000000, 5, 14),
)
_RETURNS_AND_REGISTER_JUMPS = (0xFE000000, 0xD6000000)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A kernel's header: cycles a turn of its loop, and of which core in llvm's name."""

    cycles: float
    core: str


@dataclass(frozen=True, kw_only=True)
class Row:
    kernel: str
    core: str
    stated: float
    estimated: float
    macs: int

    @property
    def mac_per_cycle(self) -> float:
        return self.macs / self.estimated

    @property
    def holds(self) -> bool:
        return abs(self.estimated / self.stated - 1) <= TOLERANCE


def kernel_sources() -> list[Path]:
    return sorted((resource_dir() / "csrc" / "kernels").rglob("*.S"))


def stated_in(source: str) -> Stated:
    """Return what a kernel's header says.

    Example:
        >>> stated_in("// Reached    16.04 cycles a step, as llvm-mca 19 estimates for neoverse-n1.")
        Stated(cycles=16.04, core='neoverse-n1')
    """
    comment = " ".join(line.removeprefix("//") for line in source.splitlines() if line.startswith("//"))
    header = " ".join(comment.split())
    found = _REACHED.search(header)
    if found is None:
        raise ValueError("the header does not say what the loop reaches")
    return Stated(cycles=float(found.group(1)), core=found.group(2))


def branch_target(word: int, index: int) -> int | None:
    """Return the index of the instruction that a direct branch goes to; None for any other instruction."""
    for mask, value, low, length in _BRANCHES:
        if word & mask == value:
            offset = word >> low & (1 << length) - 1
            return index + (offset - (1 << length) if offset >> (length - 1) else offset)
    return None


def ways_around(words: Sequence[int], head: int) -> list[list[int]]:
    """Return the ways from ``head`` back to it that meet no instruction twice, as indexes.

    Ways of more than 600 instructions are left out, and what is left after 256 that were tried.
    """
    found: list[list[int]] = []
    begun = [[head]]
    for _ in range(_MOST_TRIED):
        if not begun:
            break
        way = begun.pop()
        at: int | None = way[-1]
        seen = set(way)
        while at is not None and len(way) <= _LONGEST_WAY:
            target = branch_target(words[at], at)
            if target == head:
                found.append(list(way))
            elif target is not None and 0 <= target < len(words) and target not in seen:
                begun.append([*way, target])
            at = _next_of(words, at)
            if at is None or at in seen:
                break
            way.append(at)
            seen.add(at)
    return found


def _next_of(words: Sequence[int], at: int) -> int | None:
    """Return the instruction that follows where none jumps; None behind one that always does."""
    mask, value, *_ = _BRANCHES[0]
    always = words[at] & mask == value
    leaves = words[at] & _RETURNS_AND_REGISTER_JUMPS[0] == _RETURNS_AND_REGISTER_JUMPS[1]
    return None if always or leaves or at + 1 >= len(words) else at + 1


def blocks_of(words: Sequence[int], way: Sequence[int]) -> list[list[str]]:
    """Return a way's instructions in hexadecimal, a block up to each branch, as the emulator counts them."""
    blocks: list[list[str]] = [[]]
    for index in way:
        blocks[-1].append(f"{words[index]:08x}")
        if branch_target(words[index], index) is not None:
            blocks.append([])
    return [block for block in blocks if block]


def inner_loops(words: Sequence[int]) -> list[int]:
    """Return where those loops begin, the targets of jumps back, that have no other between."""
    jumps = [(branch_target(word, index), index) for index, word in enumerate(words)]
    loops = [(target, index) for target, index in jumps if target is not None and 0 <= target <= index]
    return sorted(
        {
            begin
            for begin, end in loops
            if not any(begin <= other and last <= end and (other, last) != (begin, end) for other, last in loops)
        }
    )


def products(text: str) -> int:
    """Return the multiply-accumulates of an instruction."""
    return next((count for pattern, count in _MACS if pattern.match(text)), 0)


def assemble(source: Path) -> list[int]:
    """Return the instructions of a kernel. Constants among them are taken for instructions, too."""
    with tempfile.TemporaryDirectory() as directory:
        made, raw = Path(directory) / "kernel.o", Path(directory) / "text"
        include = f"-I{resource_dir() / 'csrc'}"
        subprocess.run([_COMPILER, "-c", include, str(source), "-o", str(made)], check=True)
        subprocess.run([_OBJCOPY, "-O", "binary", "-j", ".text", str(made), str(raw)], check=True)
        code = raw.read_bytes()
    return [int.from_bytes(code[at : at + 4], "little") for at in range(0, len(code) - 3, 4)]


def row_of(source: Path, llvm: Llvm) -> Row:
    words = assemble(source)
    stated = stated_in(source.read_text(encoding="utf-8"))
    texts = disassemble([f"{word:08x}" for word in words], llvm)

    def macs_of(way: Sequence[int]) -> int:
        return sum(products(texts.get(f"{words[index]:08x}", "")) for index in way)

    loops = []
    for head in inner_loops(words):
        ways = [way for way in ways_around(words, head) if macs_of(way) > 0]
        if ways:
            loops.append(min(ways, key=len))
    heaviest = max(loops, key=macs_of)
    prices = price_blocks(blocks_of(words, heaviest), texts, stated.core, llvm)
    return Row(
        kernel=source.stem,
        core=stated.core,
        stated=stated.cycles,
        estimated=sum(price.cycles for price in prices),
        macs=macs_of(heaviest),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    llvm = find_llvm()
    rows = [row_of(source, llvm) for source in kernel_sources()]
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) | {"mac_per_cycle": row.mac_per_cycle} for row in rows]}, indent=2))
    else:
        print(f"{'kernel':30}{'core':13}{'stated':>8}{'by llvm-mca':>13}{'MAC/cycle':>11}")
        for row in rows:
            mark = "" if row.holds else "  off"
            figures = f"{row.stated:8.2f}{row.estimated:13.2f}{row.mac_per_cycle:11.2f}"
            print(f"{row.kernel:30}{row.core:13}{figures}{mark}")
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
