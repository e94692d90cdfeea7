"""Which blocks get a price of their own, what the rest costs, and prices that are kept."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from edgedeploy.cycles import pricing
from edgedeploy.cycles.dump import Block, Dump, SlotCount
from edgedeploy.cycles.llvm import Llvm, Price, find_llvm
from edgedeploy.cycles.price_cache import PriceCache
from edgedeploy.cycles.pricing import hottest, merged, price_dump
from edgedeploy.errors import CycleCountError
from edgedeploy.progress import SILENT

HOT, WARM, COLD = "4e829420f1000508", "d503201f", "d65f03c0"
CPU = "neoverse-n1"


def block(code: str, executions: int, *, address: int = 0x1000, slot: int = 2) -> Block:
    counts = (SlotCount(slot=slot, vcpu=0, executions=executions),) if executions else ()
    return Block(address=address, code=code, counts=counts)


def dump(*blocks: Block) -> Dump:
    return Dump(boundaries=3, vcpus=1, sequence=(1, 2, 3), blocks=blocks)


def cache_in(directory: Path) -> PriceCache:
    return PriceCache(directory, version="19.1.7", cpu=CPU)


@pytest.fixture(scope="module")
def llvm() -> Llvm:
    return find_llvm()


def test_blocks_are_merged_by_their_code() -> None:
    counted = dump(block(HOT, 10), block(HOT, 5, address=0x2000, slot=4), block(WARM, 7, slot=0), block(COLD, 0))
    assert merged(counted) == {HOT: 15}, "neither boundaries nor what never ran"


def test_the_hottest_cover_what_is_asked_and_no_more() -> None:
    counted = dump(block(HOT, 499), block(WARM, 1), block(COLD, 1))
    assert hottest(counted, 0.998) == {HOT: 499}
    assert hottest(counted, 0.9985) == {HOT: 499, WARM: 1}, "of equals the first by code"
    assert len(hottest(counted, 1.0)) == 3


def test_the_rest_costs_the_average(tmp_path: Path, llvm: Llvm) -> None:
    cache = cache_in(tmp_path)
    cache.add({HOT: Price(cycles=3.0, unpriced=1)})
    found = price_dump(dump(block(HOT, 99_999), block(COLD, 2)), CPU, llvm, cache, progress=SILENT)
    assert found.prices == {HOT: Price(cycles=3.0, unpriced=1)}
    assert found.cycles_an_instruction == pytest.approx(1.5)
    assert found.cycles(HOT) == 3.0
    assert found.cycles(COLD) == pytest.approx(1.5)
    assert found.cycles(COLD * 4) == pytest.approx(6.0)
    assert found.unpriced_instructions == 99_999
    assert found.share == pytest.approx(199_998 / 200_000)


def test_a_block_is_priced_once(tmp_path: Path, llvm: Llvm, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = dump(block(HOT, 50), block(WARM, 50))
    first = price_dump(counted, CPU, llvm, cache_in(tmp_path), progress=SILENT)

    def refuse(*_: object) -> None:
        raise AssertionError("priced again")

    monkeypatch.setattr(pricing, "price_blocks", refuse)
    assert price_dump(counted, CPU, llvm, cache_in(tmp_path), progress=SILENT) == first


def test_nothing_counted_is_an_error(tmp_path: Path, llvm: Llvm) -> None:
    with pytest.raises(CycleCountError):
        price_dump(dump(block(HOT, 5, slot=0)), CPU, llvm, cache_in(tmp_path), progress=SILENT)


def test_a_price_is_kept_for_its_version_and_core(tmp_path: Path) -> None:
    price = Price(cycles=4.03, unpriced=2)
    assert cache_in(tmp_path / "new").add({HOT: price, COLD: Price(cycles=0.5, unpriced=0)})
    assert cache_in(tmp_path / "new").load()[HOT] == price
    assert PriceCache(tmp_path / "new", version="19.1.8", cpu=CPU).load() == {}
    assert PriceCache(tmp_path / "new", version="19.1.7", cpu="cortex-a72").load() == {}


def test_damaged_lines_are_no_prices(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.add({HOT: Price(cycles=4.0, unpriced=0), COLD: Price(cycles=1.0, unpriced=0)})
    whole = cache.file.read_bytes()
    cache.file.write_bytes(whole.replace(b"4.0", b"9.0") + b"\xff\x00 no JSON\n" + b'["' + WARM.encode())
    assert cache.load() == {COLD: Price(cycles=1.0, unpriced=0)}
    cache.add({WARM: Price(cycles=2.0, unpriced=0)})
    assert cache.load() == {COLD: Price(cycles=1.0, unpriced=0), WARM: Price(cycles=2.0, unpriced=0)}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = cache_in(tmp_path / "file")
    assert not cache.add({HOT: Price(cycles=1.0, unpriced=0)})
    assert cache.load() == {}


def _add(directory: str, worker: int) -> None:
    for index in range(25):
        cache_in(Path(directory)).add({f"{worker:04x}{index:04x}": Price(cycles=1.0 + index, unpriced=0)})


def test_two_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(str(tmp_path), worker)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(cache_in(tmp_path).load()) == 50
