"""The bill: every execution once, in its layer, its function and its thread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedeploy.cycles.account import account
from edgedeploy.cycles.cores import CORES
from edgedeploy.cycles.dump import Block, Dump, SlotCount, SlotMemory
from edgedeploy.cycles.emulated import Counted, RanLayer
from edgedeploy.cycles.llvm import Price
from edgedeploy.cycles.pricing import Priced
from edgedeploy.cycles.symbols import NO_SYMBOL, parse_symbols
from edgedeploy.cyclesfile import LayerCycles, MissPrices, SideCycles
from edgedeploy.graph import parse_param

GRAPH = parse_param(
    "7767517\n3 3\nInput in0 0 1 in0\nConvolution conv 1 1 in0 mid 0=8 1=1 6=32\nReLU act 1 1 mid out0\n"
)
SYMBOLS = parse_symbols("1000 10 ncnn::gemm(int)\n1010 20 relu\n1010 20 also_relu\n2000 0 last one\n")
SDOT, ADD, COLD = "4e829420" * 3, "8b020020", "d503201f"
PRICED = Priced(
    prices={SDOT: Price(cycles=1.5, unpriced=0), ADD: Price(cycles=0.5, unpriced=1)},
    cycles_an_instruction=0.25,
    share=0.99,
    unpriced_instructions=40,
)


def layer(index: int, name: str, kind: str, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> RanLayer:
    return RanLayer(
        index=index,
        name=name,
        type=kind,
        input_shapes=(shape_in,),
        output_shapes=(shape_out,),
        precision="fp32",
        implementation="ncnn",
    )


def counts(*values: tuple[int, int, int]) -> tuple[SlotCount, ...]:
    return tuple(SlotCount(slot=slot, vcpu=vcpu, executions=executions) for slot, vcpu, executions in values)


DUMP = Dump(
    boundaries=3,
    vcpus=2,
    sequence=(1, 4, 5, 6, 7),
    blocks=(
        # Slot 5, after the convolution, is the conversion for the activation.
        Block(address=0x1000, code=SDOT, counts=counts((0, 0, 999), (4, 0, 100), (4, 1, 60), (5, 0, 4))),
        Block(address=0x1010, code=ADD, counts=counts((6, 0, 40), (7, 0, 6))),
        Block(address=0x3000, code=COLD, counts=counts((1, 0, 8))),
    ),
    memory=(
        SlotMemory(slot=0, loads=99, stores=9, l1_misses=9, l1_stream_misses=9, l2_misses=9, l2_stream_misses=9),
        SlotMemory(slot=4, loads=10, stores=4, l1_misses=3, l1_stream_misses=2, l2_misses=1, l2_stream_misses=0),
        SlotMemory(slot=5, loads=1, stores=1, l1_misses=1, l1_stream_misses=1, l2_misses=1, l2_stream_misses=1),
    ),
)
COUNTED = Counted(
    dump=DUMP,
    layers=(layer(1, "conv", "Convolution", (4, 5, 5), (8, 5, 5)), layer(2, "act", "ReLU", (8, 5, 5), (8, 5, 5))),
    runs=1,
)


def bill(counted: Counted = COUNTED, *, core: str = "cortex-a76", priced: Priced | None = PRICED) -> SideCycles:
    return account(counted, label="ours", core=CORES[core], graph=GRAPH, priced=priced, symbols=SYMBOLS)


def layers_of(side: SideCycles) -> dict[str, LayerCycles]:
    return {item.name: item for item in side.layers}


def test_layers_get_their_own_and_the_conversion_before_them() -> None:
    conv, act = layers_of(bill())["conv"], layers_of(bill())["act"]
    assert (conv.instructions, conv.cycles) == (160 * 3, 240)
    assert (act.instructions, act.cycles) == (4 * 3 + 40, 6 + 20)
    assert (conv.macs, act.macs) == (32 * 25, 0)
    assert conv.mac_per_cycle == pytest.approx(800 / 240)
    assert act.mac_per_cycle == 0
    assert (conv.kernel, act.kernel) == ("ncnn::gemm(int)", "also_relu")


def test_the_rest_is_outside_and_the_sum_is_the_whole() -> None:
    side = bill()
    # After the last layer (slot 7), and before the first one at the average price.
    assert (side.outside.instructions, side.outside.cycles) == (6 + 8, 3 + 2)
    assert side.instructions == sum(item.instructions for item in side.layers) + side.outside.instructions == 546
    assert side.cycles == 240 + 26 + 5
    assert sum(item.share for item in side.layers) + side.outside.share == pytest.approx(1)
    assert side.mac_per_cycle == pytest.approx(800 / 271)
    assert (side.priced_share, side.unpriced_instructions) == (0.99, 40)


def test_functions_and_threads_split_the_same_sum() -> None:
    side = bill()
    assert [(item.name, item.instructions, item.cycles) for item in side.kernels] == [
        ("ncnn::gemm(int)", 492, 246),
        ("also_relu", 46, 23),
        ("last one", 8, 2),
    ]
    assert sum(item.share for item in side.kernels) == pytest.approx(1)
    assert [(item.vcpu, item.instructions, item.cycles) for item in side.threads] == [(0, 366, 181), (1, 180, 90)]


def test_instructions_by_kind() -> None:
    assert bill().mix.model_dump() == {
        "integer": 46,
        "branch": 0,
        "load": 0,
        "store": 0,
        "vector_128": 492,
        "vector_64": 0,
        "system": 8,
    }


def test_several_runs_are_divided() -> None:
    one, two = bill(), bill(replace(COUNTED, runs=2))
    assert two.instructions == one.instructions // 2
    assert one.cycles is not None and two.cycles == round(one.cycles / 2)
    assert layers_of(two)["conv"].macs == layers_of(one)["conv"].macs
    assert layers_of(two)["conv"].share == pytest.approx(layers_of(one)["conv"].share)


def test_memory_is_booked_as_time_is() -> None:
    side = bill()
    assert side.memory is not None and layers_of(side)["act"].memory is not None
    assert side.memory.loads == 11, "without the boundary"
    conv = layers_of(side)["conv"].memory
    assert conv is not None and (conv.loads, conv.stores, conv.l1_misses, conv.l2_stream_misses) == (10, 4, 3, 0)
    assert bill(replace(COUNTED, dump=replace(DUMP, memory=()))).memory is None


def test_an_in_order_core_has_bounds_and_no_cycles() -> None:
    side = bill(core="cortex-a53", priced=None)
    assert side.cycles is None and side.mac_per_cycle is None and side.priced_share is None
    assert all(item.cycles is None and item.mac_per_cycle is None for item in side.layers)
    assert side.bounds is not None and side.bounds.at_least == side.bounds.vector == 492
    assert layers_of(side)["conv"].at_least_cycles == 480
    assert layers_of(side)["conv"].share == pytest.approx(480 / 546), "of the instructions"
    assert bill().bounds is None


def test_a_layer_of_another_network_has_no_macs() -> None:
    other = replace(COUNTED, layers=(layer(1, "other", "Convolution", (4, 5, 5), (8, 5, 5)),))
    assert bill(other).layers[0].macs == 0


def test_the_order_of_blocks_changes_nothing() -> None:
    turned = replace(DUMP, blocks=tuple(reversed(DUMP.blocks)))
    assert bill(replace(COUNTED, dump=turned)) == bill()


def test_addresses_between_functions_have_no_name() -> None:
    assert SYMBOLS.name_of(0x0FFF) == NO_SYMBOL
    assert SYMBOLS.name_of(0x100F) == "ncnn::gemm(int)"
    assert SYMBOLS.name_of(0x1010) == "also_relu"
    assert SYMBOLS.name_of(0x1030) == NO_SYMBOL
    assert SYMBOLS.name_of(0x9999) == "last one", "its size is not known"
    assert parse_symbols("").name_of(0) == NO_SYMBOL


PRICES = MissPrices(l2_hit=10.0, l2_miss=100.0, int8_extra=0.5, fitted_on="a board", networks=4, error=0.1)


def with_prices(counted: Counted, prices: MissPrices | None = PRICES, priced: Priced | None = PRICED) -> SideCycles:
    return account(
        counted,
        label="ours",
        core=CORES["cortex-a76"],
        graph=GRAPH,
        priced=priced,
        symbols=SYMBOLS,
        miss_prices=prices,
    )


def test_misses_are_priced_where_they_are_booked() -> None:
    conv, act = COUNTED.layers
    side = with_prices(replace(COUNTED, layers=(conv.model_copy(update={"precision": "int8"}), act)))
    # Of three lines that L1 lacks, L2 lacks one.
    assert layers_of(side)["conv"].cycles_with_misses == 240 + 120 + 2 * 10 + 100
    assert layers_of(side)["act"].cycles_with_misses == 26 + 100
    assert side.outside.cycles_with_misses == side.outside.cycles == 5
    assert side.cycles_with_misses == 480 + 126 + 5
    assert layers_of(with_prices(COUNTED))["conv"].cycles_with_misses == 240 + 120, "a float layer costs no more"
    halved = layers_of(with_prices(replace(COUNTED, runs=2)))["conv"]
    # Half a line is rounded to even.
    assert halved.cycles_with_misses == 120 + 2 * 10


def test_without_prices_or_caches_nothing_is_added() -> None:
    unpriced = (with_prices(COUNTED, None), with_prices(COUNTED, priced=None))
    uncounted = with_prices(replace(COUNTED, dump=replace(DUMP, memory=())))
    for side in (*unpriced, uncounted):
        assert side.cycles_with_misses is None and side.outside.cycles_with_misses is None
        assert all(item.cycles_with_misses is None for item in side.layers)
    assert uncounted.outside.memory is None
    assert bill().outside.memory is not None and bill().outside.memory.loads == 0, "the boundary is nobody's"


def test_threads_wait_for_each_other_after_each_layer() -> None:
    side = bill()
    assert (layers_of(side)["conv"].span_cycles, layers_of(side)["act"].span_cycles) == (150, 26)
    assert side.outside.span_cycles == 5
    assert side.span_cycles == 181
    # The other thread does all of the activation: the sums of both are nearly the same, the span is not.
    blocks = tuple(
        replace(block, counts=counts((6, 1, 40), (7, 0, 6))) if block.code == ADD else block for block in DUMP.blocks
    )
    turned = bill(replace(COUNTED, dump=replace(DUMP, blocks=blocks)))
    assert turned.span_cycles == 150 + 20 + 5
    assert max(thread.cycles or 0 for thread in turned.threads) == 161
    alone = tuple(replace(block, counts=counts((4, 0, 9))) for block in DUMP.blocks)
    assert bill(replace(COUNTED, dump=replace(DUMP, blocks=alone))).span_cycles is None
