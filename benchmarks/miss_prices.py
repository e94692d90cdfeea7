#!/usr/bin/env python3
"""Fits what cache misses cost on half of the engine's benchmark networks, and holds the other half against it.

    python benchmarks/miss_prices.py --table FILE [FILE ...] --counts FILE [--json]

A table has the engine's published times as tab-separated columns, at least board, num_threads, powersave, model and
min_ms. The counts are those of benchmarks/miss_counts.py. Of each core, networks are taken in the order of their names,
float ones and int8 ones apart, and every other one is fitted on; on boards with the same core and caches that are in a
table too, all are held against the fit. What comes out belongs into edgedeploy/cycles/miss_prices.py and
docs/cycles.md.

Published cycles are modelled as in-core cycles + hits x l2_hit + misses x l2_miss + int8 cycles x int8_extra, none of
the three below zero, with the least squares of the relative error. int8_extra is fitted where the core's model in llvm
is another core's.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miss_counts import read_counts

Matrix = NDArray[np.float64]

PRICES = ("l2_hit", "l2_miss", "int8_extra")


@dataclass(frozen=True, kw_only=True)
class PublishedBoard:
    """Where a board's times stand in the table.

    Args:
        title: Words of the column ``board``.
        powersave: Which cores ran: 2 big ones, 0 all (where they are the same).
        counted_as: The board that the counts are of: of the same core and caches.
        fitted: Whether its networks are fitted on.
        prices: Which are fitted.
    """

    name: str
    title: str
    powersave: str
    mhz: int
    core: str
    counted_as: str
    fitted: bool
    prices: tuple[str, ...] = PRICES


BOARDS = (
    PublishedBoard(
        name="rk3399",
        title="Rockchip RK3399 (Cortex-A72",
        powersave="2",
        mhz=1800,
        core="cortex-a72",
        counted_as="rk3399",
        fitted=True,
    ),
    PublishedBoard(
        name="rpi4",
        title="Raspberry Pi 4 Model B Broadcom BCM2711B0, Cortex-A72 (ARMv8)",
        powersave="0",
        mhz=1800,
        core="cortex-a72",
        counted_as="rk3399",
        fitted=False,
    ),
    PublishedBoard(
        name="rpi5",
        title="Raspberry Pi 5 Broadcom BCM2712, Cortex-A76 (ARMv8) (2.4GHz",
        powersave="0",
        mhz=2400,
        core="cortex-a76",
        counted_as="rpi5",
        fitted=True,
        prices=("l2_hit", "l2_miss"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One network on one board: published and counted, in cycles and lines of an inference."""

    board: str
    net: str
    published: float
    in_core: float
    hits: float
    misses: float
    int8: float

    @property
    def priced(self) -> tuple[float, float, float]:
        """What the prices are of."""
        return self.hits, self.misses, self.int8

    def predicted(self, prices: Sequence[float]) -> float:
        return self.in_core + sum(amount * price for amount, price in zip(self.priced, prices, strict=True))


@dataclass(frozen=True, kw_only=True)
class Row:
    """``half``: "fitted", or "held" out. The last two are estimates as shares of the published cycles."""

    board: str
    core: str
    net: str
    half: str
    published: float
    in_core: float
    with_misses: float


def samples(board: PublishedBoard, table: Iterable[dict[str, str]], counts: Iterable[dict[str, Any]]) -> list[Sample]:
    """Return the board's networks that are published for one thread and counted, by name."""
    published = {
        row["model"]: float(row["min_ms"]) * board.mhz * 1e3
        for row in table
        if row["board"].startswith(board.title)
        and (row["num_threads"], row["powersave"]) == ("1", board.powersave)
        and row.get("gpu_device", "-1") == "-1"
    }
    found = []
    for count in counts:
        if count["board"] != board.counted_as or count["net"] not in published:
            continue
        memory = count["memory"]
        found.append(
            Sample(
                board=board.name,
                net=count["net"],
                published=published[count["net"]],
                in_core=count["cycles"],
                hits=memory["l1_misses"] - memory["l2_misses"],
                misses=memory["l2_misses"],
                int8=count["int8_cycles"],
            )
        )
    return sorted(found, key=lambda sample: (sample.int8 > 0, sample.net))


def fit(training: Sequence[Sample], names: Sequence[str] = PRICES) -> tuple[float, ...]:
    """Return the prices with the least squares of the relative error, none below zero.

    With so few of them, each set that may be other than zero is tried.

    Args:
        names: Of the prices that may be other than zero.
    """
    free = [PRICES.index(name) for name in names]
    published = np.array([sample.published for sample in training])
    amounts: Matrix = np.array([sample.priced for sample in training]) / published[:, np.newaxis]
    missing: Matrix = 1 - np.array([sample.in_core for sample in training]) / published
    best, least = np.zeros(len(PRICES)), float(missing @ missing)
    for size in range(1, len(free) + 1):
        for chosen in combinations(free, size):
            columns = amounts[:, chosen]
            if not columns.any(axis=0).all():
                continue
            prices = np.linalg.lstsq(columns, missing, rcond=None)[0]
            rest = missing - columns @ prices
            if prices.min() >= 0 and float(rest @ rest) < least:
                least = float(rest @ rest)
                best = np.zeros(len(PRICES))
                best[list(chosen)] = prices
    return tuple(float(price) for price in best)


def error(shares: Sequence[float]) -> float:
    """Return the root mean square of shares less one."""
    return float(np.sqrt(np.mean((np.array(shares) - 1) ** 2)))


def halves(all_of_them: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return what to fit on, and what to hold against it."""
    return all_of_them[::2], all_of_them[1::2]


def rows_of(board: PublishedBoard, half: str, found: Sequence[Sample], prices: Sequence[float]) -> list[Row]:
    return [
        Row(
            board=board.name,
            core=board.core,
            net=sample.net,
            half=half,
            published=sample.published,
            in_core=sample.in_core / sample.published,
            with_misses=sample.predicted(prices) / sample.published,
        )
        for sample in found
    ]


def evaluate(table: Sequence[dict[str, str]], counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return prices by core, errors by board and half, and a row for each network."""
    prices: dict[str, tuple[float, ...]] = {}
    rows: list[Row] = []
    for board in sorted(BOARDS, key=lambda item: not item.fitted):
        found = samples(board, table, counts)
        if not found:
            continue
        if board.fitted:
            training, held = halves(found)
            prices[board.core] = fit(training, board.prices)
            rows += rows_of(board, "fitted", training, prices[board.core])
            rows += rows_of(board, "held", held, prices[board.core])
        else:
            rows += rows_of(board, "held", found, prices[board.core])
    keys = dict.fromkeys((row.board, row.half) for row in rows)
    errors = []
    for board_name, half in keys:
        part = [row for row in rows if (row.board, row.half) == (board_name, half)]
        errors.append(
            {
                "board": board_name,
                "half": half,
                "networks": len(part),
                "in_core": error([row.in_core for row in part]),
                "with_misses": error([row.with_misses for row in part]),
            }
        )
    return {
        "prices": {core: dict(zip(PRICES, values, strict=True)) for core, values in prices.items()},
        "errors": errors,
        "rows": [asdict(row) for row in rows],
    }


def text(result: dict[str, Any]) -> str:
    lines = []
    for core, prices in result["prices"].items():
        lines.append(f"{core}: " + ", ".join(f"{name} {price:.2f}" for name, price in prices.items()))
    lines.append(f"\n{'board':8}{'network':20}{'half':8}{'published':>10}{'in core':>9}{'with misses':>13}")
    for row in result["rows"]:
        published = f"{row['published'] / 1e6:9.1f}M"
        lines.append(
            f"{row['board']:8}{row['net']:20}{row['half']:8}{published}{row['in_core']:9.2f}{row['with_misses']:13.2f}"
        )
    lines.append("")
    for item in result["errors"]:
        lines.append(
            f"{item['board']:8}{item['half']:8}{item['networks']:3} networks, root mean square of the error: "
            f"{item['in_core']:.3f} in the core, {item['with_misses']:.3f} with misses"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, nargs="+", required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table: list[dict[str, str]] = []
    for file in arguments.table:
        with file.open(encoding="utf-8", newline="") as stream:
            table += csv.DictReader(stream, delimiter="\t")
    result = evaluate(table, read_counts(arguments.counts))
    print(json.dumps(result, indent=2) if arguments.json else text(result))


if __name__ == "__main__":
    main()
