"""Reads documents that may be damaged or made to do harm, in bounded memory and time.

Nothing here is of the error tree: a file is refused by ``OSError``, a text by ``ValueError``, and nothing else is
raised. What the document is for, and what to do about it, only the caller knows.
"""

from __future__ import annotations

import errno
import json
import re
import reprlib
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

MIB = 1 << 20
TOML_LIMIT_BYTES = MIB // 4
"""A value of another type than the schema's costs pydantic half a KiB, and two bytes of text make one."""

# pydantic's tree of a JSON text takes 2 KiB a list or object and, with its fault, 1 KiB a value.
_MOST_CONTAINERS = 100_000
_MOST_VALUES = 600_000
_DEEPEST_KEY = 32
_DOTTED_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_DEEPEST_KEY}}}""")
_MOST_DIGITS = 1000
_LONGEST_KEY = 300
_MOST_FAULTS = 50
_MOST_DETAILED_FAULTS = 10_000


class _Shown(reprlib.Repr):
    """A bounded ``repr``. Numbers beyond what ``int`` turns into text have their size named."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200
        self.maxlong = 60

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > 3 * _MOST_DIGITS:
            return f"a number of {x.bit_length()} bits"
        return super().repr_int(x, level)


_SHOWN = _Shown()


def shown(value: object) -> str:
    """Return a value of a document for a message: like ``repr``, but never long, and of any depth.

    Example:
        >>> shown("a" * 1000)[-10:], shown(1 << 20000)
        ("aaaaaaaaa'", 'a number of 20001 bits')
    """
    return _SHOWN.repr(value)


def key_of(location: Sequence[str | int]) -> str:
    """Return where a fault is as ``table.key.0``, bounded; empty for the whole document."""
    text = ".".join(str(part)[:_LONGEST_KEY] for part in location)
    return text[:_LONGEST_KEY].encode("utf-8", errors="backslashreplace").decode()


def describe_faults(error: ValidationError, describe: Callable[[Any], str], *, most: int = _MOST_FAULTS) -> str:
    """Return a document's faults, a line each: the first ``most``, and how many more there are."""
    count = error.error_count()
    if not can_be_detailed(count):
        return f"  it has {count} faults"
    lines = [describe(fault) for fault in error.errors()[:most]]
    return "\n".join([*lines, *([f"  and {count - len(lines)} more"] if count > len(lines) else [])])


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """Return a file's bytes.

    Raises:
        OSError: It cannot be read, or is longer than such a file can need to be (``EFBIG``).
    """
    with path.open("rb") as stream:
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {limit_bytes} bytes, the most that such a file may have")
    return content


def load_json(text: str | bytes) -> Any:
    """Return a JSON document.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def require_modest_json(text: str | bytes) -> None:
    """Check, before pydantic parses a text, that its tree fits in memory (below 1 GB).

    Raises:
        ValueError: It has more lists, objects or values than any document here.
    """
    if isinstance(text, str):
        containers, values = text.count("[") + text.count("{"), text.count(",")
    else:
        containers, values = text.count(b"[") + text.count(b"{"), text.count(b",")
    if containers > _MOST_CONTAINERS or values > _MOST_VALUES:
        raise ValueError(
            f"it has {containers} lists and objects and {values} values; {_MOST_CONTAINERS} and {_MOST_VALUES} are "
            "the most that are read"
        )


def read_toml(path: Path) -> dict[str, Any]:
    """Return the document of a TOML file.

    Raises:
        OSError: It cannot be read, or is longer than 256 KiB.
        ValueError: It is no TOML, nested too deeply, or has numbers of thousands of digits.
    """
    text = read_limited(path, TOML_LIMIT_BYTES).decode("utf-8")
    # tomllib takes time and memory with the square of a key's parts.
    if (deep := _DOTTED_KEY.search(text)) is not None:
        line = text.count("\n", 0, deep.start()) + 1
        raise ValueError(f"a key has more than {_DEEPEST_KEY} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def can_be_detailed(fault_count: int) -> bool:
    """Return whether a document's faults are few enough to have each described; describing one takes half a KiB."""
    return fault_count <= _MOST_DETAILED_FAULTS
