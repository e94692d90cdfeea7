"""The scripts as text: they parse in every shell a board may have."""

from __future__ import annotations

import subprocess

import pytest

from edgedeploy.deploy import activation_script, push_scripts, script_parts, scripts, trust_scripts

NAMES = ("SURVEY", "FAST_SURVEY", "STORE", "RECEIVE", "ABANDON", "STATUS")
TRUST_NAMES = ("VERIFY", "READ_KEYS", "PREPARE", "CHANGE")
TEXTS = {name: getattr(scripts, name) for name in NAMES} | {name: getattr(trust_scripts, name) for name in TRUST_NAMES}
TEXTS |= {
    "INSTALL": push_scripts.INSTALL,
    "BOOTSTRAP": push_scripts.BOOTSTRAP,
    "FORGET": push_scripts.FORGET,
    "UNZIP": push_scripts.UNZIP,
}
TEXTS["ACTIVATE"] = activation_script.ACTIVATE
LONGEST_ARGUMENT_BYTES = 128 * 1024


@pytest.mark.parametrize("shell", [("dash",), ("busybox", "sh"), ("bash", "--posix")], ids=lambda shell: shell[0])
@pytest.mark.parametrize("name", TEXTS)
def test_scripts_parse(name: str, shell: tuple[str, ...]) -> None:
    subprocess.run([*shell, "-n", "-c", TEXTS[name]], check=True)


@pytest.mark.parametrize("name", TEXTS)
def test_scripts_stop_at_the_first_error_and_fit_one_argument(name: str) -> None:
    text = TEXTS[name]
    assert text.startswith("\nset -eu\numask 022\n")
    assert len(text) < LONGEST_ARGUMENT_BYTES // 4


@pytest.mark.parametrize("name", ["STORE", "ACTIVATE", "ABANDON", "BOOTSTRAP", "FORGET", "UNZIP"])
def test_scripts_that_change_the_board_check_the_lock_first(name: str) -> None:
    text = TEXTS[name]
    changes = ("rm -", "mv -", "mkdir", "> lock", '> "$program"', '> "$target"')
    assert (
        0
        < text.index(str(script_parts.LOCK_LOST_STATUS))
        < min(text.index(change) for change in changes if change in text)
    )
