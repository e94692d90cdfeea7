"""The list of trusted keys as the scripts see it, and one that changes while somebody flashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from deploy_workbench import APP, Workbench
from meanwhile import Meanwhile
from signing_keys import fixed_key, trusted

from edgedeploy.deploy import trust as board_trust
from edgedeploy.deploy.lock import new_owner
from edgedeploy.deploy.survey import NO_LIST, take_survey
from edgedeploy.deploy.trust import read_trusted_keys
from edgedeploy.errors import ChecksumMismatchError, TrustError

ALICE, BOB = fixed_key("alice"), fixed_key("bob")
# Takes every release, and makes every change.
CHECKER = f"""#!/bin/sh
if [ "$1" = verify ]; then
  echo '{{"schema":1,"verified":true,"required":true,"key":"{ALICE.public.digits}","name":"alice"}}'
else
  mv -f "$5" "$3/keys"
  echo '{{"schema":1,"serial":1,"keys":1}}'
fi
"""


def trust_directory(bench: Workbench) -> Path:
    directory = bench.home / ".edgedeploy" / ".trust"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def place_list(bench: Workbench, serial: int = 1) -> str:
    """Give the board a list and a checker, and return the list's SHA-256."""
    directory = trust_directory(bench)
    sha256 = hashlib.sha256(CHECKER.encode()).hexdigest()
    program = directory / f"verifier-{sha256}"
    program.write_text(CHECKER, encoding="ascii")
    program.chmod(0o755)
    content = trusted(ALICE, serial=serial, verifier=sha256).to_bytes()
    (directory / "keys").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def surveyed_list(bench: Workbench) -> str:
    """Return how the survey names the board's list."""
    found = take_survey(bench.transport(), APP, directory="~/other", owner=new_owner(), break_lock=True)
    return found.trusted_list


def test_no_list(bench: Workbench) -> None:
    assert (read_trusted_keys(bench.transport()), surveyed_list(bench)) == (None, NO_LIST)
    trust_directory(bench)
    assert (read_trusted_keys(bench.transport()), surveyed_list(bench)) == (None, NO_LIST)


def test_a_list_is_named_by_its_content(bench: Workbench) -> None:
    first = place_list(bench)
    assert surveyed_list(bench) == first
    second = place_list(bench, serial=2)
    assert second != first
    assert surveyed_list(bench) == second


@pytest.mark.parametrize("damage", ["empty", "folder", "broken link", "trust is a file", "trust is a broken link"])
def test_what_is_no_list_is_not_taken_for_none(bench: Workbench, damage: str) -> None:
    trust = trust_directory(bench)
    if damage == "empty":
        (trust / "keys").touch()
    elif damage == "folder":
        (trust / "keys").mkdir()
    elif damage == "broken link":
        (trust / "keys").symlink_to("/nonexistent")
    else:
        trust.rmdir()
        trust.touch() if damage == "trust is a file" else trust.symlink_to("/nonexistent")
    with pytest.raises(TrustError, match="list of trusted keys is damaged"):
        read_trusted_keys(bench.transport())
    assert surveyed_list(bench) != NO_LIST
    with pytest.raises(TrustError, match=r"step signature: .* missing, or not the one"):
        bench.flash(bench.bundle())
    assert bench.current is None


@pytest.mark.parametrize("place", ["directory", "list", "checker"])
@pytest.mark.parametrize("damage", ["group", "others", "link", "owner"])
def test_a_checker_that_others_could_have_placed_is_not_run(bench: Workbench, place: str, damage: str) -> None:
    place_list(bench)
    assert bench.flash(bench.bundle()).verified
    trust = trust_directory(bench)
    victim = {"directory": trust, "list": trust / "keys", "checker": next(trust.glob("verifier-*"))}[place]
    if damage == "link":
        victim.rename(bench.home / "elsewhere")
        victim.symlink_to(bench.home / "elsewhere")
    elif damage != "owner":
        victim.chmod(victim.stat().st_mode | (0o020 if damage == "group" else 0o002))
    elif os.geteuid() == 0:
        # Only root can give files away.
        os.chown(victim, 4242, -1)
    else:
        return
    with pytest.raises(TrustError, match=r"step signature: .* lies where others can write"):
        bench.flash(bench.bundle("weights 2"))
    with pytest.raises(TrustError, match="lies where others can write"):
        board_trust.untrust(
            bench.transport(),
            ALICE.public,
            present=trusted(ALICE, verifier=hashlib.sha256(CHECKER.encode()).hexdigest()),
            consent=board_trust.Consent(key=ALICE.public, sign=ALICE.sign),
        )


@pytest.mark.parametrize("word", ["# edgedeploy store", " selftest ", "# edgedeploy activate"])
def test_a_first_trust_during_a_flash(bench: Workbench, word: str) -> None:
    """The survey found no list, so nothing was checked: nothing becomes active."""
    old = bench.flash(bench.bundle("weights 1"))
    transport = Meanwhile(bench, word, lambda: place_list(bench))
    with pytest.raises(TrustError, match=r"step activate: .* changed during this command .*stays active") as caught:
        bench.flash(bench.bundle("weights 2"), transport)
    assert transport.acted and caught.value.hint == "run it again"
    assert bench.current == old.release
    bench.check_whole()
    assert [step.name for step in bench.flash(bench.bundle("weights 2")).steps].count("signature") == 1


@pytest.mark.parametrize("word", ["# edgedeploy verify", " selftest ", "# edgedeploy activate"])
@pytest.mark.parametrize("change", ["next", "gone"])
def test_another_list_during_a_flash_or_a_rollback(bench: Workbench, word: str, change: str) -> None:
    bench.flash(bench.bundle("weights 0"))
    place_list(bench)
    old = bench.flash(bench.bundle("weights 1"))

    def act() -> None:
        if change == "next":
            place_list(bench, serial=2)
        else:
            (trust_directory(bench) / "keys").unlink()

    for command in (
        lambda transport: bench.flash(bench.bundle("weights 2"), transport),
        lambda transport: bench.rollback(transport=transport),
    ):
        place_list(bench)
        with pytest.raises(TrustError, match=r"(changed|vanished) during this command .*stays active"):
            command(Meanwhile(bench, word, act))
        assert bench.current == old.release
        bench.check_whole()


@pytest.mark.parametrize("bench", ["system"], indirect=True)
def test_a_list_that_comes_between_journal_and_switch(bench: Workbench, tmp_path: Path) -> None:
    """The board looks once more, last of all."""
    old = bench.flash(bench.bundle("weights 1"))
    tools = tmp_path / "tools"
    tools.mkdir()
    trust = trust_directory(bench)
    (tools / "sync").write_text(
        f'#!/bin/sh\ncase "$*" in store\\ releases/*) echo x > "{trust}/keys" ;; esac\n', encoding="ascii"
    )
    (tools / "sync").chmod(0o755)
    bench.environment["PATH"] = f"{tools}:{bench.environment['PATH']}"
    with pytest.raises(TrustError, match=r"changed during this command .*stays active"):
        bench.flash(bench.bundle("weights 2"))
    assert bench.current == old.release
    (trust / "keys").unlink()
    bench.check_whole()


@pytest.mark.parametrize("damage", ["gone", "altered", "no program"])
def test_no_list_is_taken_without_its_verifier(bench: Workbench, tmp_path: Path, damage: str) -> None:
    """PREPARE finds the verifier, or gets it sent; then somebody else's change sweeps it away."""
    sha256 = place_list(bench) and hashlib.sha256(CHECKER.encode()).hexdigest()
    (trust_directory(bench) / "keys").unlink()
    program = trust_directory(bench) / f"verifier-{sha256}"
    verifier = tmp_path / "verifier"
    verifier.write_text(CHECKER, encoding="ascii")

    def act() -> None:
        if damage == "gone":
            program.unlink()
        elif damage == "altered":
            program.write_text(f"{CHECKER}\n", encoding="ascii")
        else:
            program.chmod(0o644)

    transport = Meanwhile(bench, "# edgedeploy trust", act)
    with pytest.raises(ChecksumMismatchError, match="no longer on the board"):
        board_trust.trust(transport, ALICE.public, present=None, verifier=verifier, consent=None)
    assert transport.acted and not transport.puts
    assert read_trusted_keys(bench.transport()) is None
    board_trust.trust(bench.transport(), ALICE.public, present=None, verifier=verifier, consent=None)
    assert read_trusted_keys(bench.transport()) is not None


def test_preparing_takes_nobodys_upload(bench: Workbench, tmp_path: Path) -> None:
    verifier = tmp_path / "verifier"
    verifier.write_text(CHECKER, encoding="ascii")
    others = trust_directory(bench) / ".incoming-other"
    others.write_bytes(b"half of a verif")
    transport = Meanwhile(bench, "# edgedeploy trust", lambda: None)
    board_trust.trust(transport, BOB.public, present=None, verifier=verifier, consent=None)
    assert others.read_bytes() == b"half of a verif"
    assert not [path for path in trust_directory(bench).glob(".[ic]*") if path != others]
