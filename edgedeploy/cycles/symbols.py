"""Names for addresses of the on-board program."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import CycleCountError

NO_SYMBOL = "(no symbol)"


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A function. ``size`` 0: not known, it reaches to the next one."""

    address: int
    size: int
    name: str


class Symbols:
    """The program's functions, looked up by address."""

    def __init__(self, symbols: Sequence[Symbol]) -> None:
        # Of several names of one address the one that covers most is meant, then the first by name.
        ordered = sorted(symbols, key=lambda symbol: (symbol.address, -symbol.size, symbol.name))
        self._symbols = [
            symbol for index, symbol in enumerate(ordered) if not index or symbol.address != ordered[index - 1].address
        ]
        self._addresses = [symbol.address for symbol in self._symbols]

    def name_of(self, address: int) -> str:
        """Return the function that an address lies in."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return NO_SYMBOL
        symbol = self._symbols[index]
        return symbol.name if not symbol.size or address < symbol.address + symbol.size else NO_SYMBOL


def read_symbols(path: Path) -> Symbols:
    """Read the list that is built beside the program.

    Raises:
        CycleCountError: It is missing or damaged.
    """
    try:
        return parse_symbols(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CycleCountError(
            f"the on-board program's list of functions cannot be read: {error}", hint="remove it and build again"
        ) from None


def parse_symbols(text: str) -> Symbols:
    """Read lines of ``address size name``, the numbers in hex.

    Raises:
        ValueError: A line is something else.
    """
    found = []
    for line in text.splitlines():
        address, size, name = line.split(" ", 2)
        found.append(Symbol(address=int(address, 16), size=int(size, 16), name=name.strip()))
    return Symbols(found)


def short_name(name: str) -> str:
    """Return a demangled name without parameters, template arguments and what the compiler added.

    Example:
        >>> short_name("ncnn::im2col<int, 4>(ncnn::Mat const&, int) [clone ._omp_fn.0]")
        'ncnn::im2col'
    """
    if name.startswith("("):
        return name
    kept: list[str] = []
    depth = 0
    for index, letter in enumerate(name):
        if letter == "<" and not name[:index].endswith("operator"):
            depth += 1
        elif letter == ">" and depth:
            depth -= 1
        elif depth == 0:
            if letter in "([" and kept and not name.startswith("(anonymous namespace)", index):
                break
            kept.append(letter)
    text = "".join(kept).strip()
    # A template's demangled name begins with its return type.
    return text.rsplit(" ", 1)[-1] if "operator" not in text and "(anonymous" not in text else text
