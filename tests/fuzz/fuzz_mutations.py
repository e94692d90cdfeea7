"""Damage that knows the formats: numbers, words, lines, nesting, lengths and bytes of a valid document."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import strategies as st

NUMBERS = (
    *(b"0 1 -1 -0 2 7 255 -233 65536 2147483647 2147483648 -2147483648 -2147483649 4294967296".split()),
    *(b"9223372036854775808 1e400 -1e400 1e-400 1e308 0.5 NaN nan inf -Infinity 0x7fffffff 1_0 01 1. .5".split()),
    b"9" * 5000,
    b"0x" + b"f" * 20_000,
    b"1" * 200_000 + b"e",
    "١٢".encode(),
)
WORDS = (
    *(b'null true false "" [] {} "a" [1] {"a":1} .. / Input Convolution LSTM MemoryData = " , : # \\'.split()),
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b'"\\ud800"',
    b'"\\u0000"',
    b"\r\n",
    b"\n\n",
    b"\x1b[31m",
    b"a" * 70_000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[[]," * 50_000,
    b"1," * 100_000,
    b"a." * 30_000 + b"a=1\n",
    b"[" + b"a." * 30_000 + b"a]\n",
    b"{a=" * 3_000,
    b"a=[" + b"[" * 20_000,
    b"0=1 " * 20_000,
)
TAGS = tuple(number.to_bytes(4, "little") for number in (0, 0x01306B47, 0x01348B83, 0x000D4B38, 0x0002C056, 0x04030201))
"""In front of weights: float32, fp16, bf16, int8, raw float32; any other number is a table's."""
_TAG = re.compile(b"|".join(map(re.escape, TAGS)))
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb'"[^"\n]*"|[A-Za-z_][\w.-]*')

Draw = Callable[[st.SearchStrategy[int]], int]
_LARGEST = 1 << 30


def _below(draw: Draw, limit: int) -> int:
    return draw(st.integers(0, _LARGEST)) % max(limit, 1)


def _replace(pattern: re.Pattern[bytes], values: tuple[bytes, ...]) -> Callable[[bytes, Draw], bytes]:
    def mutate(content: bytes, draw: Draw) -> bytes:
        places = [match.span() for match in pattern.finditer(content[:200_000])]
        if not places:
            return content + values[_below(draw, len(values))]
        start, end = places[_below(draw, len(places))]
        return content[:start] + values[_below(draw, len(values))] + content[end:]

    return mutate


def _insert(content: bytes, draw: Draw) -> bytes:
    at = _below(draw, len(content) + 1)
    return content[:at] + WORDS[_below(draw, len(WORDS))] + content[at:]


def _cut(content: bytes, draw: Draw) -> bytes:
    return content[: _below(draw, len(content) + 1)]


def _drop(content: bytes, draw: Draw) -> bytes:
    at = _below(draw, len(content) + 1)
    return content[:at] + content[at + 1 + _below(draw, 40) :]


def _flip(content: bytes, draw: Draw) -> bytes:
    at = _below(draw, len(content))
    return content[:at] + bytes([_below(draw, 256)]) + content[at + 1 :]


def _lines(content: bytes, draw: Draw) -> bytes:
    """Drop, double or move a part between two line ends, commas or braces: in JSON that doubles keys."""
    parts = re.split(rb"(?<=[\n,{}])", content)
    source, target = _below(draw, len(parts)), _below(draw, len(parts))
    match _below(draw, 3):
        case 0:
            del parts[source]
        case 1:
            parts.insert(target, parts[source])
        case _:
            parts[source], parts[target] = parts[target], parts[source]
    return b"".join(parts)


def _repeat(content: bytes, draw: Draw) -> bytes:
    """Say a part again and again, up to 400 kB of it."""
    start = _below(draw, len(content) + 1)
    part = content[start : start + 1 + _below(draw, 200)]
    times = min(2 ** _below(draw, 16), 400_000 // max(len(part), 1))
    return content[:start] + part * times + content[start:]


DAMAGES: tuple[Callable[[bytes, Draw], bytes], ...] = (
    _replace(_NUMBER, NUMBERS),
    _replace(_NUMBER, NUMBERS + WORDS),
    _replace(_WORD, WORDS + NUMBERS),
    _replace(_TAG, TAGS),
    _insert,
    _cut,
    _drop,
    _flip,
    _lines,
    _repeat,
)


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with one to four mutations."""
    content = draw(st.sampled_from(seeds))
    for index in draw(st.lists(st.integers(0, len(DAMAGES) - 1), min_size=1, max_size=4)):
        content = DAMAGES[index](content, draw)
    return content
