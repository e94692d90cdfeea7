"""Mutations that keep a format, and the numbers of refusals."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from fuzz_guidance import REFUSALS, dictionary, mutate, refusal
from fuzz_readers import READERS

from edgedeploy.errors import InputError, ProjectFileError

MOST_BYTES = 65536
SEEDS = range(300)


def plain(content: bytes, most_bytes: int) -> bytes:
    return content[::-1][:most_bytes]


def made(name: str) -> list[bytes]:
    content = READERS[name].seeds()[0]
    return [mutate(content, MOST_BYTES, seed, plain) for seed in SEEDS]


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_input_is_the_same_for_the_same_seed_and_no_longer_than_asked(name: str) -> None:
    content = READERS[name].seeds()[0]
    inputs = made(name)
    assert inputs == made(name)
    assert len(set(inputs)) > len(SEEDS) // 4
    assert max(map(len, inputs)) <= MOST_BYTES
    assert all(len(mutate(content, 10, seed, plain)) <= 10 for seed in SEEDS)


@pytest.mark.parametrize("name", ["manifest", "run", "history"])
def test_much_of_what_is_made_is_json_still(name: str) -> None:
    def whole(content: bytes) -> bool:
        try:
            return all(json.loads(line) is not None for line in content.splitlines())
        except (ValueError, RecursionError):
            return False

    assert sum(map(whole, made(name))) > len(SEEDS) // 4


def test_archives_stay_archives() -> None:
    inside = set()
    for content in made("npz"):
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                assert archive.testzip() is None
                inside.add(tuple((item.filename, item.CRC) for item in archive.infolist()))
    assert len(inside) > len(SEEDS) // 4


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\3\4", b"{", b"[" * 5000, b"{}\n{", b"\0", b'["\xff"]', b"{}", b"7"]
)
def test_inputs_of_no_format_are_mutated_too(content: bytes) -> None:
    for seed in SEEDS:
        assert len(mutate(content, MOST_BYTES, seed, plain)) <= MOST_BYTES


def test_a_refusal_s_number_is_of_the_reason() -> None:
    def number(message: str, kind: type[InputError] = ProjectFileError) -> int:
        return refusal(kind(message, hint="mend it"))

    assert number("line 7: 'a' is no number") == number("line 12: 'b' is no number")
    assert number("line 7: 'a' is no number") != number("line 7: 'a' is no name")
    assert number("too long") != number("too long", InputError)
    assert 0 <= number("\ud800") < REFUSALS


def test_the_dictionary_is_libfuzzer_s() -> None:
    lines = dictionary().splitlines()
    assert len(lines) > 40
    assert all(re.fullmatch(r'"(\\x[0-9a-f]{2})+"', line) for line in lines)
