"""Kinds of instructions by their encoding, held against llvm's text, and what pipes need for them."""

from __future__ import annotations

import pytest

from edgedeploy.cycles.cores import CORES, find_core
from edgedeploy.cycles.llvm import disassemble, find_llvm
from edgedeploy.cycles.mix import Kind, bounds_of, kind_of, kinds_of, mix_of
from edgedeploy.errors import UsageError

WORDS = {
    "8b020020": ("add x0, x1, x2", Kind.INTEGER),
    "91001000": ("add x0, x0, #4", Kind.INTEGER),
    "9b027c20": ("mul x0, x1, x2", Kind.INTEGER),
    "90003790": ("adrp x16, #7274496", Kind.INTEGER),
    "54fffe81": ("b.ne #-48", Kind.BRANCH),
    "d65f03c0": ("ret", Kind.BRANCH),
    "94000004": ("bl #16", Kind.BRANCH),
    "b4000040": ("cbz x0, #8", Kind.BRANCH),
    "f9400a11": ("ldr x17, [x16, #16]", Kind.LOAD),
    "3dc00020": ("ldr q0, [x1]", Kind.LOAD),
    "3cc10420": ("ldr q0, [x1], #16", Kind.LOAD),
    "a9400820": ("ldp x0, x2, [x1]", Kind.LOAD),
    "ad400820": ("ldp q0, q2, [x1]", Kind.LOAD),
    "4c407820": ("ld1 { v0.4s }, [x1]", Kind.LOAD),
    "58000040": ("ldr x0, #8", Kind.LOAD),
    "39c00020": ("ldrsb w0, [x1]", Kind.LOAD),
    "f9800020": ("prfm pldl1keep, [x1]", Kind.LOAD),
    "885f7c41": ("ldxr w1, [x2]", Kind.LOAD),
    "f9000020": ("str x0, [x1]", Kind.STORE),
    "3d800020": ("str q0, [x1]", Kind.STORE),
    "bd000020": ("str s0, [x1]", Kind.STORE),
    "ad000820": ("stp q0, q2, [x1]", Kind.STORE),
    "4c007820": ("st1 { v0.4s }, [x1]", Kind.STORE),
    "4e829420": ("sdot v0.4s, v1.16b, v2.16b", Kind.VECTOR_128),
    "4e22cc20": ("fmla v0.4s, v1.4s, v2.4s", Kind.VECTOR_128),
    "0e22cc20": ("fmla v0.2s, v1.2s, v2.2s", Kind.VECTOR_64),
    "0e228020": ("smlal v0.8h, v1.8b, v2.8b", Kind.VECTOR_64),
    "4e228020": ("smlal2 v0.8h, v1.16b, v2.16b", Kind.VECTOR_128),
    "1e222820": ("fadd s0, s1, s2", Kind.VECTOR_64),
    "1f020c20": ("fmadd s0, s1, s2, s3", Kind.VECTOR_64),
    "9e660020": ("fmov x0, d1", Kind.VECTOR_64),
    "d503201f": ("nop", Kind.SYSTEM),
    "d53bd041": ("mrs x1, TPIDR_EL0", Kind.SYSTEM),
    "d50b7423": ("dc zva, x3", Kind.SYSTEM),
}


def test_the_words_are_what_they_are_said_to_be() -> None:
    assert disassemble(list(WORDS), find_llvm()) == {word: text for word, (text, _) in WORDS.items()}


@pytest.mark.parametrize("word", WORDS)
def test_kind(word: str) -> None:
    assert kind_of(word) is WORDS[word][1]


def test_every_instruction_of_a_block_has_a_kind() -> None:
    code = "".join(WORDS)
    assert kinds_of(code).total() == len(WORDS)
    assert sum(mix_of(kinds_of(code)).model_dump().values()) == len(WORDS)


def test_bounds_of_the_two_in_order_cores() -> None:
    counts = kinds_of("f9400a11" * 6 + "f9000020" * 4 + "4e829420" * 7 + "0e22cc20" * 3 + "8b020020" * 8 + "d65f03c0")
    a53, a55 = (CORES[name].pipes for name in ("cortex-a53", "cortex-a55"))
    assert a53 is not None and a55 is not None
    found = bounds_of(mix_of(counts), a53)
    assert found.model_dump() == {"issue": 15, "load_store": 10, "vector": 9, "branch": 1, "at_least": 15}
    assert bounds_of(mix_of(counts), a55).load_store == 6


def test_cores_are_priced_or_bounded_never_both() -> None:
    assert all((core.priced_as is None) == (core.pipes is not None) for core in CORES.values())
    assert {core.name for core in CORES.values() if core.priced_as is None} == {"cortex-a53", "cortex-a55"}
    assert all("no cycles" in core.note for core in CORES.values() if core.priced_as is None)
    assert find_core("cortex-a76").priced_as == "neoverse-n1"
    assert "Cortex-A76" in CORES["cortex-a55"].note


def test_an_unknown_core_is_named_with_its_neighbours() -> None:
    with pytest.raises(UsageError) as caught:
        find_core("cortex-a78")
    assert "cortex-a76" in caught.value.hint
