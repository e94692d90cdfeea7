"""The block counter's file: read whole or refused, and its slots booked to layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.cycles.dump import Block, Dump, SlotCount, SlotMemory, owners, parse_dump, read_dump, words_of
from edgedeploy.errors import CycleCountError

TEXT = """\
edgedeploy-blocks 1
boundaries 3
vcpus 2
sequence 1 4 5 6 7
block 4002a0 90003790d65f03c0
count 0 0 9
count 4 0 2
count 6 1 40
block 4002c0 d503201f
count 5 0 3
memory 4 10 20 3 2 1 0
"""


def test_reads_every_field() -> None:
    dump = parse_dump(TEXT)
    assert dump == Dump(
        boundaries=3,
        vcpus=2,
        sequence=(1, 4, 5, 6, 7),
        blocks=(
            Block(
                address=0x4002A0,
                code="90003790d65f03c0",
                counts=(
                    SlotCount(slot=0, vcpu=0, executions=9),
                    SlotCount(slot=4, vcpu=0, executions=2),
                    SlotCount(slot=6, vcpu=1, executions=40),
                ),
            ),
            Block(address=0x4002C0, code="d503201f", counts=(SlotCount(slot=5, vcpu=0, executions=3),)),
        ),
        memory=(
            SlotMemory(slot=4, loads=10, stores=20, l1_misses=3, l1_stream_misses=2, l2_misses=1, l2_stream_misses=0),
        ),
    )
    assert dump.blocks[0].length == 2
    assert dump.blocks[0].executions == 42, "what runs in a boundary belongs to no inference"
    assert list(words_of(dump.blocks[0].code)) == ["90003790", "d65f03c0"]


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("edgedeploy-blocks 1", "edgedeploy-blocks 2", "does not begin"),
        ("block 4002a0 90003790d65f03c0", "block 4002a0 90003790d65f03", "line 5"),
        ("block 4002a0 90003790d65f03c0", "block xyz 90003790", "line 5"),
        ("count 4 0 2", "count 4 0", "line 7"),
        ("count 4 0 2", "count 4 0 -2", "line 7"),
        ("count 4 0 2", "count 4 0 two", "line 7"),
        ("block 4002a0 90003790d65f03c0\n", "", "line 5"),
        ("memory 4 10 20 3 2 1 0", "memory 4 10 20 3", "line 11"),
        ("vcpus 2", "virtual 2", "line 3"),
        ("vcpus 2\n", "", "vcpus"),
        ("sequence 1 4 5 6 7\n", "", "sequence"),
        ("memory 4 10 20 3 2 1 0\n", "memory 4 10", "cut short"),
    ],
)
def test_damage_is_named(before: str, after: str, named: str) -> None:
    assert before in TEXT
    with pytest.raises(CycleCountError, match=named):
        parse_dump(TEXT.replace(before, after))


def test_an_empty_file_and_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(CycleCountError):
        parse_dump("")
    with pytest.raises(CycleCountError, match="cannot be read"):
        read_dump(tmp_path / "blocks.txt")


def _owners(*sequence: int) -> dict[int, int | None]:
    return owners(Dump(boundaries=3, vcpus=1, sequence=sequence, blocks=()))


def test_what_follows_a_layer_is_booked_to_the_layer_that_begins_next() -> None:
    # Layer 2 runs before layer 1 here: the order of the run counts, not that of the file.
    assert _owners(1, 2, 3, 6, 7, 4, 5) == {1: None, 2: 0, 3: 2, 6: 2, 7: 1, 4: 1, 5: None}


def test_what_is_outside_is_booked_to_no_layer() -> None:
    assert _owners(1) == {1: None}
    assert _owners() == {1: None}
