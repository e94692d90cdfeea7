"""``keys`` without a board, and which key a flash signs with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from terminal import files_with, in_terminal, process_secrets

from edgedeploy.bundle.keys import keys_dir, load_signing_key, new_key
from edgedeploy.cli import main as entry
from edgedeploy.errors import KeyFileError, NoTargetError, PassphraseError
from edgedeploy.project import PROJECT_FILE, load_project

pytestmark = pytest.mark.usefixtures("own_directories")

PASSPHRASE = "tell-nobody-5d1f7c"
FLASH = ("flash", "--board", "rk3399", "--host", "nobody@127.0.0.1:9")


def run(*words: str) -> int:
    return entry.main(list(words))


def test_new_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "new", "release", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["private_file"] == str(keys_dir() / "release")
    assert made["locked"] is False
    assert run("keys", "new", "release") == KeyFileError.exit_code
    capsys.readouterr()
    assert run("keys", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"keys": [{"name": "release", "fingerprint": made["fingerprint"]}]}
    assert run("keys", "list") == 0
    assert made["fingerprint"] in capsys.readouterr().out


def test_a_passphrase_is_asked_in_the_terminal_and_shows_nowhere(own_directories: Path) -> None:
    environment = {**os.environ, "COLUMNS": "200"}
    seen: list[str] = []
    status, shown = in_terminal(
        ["keys", "new", "locked"],
        [("Passphrase (empty for none)", PASSPHRASE), ("Repeat for confirmation", PASSPHRASE)],
        environment=environment,
        directory=own_directories,
        watch=lambda: seen.extend(process_secrets(PASSPHRASE)),
    )
    assert status == 0, shown
    assert PASSPHRASE not in shown
    assert not seen
    assert files_with(PASSPHRASE, own_directories) == []
    assert "locked by the passphrase" in shown
    assert load_signing_key("locked", prompt=lambda _: PASSPHRASE).public.name == "locked"


@pytest.mark.parametrize("command", [FLASH, ("keys", "trust", "release", *FLASH[1:])])
def test_what_cannot_sign_or_be_trusted_is_told_before_the_board_is_asked(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    new_key("relaese")
    words = (*command, "--sign-key", "release") if command is FLASH else command
    assert run(*words, "--json") == KeyFileError.exit_code
    assert json.loads(capsys.readouterr().out)["error"]["hint"] == "did you mean relaese?"


def test_a_locked_key_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    new_key("locked", passphrase=PASSPHRASE)
    assert run(*FLASH, "--sign-key", "locked") == PassphraseError.exit_code
    captured = capsys.readouterr()
    assert "nobody is there to be asked" in captured.err
    assert PASSPHRASE not in captured.err


def test_the_project_names_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", str(tmp_path / "app")) == 0
    path = tmp_path / "app" / PROJECT_FILE
    assert load_project(path).signing.key is None
    path.write_text(path.read_text(encoding="utf-8") + '\n[signing]\nkey = "nokey"\n', encoding="utf-8")
    assert load_project(path).signing.key == "nokey"
    assert run(*FLASH, "--project", str(path.parent)) == KeyFileError.exit_code
    assert "no key 'nokey'" in capsys.readouterr().err


def test_trust_needs_a_board_that_is_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    new_key("release")
    assert run("keys", "trust", "release", "--board", "rk3399") == NoTargetError.exit_code
    assert run("keys", "untrust", "release", "--board", "rk3399") == NoTargetError.exit_code
    assert run("keys", "list", "--board", "rk3399") == NoTargetError.exit_code
    assert run("keys", "trust", "release") == 2
    capsys.readouterr()
