"""What guides the coverage-guided fuzzer beside coverage: mutations that keep a format, and how inputs are refused.

libFuzzer's own mutations break JSON, TOML and zip files at once, so that the readers' checks behind the parsers would
hardly be reached; and what pydantic decides happens in a library that is not instrumented.
"""

from __future__ import annotations

import copy
import io
import json
import random
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from fuzz_mutations import DAMAGES, NUMBERS, TAGS, WORDS

from edgedeploy.errors import EdgedeployError

REFUSALS = 4096
"""Kinds that are told apart."""
_PLAIN_SHARE = 0.3
_TREE_SHARE = 0.6
_LARGEST = 1 << 30
_LONGEST_LEAF_BYTES = 4096
_UNPACKED_BYTES = 1 << 20
_LEAVES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 2**31, -(2**63), 2**64, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "a", "..", "/", "../a", "a/b", "a\0b", "\ud800", "\x1b[31m", "x" * 300, "1", "null", "ab" * 32),
    *([], {}, [[]], [None], {"": None}),
)

Plain = Callable[[bytes, int], bytes]


def mutate(content: bytes, most_bytes: int, seed: int, plain: Plain) -> bytes:
    """Return an input made of another, the same for the same seed as far as ``plain`` is.

    Args:
        most_bytes: The result has no more.
        plain: libFuzzer's own mutation, with the same bound.
    """
    rng = random.Random(seed)
    if rng.random() < _PLAIN_SHARE or not content:
        return plain(content, most_bytes)
    if content.startswith(b"PK"):
        made = _in_archive(content, rng, plain)
    else:
        made = _in_tree(content, rng) if content[:1] in b"{[" and rng.random() < _TREE_SHARE else None
    if made is None:
        made = _in_text(content, rng)
    return made[:most_bytes]


def refusal(error: EdgedeployError) -> int:
    """Return a number below ``REFUSALS`` that tells apart why inputs are refused, not which ones."""
    said = re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "", error.message)
    return zlib.crc32(f"{type(error).__name__} {said[:2000]}".encode(errors="replace")) % REFUSALS


def _in_text(content: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(DAMAGES)(content, lambda _: rng.randrange(_LARGEST))
    return content


def _in_tree(content: bytes, rng: random.Random) -> bytes | None:
    """Change one to three places of a JSON document, or of one of its lines; None where neither is one."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    for index, whole in ((0, True), (at, False)):
        try:
            tree = json.loads(content if whole else lines[index])
        except (ValueError, RecursionError):
            continue
        for _ in range(rng.randint(1, 3)):
            tree = _changed(tree, rng)
        try:
            text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, separators=(",", ":"))
        except RecursionError:
            return None
        made = text.encode("utf-8", errors="surrogatepass")
        return made if whole else b"\n".join([*lines[:index], made, *lines[index + 1 :]])
    return None


def _changed(tree: Any, rng: random.Random) -> Any:
    """Change one place: go down at random, then replace, drop, double, rename or wrap what is there."""
    places: list[tuple[Any, Any]] = []
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            nodes.append(node[key])
    if not places:
        return copy.deepcopy(rng.choice(_LEAVES))
    holder, key = rng.choice(places)
    other, of = rng.choice(places)
    match rng.randrange(7):
        case 0:
            del holder[key]
        case 1:
            holder[key] = json.loads(json.dumps(other[of]))
        case 2 if isinstance(holder, dict):
            name = of if isinstance(of, str) else rng.choice(("", "schema", "a" * 300))
            holder[name] = holder.pop(key)
        case 3 if isinstance(holder, list):
            holder.extend([holder[key]] * (2 ** rng.randrange(8)))
        case 4:
            holder[key] = [holder[key]]
        case 5 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * rng.choice((-1, 0, 2, 10, 0.5)) + rng.choice((-1, 0, 1))
        case _:
            holder[key] = copy.deepcopy(rng.choice(_LEAVES))
    return tree


def _in_archive(content: bytes, rng: random.Random, plain: Plain) -> bytes | None:
    """Change one file of an archive and pack it anew, so that its checksum holds; None where it is no archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(item.file_size for item in archive.infolist()) > _UNPACKED_BYTES:
                return None
            members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    except Exception:  # whatever zipfile makes of damaged ones
        return None
    if not members:
        return None
    at = rng.randrange(len(members))
    name, inside = members[at]
    if rng.random() < 0.2:
        name = rng.choice((" ", "x.npy", "../x.npy", "other.npy", "x", "x.npy/"))
    else:
        inside = plain(inside, _UNPACKED_BYTES) if rng.random() < 0.5 else _in_text(inside, rng)
    members[at] = (name, inside)
    if rng.random() < 0.1:
        members.append(rng.choice(members))
    stream = io.BytesIO()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive,
        ):
            for name, inside in members:
                archive.writestr(name, inside)
    except (ValueError, UnicodeError, zipfile.LargeZipFile):
        return None
    return stream.getvalue()


def dictionary() -> str:
    """Return the numbers, words and tags of the mutations as libFuzzer's dictionary."""
    words = [word for word in (*NUMBERS, *WORDS, *TAGS) if len(word) < 64]
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in words]
    return "".join(f'"{line}"\n' for line in lines)
