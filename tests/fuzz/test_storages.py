"""Every storage of weights is in a seed and among the mutations, and the readers get to it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz_guidance import dictionary, mutate
from fuzz_mutations import TAGS
from fuzz_readers import READERS, check
from fuzz_seeds import WEIGHTS_MARK, networks
from random_nets import TABLE_TAG

from edgedeploy.graph import Storage, Weight, storage
from edgedeploy.graph.storage import WeightReader


def mutated(content: bytes, seed: int) -> bytes:
    return mutate(content, 65536, seed, lambda content, most_bytes: content[:most_bytes])


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Weight]:
    """What the reader of weights takes off files from now on, in order."""
    weights: list[Weight] = []
    for load in ("tagged", "untagged", "packed"):
        read = getattr(WeightReader, load)

        def record(*arguments: object, read: Callable[..., Weight] = read) -> Weight:
            weights.append(read(*arguments))
            return weights[-1]

        monkeypatch.setattr(WeightReader, load, record)
    return weights


@pytest.mark.parametrize("kind", Storage)
def test_each_storage_is_read_and_decoded_in_a_seed(kind: Storage, taken: list[Weight], tmp_path: Path) -> None:
    for seed in networks():
        assert check(READERS["network"], seed, tmp_path) is None
    mine = [weight for weight in taken if weight.storage is kind]
    assert mine
    assert all(weight.array.size == weight.elements > 0 for weight in mine)


def test_mutated_files_are_read_as_far_as_each_storage(taken: list[Weight], tmp_path: Path) -> None:
    for number, seed in enumerate(networks() * 8):
        check(READERS["network"], mutated(seed, number), tmp_path)
    assert {weight.storage for weight in taken} == set(Storage)


def test_the_tags_of_the_mutations_are_those_of_the_reader() -> None:
    numbers = {struct.unpack("<I", tag)[0] for tag in TAGS}
    assert numbers == {*storage.TAGS.values(), TABLE_TAG}


def test_the_tags_are_in_the_dictionary() -> None:
    words = dictionary()
    for tag in TAGS:
        assert "".join(f"\\x{byte:02x}" for byte in tag) in words


def test_mutations_put_every_tag_into_a_float_network() -> None:
    made = b"".join(mutated(networks()[0], number).partition(WEIGHTS_MARK)[2] for number in range(300))
    assert [tag for tag in TAGS if tag not in made] == []
