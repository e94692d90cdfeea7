"""Instructions by kind, from their encoding alone, and what the pipes of an in-order core need for them.

Source: Arm Architecture Reference Manual for A-profile, C4.1, A64 instruction set encoding.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from functools import cache

from edgedeploy.cycles.cores import Pipes
from edgedeploy.cycles.dump import words_of
from edgedeploy.cyclesfile import Bounds, InstructionMix


class Kind(str, Enum):
    """What an instruction occupies. ``VECTOR_64`` holds scalars of the FP registers too."""

    INTEGER = "integer"
    BRANCH = "branch"
    LOAD = "load"
    STORE = "store"
    VECTOR_128 = "vector_128"
    VECTOR_64 = "vector_64"
    SYSTEM = "system"


def kind_of(word: str) -> Kind:
    """Return what an instruction is.

    Example:
        >>> kind_of("4e809420"), kind_of("d65f03c0")
        (<Kind.VECTOR_128: 'vector_128'>, <Kind.BRANCH: 'branch'>)
    """
    bits = int(word, 16)
    group = bits >> 25 & 0b1111
    if group & 0b0111 == 0b0111:
        return _vector(bits)
    if group & 0b0101 == 0b0100:
        return Kind.LOAD if _loads(bits) else Kind.STORE
    if group & 0b1110 == 0b1010:
        return Kind.SYSTEM if bits >> 24 in (0xD4, 0xD5) else Kind.BRANCH
    if group & 0b1110 == 0b1000 or group & 0b0111 == 0b0101:
        return Kind.INTEGER
    return Kind.SYSTEM


@cache
def kinds_of(code: str) -> Counter[Kind]:
    """Return how many instructions of each kind a block has."""
    return Counter(map(kind_of, words_of(code)))


def mix_of(counts: Counter[Kind]) -> InstructionMix:
    return InstructionMix.model_validate({kind.value: counts[kind] for kind in Kind})


def bounds_of(mix: InstructionMix, pipes: Pipes) -> Bounds:
    """Return the cycles that each resource needs at least, were it busy all the time.

    A vector operation of 128 bits takes both 64-bit pipes, so one starts a cycle; of the others two.
    """
    instructions = sum(mix.model_dump().values())
    parts = {
        "issue": _up(instructions, pipes.issue),
        "load_store": mix.load + mix.store if pipes.one_memory_pipe else max(mix.load, mix.store),
        "vector": mix.vector_128 + _up(mix.vector_64, 2),
        "branch": mix.branch,
    }
    return Bounds.model_validate({**parts, "at_least": max(parts.values())})


def _up(count: int, by: int) -> int:
    return -(-count // by)


def _vector(bits: int) -> Kind:
    """Return the width: scalars and conversions to and from integers have bits 28 and 29:28 otherwise than vectors."""
    is_vector = bits >> 28 & 0b1 == 0 and bits >> 31 == 0
    return Kind.VECTOR_128 if is_vector and bits >> 30 & 1 else Kind.VECTOR_64


def _loads(bits: int) -> bool:
    """Say whether an instruction of the group of loads and stores loads. Prefetches do; atomics count as stores."""
    form = bits >> 27 & 0b111
    if form == 0b011:
        return True
    if form == 0b111 and not bits >> 26 & 1:
        return bits >> 22 & 0b11 != 0
    return bool(bits >> 22 & 1)
