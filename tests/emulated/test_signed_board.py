"""Keys on a twin, as a user does it: a locked key, a board that trusts it, flashes of all kinds, no secret left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from board_shell import TARGET, Shell, write_project
from terminal import files_with, in_terminal, process_secrets

from edgedeploy.errors import TrustError, UnknownSignerError, UnsignedReleaseError
from edgedeploy.paths import CONFIG_VARIABLE, STATE_VARIABLE, cache_dir

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(1800)]

PASSPHRASE = "tell-nobody-9e2b40"
QUESTION = "Passphrase for "
NO_BENCH = (*TARGET, "--no-bench")


@pytest.fixture(scope="module")
def user(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user with a configuration and a project of their own; the board ends as it began."""
    tmp_path = tmp_path_factory.mktemp("user")
    environment = {**shell.environment, CONFIG_VARIABLE: str(tmp_path / "config"), "COLUMNS": "200"}
    changes = {'name = "ppocr-det"': 'name = "signed-app"', "shape = [1, 3, 192, 384]": "shape = [1, 3, 64, 128]"}
    write_project(tmp_path / "project", changes)
    yield Shell(directory=tmp_path / "project", environment=environment)
    shell.on_board('rm -rf "$HOME/.edgedeploy/.trust" "$HOME/.edgedeploy/signed-app"')


def in_users_terminal(user: Shell, words: list[str], answers: list[tuple[str, str]]) -> str:
    """Run a command that asks for the passphrase; no process may show it meanwhile."""
    seen: list[str] = []

    def watch() -> None:
        seen.extend(process_secrets(PASSPHRASE))

    status, shown = in_terminal(words, answers, environment=user.environment, directory=user.directory, watch=watch)
    assert status == 0, shown
    assert not seen
    assert PASSPHRASE not in shown
    return shown


@pytest.fixture(scope="module")
def shown(user: Shell) -> str:
    """The board trusts a key with a passphrase and has a release signed by it: what the terminal showed of that."""
    answers = [("Passphrase (empty for none)", PASSPHRASE), ("Repeat for confirmation", PASSPHRASE)]
    in_users_terminal(user, ["keys", "new", "locked"], answers)
    trusted = user.json("keys", "trust", "locked", *TARGET)["trusted"]
    assert [key["name"] for key in trusted] == ["locked"]
    refused = user.json("flash", *NO_BENCH, status=UnsignedReleaseError.exit_code)
    assert "step signature" in refused["error"]["message"]
    return in_users_terminal(user, ["flash", *TARGET, "--sign-key", "locked"], [(QUESTION, PASSPHRASE)])


def test_no_secret_is_left_of_a_signed_flash(user: Shell, shown: str) -> None:
    assert "signed by locked" in shown
    runs = list((user.directory / ".edgedeploy" / "runs").glob("*/run.json"))
    assert len(runs) == 1
    config, state = (Path(user.environment[name]) for name in (CONFIG_VARIABLE, STATE_VARIABLE))
    assert files_with(PASSPHRASE, user.directory, config, cache_dir() / "bundles") == []
    assert not any(PASSPHRASE.encode() in path.read_bytes() for path in state.rglob("*.log"))
    on_board = f'grep -rlF {PASSPHRASE} "$HOME/.edgedeploy" /proc/[0-9]*/environ /var/log 2>/dev/null || true'
    assert user.on_board(f"sh -c '{on_board}'").strip() == ""


# On boards of this machine, at length: tests/integration/test_signed_flash.py, test_trust_changes.py.
@pytest.mark.nightly
def test_keys_on_a_board(user: Shell, shown: str) -> None:
    before = user.json("status", *TARGET)["current"]
    for name in ("open", "stranger"):
        user.run("keys", "new", name)
    user.json("flash", *NO_BENCH, "--sign-key", "stranger", status=UnknownSignerError.exit_code)
    assert user.json("status", *TARGET)["current"] == before
    user.json("keys", "trust", "open", *TARGET, "--sign-key", "stranger", status=TrustError.exit_code)
    in_users_terminal(user, ["keys", "trust", "open", *TARGET, "--sign-key", "locked"], [(QUESTION, PASSPHRASE)])
    result = user.json("flash", *NO_BENCH, "--sign-key", "open")
    assert result["unchanged"] is True
    left = user.json("keys", "untrust", "locked", *TARGET, "--sign-key", "open")["trusted"]
    assert [key["name"] for key in left] == ["open"]
    assert user.json("keys", "list", *TARGET)["trusted"] == left


def test_files_on_the_board_are_its_users_alone(user: Shell, shown: str) -> None:
    """Whatever the login's umask allows."""
    found = user.on_board('find "$HOME/.edgedeploy" ! -type l -perm /022')
    assert found.strip() == ""
    listed = user.on_board('ls "$HOME/.edgedeploy/signed-app/current/signatures"').split()
    assert listed and all(name.endswith(".sig") for name in listed)
    assert user.on_board('stat -c %a "$HOME/.edgedeploy/.trust"').strip() == "700"


def test_the_board_refuses_an_altered_release_on_rollback(user: Shell, shown: str) -> None:
    current = user.json("status", *TARGET)["current"]
    release = f'"$HOME/.edgedeploy/signed-app/releases/{current}"'
    user.on_board(f"cp {release}/model/model.bin {release}/model/more")
    error = user.json("rollback", *TARGET, "--to", current, status=104)["error"]
    assert error["slug"] == "altered-release"
    assert "model/more: is not listed" in error["message"]
