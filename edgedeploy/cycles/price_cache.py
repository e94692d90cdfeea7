"""Prices on disk, so that a block is priced once: one file of JSON lines for each version of llvm and core.

Lines are appended under a lock. Each carries a checksum, so what a crash or a full disk left half-written is no price.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path

from edgedeploy.artifacts import canonical_json
from edgedeploy.cycles.llvm import Price
from edgedeploy.files import exclusive
from edgedeploy.reading import load_json

RECIPE = 1
"""Raise it with every change to how a block is priced: old prices are then left alone."""

_LOCK_DEADLINE_S = 60.0


class PriceCache:
    """Prices of blocks by their code.

    Args:
        directory: Made where it is missing.
        version: llvm's.
        cpu: llvm's name of the core.
    """

    def __init__(self, directory: Path, *, version: str, cpu: str) -> None:
        self.file = directory / f"prices-{RECIPE}-{version}-{cpu}.jsonl"

    def load(self) -> dict[str, Price]:
        """Return all prices that are whole; none where the file cannot be read."""
        try:
            content = self.file.read_bytes()
        except OSError:
            return {}
        prices: dict[str, Price] = {}
        for line in content.splitlines():
            entry = _entry(line)
            if entry is not None:
                prices[entry[0]] = entry[1]
        return prices

    def add(self, prices: Mapping[str, Price]) -> bool:
        """Append prices; without harm where another process does so too.

        Returns:
            False where they cannot be kept: pricing again is all that costs.
        """
        lines = b"".join(_line(code, price) for code, price in sorted(prices.items()))
        try:
            with exclusive(self.file.with_suffix(".lock"), deadline_s=_LOCK_DEADLINE_S) as held:
                if not held:
                    return False
                with self.file.open("ab+") as stream:
                    # A line that a crash cut short must not swallow the first of the new ones.
                    end = stream.tell()
                    if end:
                        stream.seek(end - 1)
                        lines = lines if stream.read(1) == b"\n" else b"\n" + lines
                    stream.write(lines)
        except OSError:
            return False
        return True


def _line(code: str, price: Price) -> bytes:
    values = [code, price.cycles, price.unpriced]
    return canonical_json([*values, zlib.crc32(canonical_json(values))])


def _entry(line: bytes) -> tuple[str, Price] | None:
    try:
        code, cycles, unpriced, checksum = load_json(line)
        whole = zlib.crc32(canonical_json([code, cycles, unpriced])) == checksum
        price = Price(cycles=float(cycles), unpriced=int(unpriced))
    except (ValueError, TypeError, OverflowError):
        return None
    return (str(code), price) if whole and math.isfinite(price.cycles) and price.cycles > 0 else None
