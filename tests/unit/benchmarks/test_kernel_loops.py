"""The program that holds the assembly's own figures against llvm-mca: headers, loops and what multiplies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kernel_loops
from kernel_loops import Row, Stated, blocks_of, branch_target, inner_loops, products, stated_in, ways_around

NOP = 0xD503201F
RET = 0xD65F03C0


def jump_if(offset: int) -> int:
    return 0x54000000 | (offset & 0x7FFFF) << 5


def jump(offset: int) -> int:
    return 0x14000000 | offset & 0x3FFFFFF


def jump_unless_zero(offset: int) -> int:
    return 0x35000000 | (offset & 0x7FFFF) << 5


def jump_if_bit(offset: int) -> int:
    return 0x37000000 | (offset & 0x3FFF) << 5


@pytest.mark.parametrize("path", kernel_loops.kernel_sources(), ids=lambda path: path.stem)
def test_every_kernel_in_assembly_states_its_registers_its_bound_and_what_it_reaches(path: Path) -> None:
    header = path.read_text().split("#include")[0]
    stated = stated_in(header)
    assert stated.cycles > 1 and stated.core in {"neoverse-n1", "neoverse-n2", "cortex-a72"}
    assert "\n// Registers" in header
    target = header.split("\n// Target")[1].split("\n// Reached")[0]
    assert "cycle" in target, "the bound, in cycles or a cycle"


def test_a_header_without_a_figure_is_an_error() -> None:
    assert stated_in(
        "// Reached    8.01 and 10.01 cycles a step, as llvm-mca 19\n//    estimates for neoverse-n2;\n"
    ) == Stated(cycles=8.01, core="neoverse-n2")
    with pytest.raises(ValueError, match="what the loop reaches"):
        stated_in("// Target     Cortex-A72\nret\n")


@pytest.mark.parametrize("make", [jump, jump_if, jump_unless_zero, jump_if_bit])
def test_branches_go_forwards_and_back(make: Callable[[int], int]) -> None:
    assert branch_target(make(-7), 10) == 3
    assert branch_target(make(5), 10) == 15
    assert branch_target(NOP, 10) is None and branch_target(RET, 10) is None


def test_the_innermost_loops_are_found_and_the_ways_around_them() -> None:
    """From 1 back to 1 straight on, or by the other end at 6; within a loop around both."""
    words = [NOP, NOP, jump_if(4), NOP, jump_if(-3), RET, NOP, jump(-6), jump(-8)]
    assert inner_loops(words) == [1]
    assert sorted(ways_around(words, 1)) == [[1, 2, 3, 4], [1, 2, 6, 7]]
    assert [len(block) for block in blocks_of(words, [1, 2, 3, 4])] == [2, 2]


def test_ways_are_given_up_where_they_are_many_or_long() -> None:
    assert ways_around([NOP] * 1000 + [jump(-1000)], 0) == []
    diamonds = [word for _ in range(12) for word in (jump_if(2), NOP)]
    assert 0 < len(ways_around([*diamonds, jump(-24)], 0)) <= 256


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("sdot v16.4s, v0.16b, v4.4b[0]", 16),
        ("smmla v0.4s, v4.16b, v28.16b", 32),
        ("smlal v24.8h, v5.8b, v30.8b", 8),
        ("smlal2 v16.4s, v4.8h, v0.h[1]", 4),
        ("sadalp v16.4s, v24.8h", 0),
        ("fmla v0.4s, v16.4s, v11.4s", 0),
    ],
)
def test_products_of_an_instruction(text: str, count: int) -> None:
    assert products(text) == count


def test_a_stated_figure_holds_within_two_percent() -> None:
    row = Row(kernel="k", core="neoverse-n1", stated=16.0, estimated=16.3, macs=512)
    assert row.holds and row.mac_per_cycle == pytest.approx(512 / 16.3)
    assert not Row(kernel="k", core="neoverse-n1", stated=16.0, estimated=16.4, macs=512).holds
