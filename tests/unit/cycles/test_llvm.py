"""Real llvm: loops whose cost is known from the cores' pipes, and what llvm cannot price."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edgedeploy.cycles.llvm import LLVM_MAJOR, Llvm, Price, disassemble, find_llvm, missing_tools, price_blocks
from edgedeploy.errors import CycleCountError, MissingToolError

SDOT = [f"4e9f97c{register:x}" for register in range(8)]
"""sdot v0..v7.4s, v30.16b, v31.16b: eight sums that do not wait for each other."""
LOOP_END = ["f1000508", "54fffe81"]
"""subs x8, x8, #1; b.ne"""
MRS, RETURN, NOP, NONSENSE = "d53bd041", "d65f03c0", "d503201f", "ffffffff"
LDADD, UNDEFINED, CALL, JUMP = "f8200041", "00000000", "94000004", "14000004"


@pytest.fixture(scope="module")
def llvm() -> Llvm:
    return find_llvm()


def price(words: list[str], cpu: str, llvm: Llvm) -> Price:
    return price_blocks([words], disassemble(words, llvm), cpu, llvm)[0]


def test_text_of_words(llvm: Llvm) -> None:
    assert disassemble([SDOT[0], RETURN, NONSENSE, RETURN], llvm) == {
        SDOT[0]: "sdot v0.4s, v30.16b, v31.16b",
        RETURN: "ret",
    }
    assert disassemble([], llvm) == {}


def test_two_dot_products_a_cycle_on_a_neoverse_n1(llvm: Llvm) -> None:
    found = price(SDOT + LOOP_END, "neoverse-n1", llvm)
    # Eight SDOT in two pipes: four cycles, and 8 x 16 MAC in them.
    assert found.cycles == pytest.approx(4.0, rel=0.03)
    assert found.unpriced == 0
    assert 8 * 16 / found.cycles == pytest.approx(32, rel=0.03)


def test_one_int8_multiply_a_cycle_on_a_cortex_a72(llvm: Llvm) -> None:
    smlal = [f"0e3f83c{register:x}" for register in range(8)]
    assert disassemble(smlal[:1], llvm) == {smlal[0]: "smlal v0.8h, v30.8b, v31.8b"}
    found = price(smlal + LOOP_END, "cortex-a72", llvm)
    assert 8 * 8 / found.cycles == pytest.approx(8, rel=0.05)


def test_blocks_do_not_depend_on_their_company(llvm: Llvm) -> None:
    blocks = [SDOT, [RETURN], SDOT + LOOP_END, [MRS, RETURN]]
    texts = disassemble([word for block in blocks for word in block], llvm)
    together = price_blocks(blocks, texts, "neoverse-n1", llvm)
    assert together == [price_blocks([block], texts, "neoverse-n1", llvm)[0] for block in blocks]
    assert price_blocks([], texts, "neoverse-n1", llvm) == []


@pytest.mark.parametrize("cpu", ["neoverse-n1", "cortex-a72", "cortex-a57"])
def test_what_llvm_cannot_read_or_price_costs_a_nop_and_is_counted(cpu: str, llvm: Llvm) -> None:
    # The atomic is not in the model of the N1, and not in the instruction set of the others.
    for stranger in (NONSENSE, UNDEFINED, LDADD):
        found = price([*SDOT, stranger, *LOOP_END], cpu, llvm)
        assert found == Price(cycles=price([*SDOT, NOP, *LOOP_END], cpu, llvm).cycles, unpriced=1)
    assert price([NONSENSE], cpu, llvm) == Price(cycles=price([NOP], cpu, llvm).cycles, unpriced=1)


def test_a_call_costs_what_a_jump_does(llvm: Llvm) -> None:
    for cpu in ("neoverse-n1", "cortex-a72"):
        assert price([CALL], cpu, llvm) == price([JUMP], cpu, llvm)
        assert price(["d63f0020"], cpu, llvm) == price(["d61f0020"], cpu, llvm)


def test_an_unknown_core_is_a_typed_failure(llvm: Llvm) -> None:
    with pytest.raises(CycleCountError):
        price(["ffff"], "neoverse-n1", llvm)


def _program(path: Path, version: str) -> None:
    path.write_text(f"#!/bin/sh\necho 'Debian LLVM version {version}'\n", encoding="ascii")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_another_version_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_tools() == ((f"llvm-mca {LLVM_MAJOR}", "llvm-19"),)
    for name in ("llvm-mc", "llvm-mca"):
        _program(tmp_path / name, "18.1.8")
    with pytest.raises(MissingToolError, match=r"llvm-mca is 18\.1\.8") as caught:
        find_llvm()
    assert caught.value.hint == "sudo apt-get install -y llvm-19"
    for name in ("llvm-mc-19", "llvm-mca"):
        _program(tmp_path / name, "19.1.7")
    found = find_llvm()
    assert (found.mc.name, found.mca.name, found.version) == ("llvm-mc-19", "llvm-mca", "19.1.7")
    assert missing_tools() == ()
