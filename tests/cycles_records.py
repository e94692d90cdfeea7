"""Results of ``cycles`` made up for tests: a network of two layers, in half precision of round figures."""

from __future__ import annotations

from edgedeploy.cyclesfile import (
    Bounds,
    CyclesRecord,
    InstructionMix,
    KernelCycles,
    LayerCycles,
    MemoryFigures,
    MissPrices,
    OutputCheck,
    OutsideCycles,
    SideCycles,
    ThreadCycles,
)

MIX = InstructionMix(integer=3, branch=1, load=2, store=1, vector_128=3, vector_64=0, system=0)
MEMORY = MemoryFigures(
    loads=4_000_000, stores=1_000_000, l1_misses=30_000, l1_stream_misses=29_000, l2_misses=8, l2_stream_misses=7
)


MISS_PRICES = MissPrices(
    l2_hit=11.9,
    l2_miss=6.1,
    int8_extra=0.3,
    fitted_on="published times of a board at 1.8 GHz, January 2022",
    networks=9,
    error=0.066,
)


def layer(name: str, cycles: int | None, *, instructions: int, share: float, own: bool = False) -> LayerCycles:
    macs = 512_000_000 if own else 0
    return LayerCycles(
        index=1,
        name=name,
        type="Convolution" if own else "Pooling",
        implementation="edgedeploy" if own else "ncnn",
        precision="int8",
        instructions=instructions,
        cycles=cycles,
        macs=macs,
        mac_per_cycle=macs / cycles if cycles else None,
        share=share,
        kernel="gemm_s8_8x8_neondot",
    )


def side(label: str, cycles: int | None = 20_000_000, *, instructions: int = 40_000_000) -> SideCycles:
    """Return a side whose convolution is nine tenths of it."""
    part = cycles * 9 // 10 if cycles is not None else None
    rest = cycles - part if cycles is not None and part is not None else None
    return SideCycles(
        label=label,
        outputs=OutputCheck(passed=True, cosine=0.99991, max_abs_error=0.01),
        instructions=instructions,
        cycles=cycles,
        macs=512_000_000,
        mac_per_cycle=512_000_000 / cycles if cycles else None,
        priced_share=None if cycles is None else 0.9991,
        unpriced_instructions=12,
        layers=(
            layer("conv_with_a_name_that_is_long_17", part, instructions=36_000_000, share=0.9, own=True),
            layer("pool[/bold]", rest, instructions=3_900_000, share=0.1),
        ),
        outside=OutsideCycles(instructions=100_000, cycles=None if cycles is None else 1000, share=0.0),
        kernels=(
            KernelCycles(
                name="void ncnn::gemm<int, 4>(int) [clone ._omp_fn.0]", instructions=9, cycles=part, share=0.6
            ),
            KernelCycles(name="void ncnn::gemm<int, 8>(int)", instructions=9, cycles=0 if part else None, share=0.3),
            KernelCycles(name="pool", instructions=1, cycles=rest, share=0.1),
        ),
        threads=(ThreadCycles(vcpu=0, instructions=instructions, cycles=cycles),),
        mix=MIX,
    )


def with_misses(made: SideCycles, extra: int) -> SideCycles:
    """Return a side whose caches lacked lines, at so many cycles in its convolution."""
    conv, pool = made.layers
    conv = conv.model_copy(update={"memory": MEMORY, "cycles_with_misses": (conv.cycles or 0) + extra})
    pool = pool.model_copy(update={"memory": MEMORY, "cycles_with_misses": pool.cycles})
    return made.model_copy(
        update={"layers": (conv, pool), "memory": MEMORY, "cycles_with_misses": (made.cycles or 0) + extra}
    )


def record(
    ours: SideCycles | None = None, *, stock: SideCycles | None = None, core: str = "cortex-a76", **other: object
) -> CyclesRecord:
    """Return a result; ``other`` are further fields."""
    ours = ours or side("edgedeploy")
    ratio = ours.cycles / stock.cycles if stock is not None and ours.cycles and stock.cycles else None
    values: dict[str, object] = {
        "model": "mobilenet_v1",
        "network": "0" * 64,
        "int8": True,
        "precision": "fp16",
        "core": core,
        "priced_as": "neoverse-n1" if ours.cycles is not None else None,
        "emulated_as": "cortex-a76",
        "threads": 1,
        "estimated_by": "one inference counted by qemu-aarch64 7.2.22 as cortex-a76, priced by llvm-mca 19.1.7",
        "versions": {"edgedeploy": "0.1.0", "engine": "1.0", "llvm": "19.1.7"},
        "command": "edgedeploy cycles --model mobilenet_v1 --int8 --core cortex-a76 --against stock --memory",
        "ours": ours,
        "stock": stock,
        "ratio": ratio,
        "instructions_ratio": ours.instructions / stock.instructions if stock is not None else None,
        "notes": ("no caches, no branch misses",),
    }
    return CyclesRecord.model_validate(values | other)


def in_order(label: str = "edgedeploy") -> SideCycles:
    """Return a side of a core without a price."""
    bounds = Bounds(issue=20_000_000, load_store=9_000_000, vector=18_000_000, branch=10, at_least=20_000_000)
    return side(label, None).model_copy(update={"bounds": bounds})
