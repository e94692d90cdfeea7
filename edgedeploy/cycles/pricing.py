"""Prices for the blocks of a dump: the hottest by llvm-mca, the rest by their average."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgedeploy.cycles.dump import Dump, words_of
from edgedeploy.cycles.llvm import Llvm, Price, disassemble, price_blocks
from edgedeploy.cycles.price_cache import PriceCache
from edgedeploy.errors import CycleCountError
from edgedeploy.progress import Progress

COVERAGE = 0.999
"""Of the executed instructions, so many lie in blocks with a price of their own."""

_BATCH = 128
_WORD_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Priced:
    """The prices of one dump.

    Args:
        prices: By code, for the hottest blocks.
        cycles_an_instruction: Of these on average: what an instruction of any other block costs.
        share: Of the instructions, those in blocks with a price.
        unpriced_instructions: Executed instructions of these blocks that llvm could not price.
    """

    prices: Mapping[str, Price]
    cycles_an_instruction: float
    share: float
    unpriced_instructions: int

    def cycles(self, code: str) -> float:
        """Return what one execution of a block costs."""
        price = self.prices.get(code)
        return len(code) // _WORD_DIGITS * self.cycles_an_instruction if price is None else price.cycles


def hottest(dump: Dump, coverage: float = COVERAGE) -> Counter[str]:
    """Return how often the blocks ran that make up most of the executed instructions, merged by their code."""
    executions = merged(dump)
    weights = {code: count * (len(code) // _WORD_DIGITS) for code, count in executions.items()}
    total, covered = sum(weights.values()), 0
    chosen: Counter[str] = Counter()
    for code in sorted(weights, key=lambda item: (-weights[item], item)):
        if covered >= coverage * total:
            break
        chosen[code] = executions[code]
        covered += weights[code]
    return chosen


def merged(dump: Dump) -> Counter[str]:
    """Return how often each code ran, at whatever address and in whatever slot."""
    executions: Counter[str] = Counter()
    for block in dump.blocks:
        if block.executions:
            executions[block.code] += block.executions
    return executions


def price_dump(dump: Dump, cpu: str, llvm: Llvm, cache: PriceCache, *, progress: Progress) -> Priced:
    """Price a dump.

    Args:
        cpu: llvm's name of the core.

    Raises:
        CycleCountError: llvm failed, or nothing was executed.
    """
    chosen = hottest(dump)
    if not chosen:
        raise CycleCountError("no instructions were counted", hint="this is a fault of edgedeploy; please report it")
    known = cache.load()
    missing = [code for code in chosen if code not in known]
    if missing:
        known |= _price_missing(missing, cpu, llvm, cache, progress)
    prices = {code: known[code] for code in chosen}
    instructions = sum(count * (len(code) // _WORD_DIGITS) for code, count in chosen.items())
    everything = sum(count * (len(code) // _WORD_DIGITS) for code, count in merged(dump).items())
    return Priced(
        prices=prices,
        cycles_an_instruction=sum(count * prices[code].cycles for code, count in sorted(chosen.items())) / instructions,
        share=instructions / everything,
        unpriced_instructions=sum(count * prices[code].unpriced for code, count in chosen.items()),
    )


def _price_missing(
    codes: Sequence[str], cpu: str, llvm: Llvm, cache: PriceCache, progress: Progress
) -> dict[str, Price]:
    made: dict[str, Price] = {}
    with progress.task(f"Pricing blocks by llvm-mca {llvm.version} ({cpu})") as task:
        texts = disassemble([word for code in codes for word in words_of(code)], llvm)
        for start in range(0, len(codes), _BATCH):
            task.update(start, len(codes), "blocks")
            batch = codes[start : start + _BATCH]
            prices = dict(
                zip(batch, price_blocks([list(words_of(code)) for code in batch], texts, cpu, llvm), strict=True)
            )
            cache.add(prices)
            made |= prices
    return made
