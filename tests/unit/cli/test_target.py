"""Where a board is, as the command line and the project file say it."""

from __future__ import annotations

import pytest

from edgedeploy.cli.target import parse_host
from edgedeploy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("board", ("rock", "board", 22)),
        ("pi@board", ("pi", "board", 22)),
        ("pi@192.0.2.1:2222", ("pi", "192.0.2.1", 2222)),
        ("pi@[fe80::1]:2222", ("pi", "fe80::1", 2222)),
        ("[fe80::1]", ("rock", "fe80::1", 22)),
        ("fe80::1", ("rock", "fe80::1", 22)),
        ("user@domain@board", ("user@domain", "board", 22)),
    ],
)
def test_parse_host(text: str, expected: tuple[str, str, int]) -> None:
    assert parse_host(text, default_user="rock") == expected


@pytest.mark.parametrize("text", ["", "@board", "pi@", "board:0", "board:99999", "board:ssh", "pi@[fe80::1]:x"])
def test_parse_host_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="USER@ADDRESS"):
        parse_host(text, default_user="rock")


@pytest.mark.parametrize("text", ["pi:tell-nobody@192.0.2.9", "pi:tell-nobody@192.0.2.9:99999", "a:tell-nobody@@"])
def test_a_password_before_the_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_host(text, default_user="rock")
    assert "tell-nobody" not in caught.value.message + caught.value.hint
    assert "a password is asked for" in caught.value.hint
