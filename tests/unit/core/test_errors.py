"""The error tree and docs/errors.md say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgedeploy.errors import (
    EXIT_INTERNAL,
    EdgedeployError,
    RemoteCommandError,
    UnknownBoardError,
    close_matches,
)

DOCUMENT = (Path(__file__).parents[3] / "docs" / "errors.md").read_text(encoding="utf-8")


def _leaves(node: type[EdgedeployError]) -> Iterator[type[EdgedeployError]]:
    children = node.__subclasses__()
    if not children:
        yield node
    for child in children:
        yield from _leaves(child)


LEAVES = tuple(_leaves(EdgedeployError))


def test_exit_codes_and_slugs_are_unique() -> None:
    assert len({kind.exit_code for kind in LEAVES}) == len(LEAVES)
    assert len({kind.slug for kind in LEAVES}) == len(LEAVES)
    assert {kind.slug: kind.exit_code for kind in LEAVES if kind.exit_code < 10} == {
        "internal": EXIT_INTERNAL,
        "usage": 2,
    }


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.slug)
def test_documented_with_its_code(kind: type[EdgedeployError]) -> None:
    assert f"### {kind.slug} ({kind.exit_code})" in DOCUMENT
    assert f"| {kind.exit_code} | {kind.slug} |" in DOCUMENT


def test_document_names_no_error_that_does_not_exist() -> None:
    documented = set(re.findall(r"^### ([a-z0-9-]+) \(\d+\)$", DOCUMENT, flags=re.MULTILINE))
    assert documented == {kind.slug for kind in LEAVES}


def test_family_is_the_tens_of_the_code() -> None:
    families: dict[type, set[int]] = {}
    for kind in LEAVES:
        families.setdefault(kind.__mro__[1], set()).add(kind.exit_code // 10)
    assert all(len(tens) == 1 for tens in families.values()), families


def test_remote_error_carries_command_status_and_last_lines() -> None:
    error = RemoteCommandError(command="false", exit_status=3, stderr="\n".join(f"line {i}" for i in range(30)))
    assert (error.command, error.exit_status) == ("false", 3)
    assert "status 3: false" in error.message
    assert "line 29" in error.message
    assert "line 19" not in error.message


def test_close_matches_names_the_near_one_or_all() -> None:
    assert close_matches("rk3999", ["rk3399", "rpi4"]) == "did you mean rk3399?"
    assert close_matches("zzz", ["b", "a"]) == "known: a, b"


def test_to_json() -> None:
    assert UnknownBoardError("no board x", hint="y").to_json() == {
        "error": {"slug": "unknown-board", "message": "no board x", "hint": "y", "exit_code": 30}
    }
