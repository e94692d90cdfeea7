"""Changing a board's trusted keys by the on-board program: only with the consent of one of them, and only forwards."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from runner_program import Answer, Runner
from signing_keys import (
    UNSAFE_LISTS,
    VERIFIER,
    VERIFIER_SHA256,
    fixed_key,
    make_unsafe,
    trusted,
    write_trusted,
    write_verifier,
)

from edgedeploy.bundle.keys import SigningKey
from edgedeploy.deploy.trust import TrustedKeys

pytestmark = pytest.mark.cross

FILE, UNTRUSTED = 4, 9
PROGRAM = f"verifier-{VERIFIER_SHA256}"
ALICE, BOB, MALLORY = fixed_key("alice"), fixed_key("bob"), fixed_key("mallory")


def change(
    runner: Runner, trust: Path, new: TrustedKeys, signer: SigningKey | None = None, *, signed: bytes | None = None
) -> Answer:
    """Ask for a change, signed over its own bytes unless others are given; the verifier it names is there."""
    trust.mkdir(exist_ok=True)
    write_verifier(trust)
    return ask(runner, trust, new, signer, signed=signed)


def ask(
    runner: Runner, trust: Path, new: TrustedKeys, signer: SigningKey | None = None, *, signed: bytes | None = None
) -> Answer:
    file = trust.parent / "change"
    file.write_bytes(new.to_bytes())
    words = []
    if signer is not None:
        words = ["--key", signer.public.digits, "--signature", signer.sign(signed or new.to_bytes()).hex()]
    return runner("trust", "--trust", trust, "--change", file, *words)


def test_the_first_list_is_taken_as_it_comes(runner: Runner, tmp_path: Path) -> None:
    answer = change(runner, tmp_path / "trust", trusted(ALICE))
    assert (answer.exit_status, answer.document) == (0, {"schema": 1, "serial": 1, "keys": 1})
    assert (tmp_path / "trust" / "keys").read_bytes() == trusted(ALICE).to_bytes()
    assert sorted(path.name for path in (tmp_path / "trust").iterdir()) == ["keys", PROGRAM]


def test_a_trusted_key_adds_another_and_takes_itself_off(runner: Runner, tmp_path: Path) -> None:
    trust = write_trusted(tmp_path / "trust", ALICE)
    assert change(runner, trust, trusted(ALICE, BOB, serial=2), ALICE).exit_status == 0
    assert change(runner, trust, trusted(BOB, serial=3), ALICE).exit_status == 0
    assert change(runner, trust, trusted(ALICE, BOB, serial=4), ALICE).exit_status == UNTRUSTED
    assert change(runner, trust, trusted(serial=4), BOB).exit_status == 0
    assert change(runner, trust, trusted(MALLORY, serial=5)).exit_status == 0


@dataclass(frozen=True, kw_only=True)
class Undue:
    """A change that has no right to happen, and what is said to it. ``signed``: the bytes that were really signed."""

    new: TrustedKeys
    signer: SigningKey | None = ALICE
    signed: bytes | None = None
    expected: str


@pytest.mark.parametrize(
    "case",
    [
        Undue(new=trusted(ALICE, MALLORY, serial=3), signer=None, expected="not signed"),
        Undue(new=trusted(ALICE, MALLORY, serial=3), signer=MALLORY, expected="by a key that the board does not trust"),
        Undue(
            new=trusted(ALICE, MALLORY, serial=3), signed=trusted(ALICE, BOB, serial=3).to_bytes(),
            expected="does not match its signature",
        ),
        Undue(new=trusted(MALLORY, serial=1), expected="serial number 1, the board is at 2"),
        Undue(new=trusted(MALLORY, serial=2), expected="serial number 2, the board is at 2"),
        Undue(new=trusted(MALLORY, serial=4), expected="serial number 4, the board is at 2"),
        Undue(new=trusted(MALLORY, serial=3, board="f" * 32), expected="for another board"),
    ],
    ids=lambda case: case.expected,
)  # fmt: skip
def test_a_change_that_is_not_due_leaves_the_list(runner: Runner, tmp_path: Path, case: Undue) -> None:
    trust = write_trusted(tmp_path / "trust", ALICE, serial=2)
    before = (trust / "keys").read_bytes()
    answer = change(runner, trust, case.new, case.signer, signed=case.signed)
    assert answer.exit_status == UNTRUSTED
    assert case.expected in answer.error
    assert (trust / "keys").read_bytes() == before


def test_a_list_that_starts_late_is_not_taken_as_the_first(runner: Runner, tmp_path: Path) -> None:
    assert "no trusted keys yet" in change(runner, tmp_path / "trust", trusted(ALICE, serial=2)).error
    assert not (tmp_path / "trust" / "keys").exists()


def test_a_damaged_list_cannot_be_replaced(runner: Runner, tmp_path: Path) -> None:
    trust = write_trusted(tmp_path / "trust", ALICE)
    (trust / "keys").write_text("edgedeploy trusted keys 1\n", encoding="ascii")
    assert change(runner, trust, trusted(MALLORY)).exit_status == UNTRUSTED


@pytest.mark.parametrize("damage", UNSAFE_LISTS)
@pytest.mark.parametrize("signer", [None, ALICE])
def test_a_list_that_others_could_have_written_cannot_be_replaced(
    runner: Runner, tmp_path: Path, damage: str, signer: SigningKey | None
) -> None:
    """Neither as the next list, for who wrote this one is not known, nor as a first one."""
    trust = write_trusted(tmp_path / "trust", ALICE)
    expected = make_unsafe(trust, tmp_path / "elsewhere", damage)
    for new in (trusted(ALICE, MALLORY, serial=2), trusted(MALLORY)):
        answer = change(runner, trust, new, signer)
        assert (answer.exit_status, answer.error) == (UNTRUSTED, expected)
    assert sorted(path.name for path in trust.iterdir()) == ["keys", PROGRAM]


def test_a_link_to_a_directory_of_trust_is_none(runner: Runner, tmp_path: Path) -> None:
    write_trusted(tmp_path / "elsewhere", ALICE)
    (tmp_path / "trust").symlink_to(tmp_path / "elsewhere")
    for trust in (tmp_path / "trust", Path(f"{tmp_path}/trust/")):
        assert change(runner, trust, trusted(ALICE, BOB, serial=2), ALICE).exit_status == FILE


def test_the_list_is_on_the_disk_before_it_has_its_name(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves the old list or the new one: the file is settled first, then the directory that names it."""
    trust = write_trusted(tmp_path / "trust", ALICE)
    monkeypatch.setenv("QEMU_STRACE", "1")
    answer = change(runner, trust, trusted(ALICE, BOB, serial=2), ALICE)
    assert answer.exit_status == 0
    calls = re.findall(r"\b(write|fsync|renameat2?)\((\d*)", answer.stderr)
    names = [name.removesuffix("2") for name, _ in calls]
    start = names.index("fsync")
    assert names[start - 1 : start + 3] == ["write", "fsync", "renameat", "fsync"]
    assert calls[start - 1][1] == calls[start][1] != calls[start + 2][1]


def test_what_a_cut_left_goes_with_the_next_change(runner: Runner, tmp_path: Path) -> None:
    trust = write_trusted(tmp_path / "trust", ALICE)
    for name in ("keys.tmp1", "keys.tmp99999"):
        (trust / name).write_bytes(b"edgedeploy trus")
    (trust / "keys.old").write_bytes(b"somebody's")
    assert change(runner, trust, trusted(ALICE, BOB, serial=2)).exit_status == UNTRUSTED
    assert change(runner, trust, trusted(ALICE, BOB, serial=2), ALICE).exit_status == 0
    assert sorted(path.name for path in trust.iterdir()) == ["keys", "keys.old", PROGRAM]


def damage_verifier(trust: Path, damage: str) -> str:
    """Return the on-board program's words for it."""
    program = write_verifier(trust)
    if damage == "gone":
        program.unlink()
        return "No such file or directory"
    if damage == "damaged":
        program.write_bytes(VERIFIER[:-1])
        return "has another SHA-256"
    if damage == "writable":
        program.chmod(0o757)
        return "can be written by others"
    if damage == "no program":
        program.chmod(0o644)
        return "Permission denied"
    program.rename(trust.parent / "elsewhere")
    program.symlink_to(trust.parent / "elsewhere")
    return "is or lies behind a symbolic link"


@pytest.mark.parametrize("damage", ["gone", "damaged", "writable", "no program", "link"])
@pytest.mark.parametrize("is_first", [True, False])
def test_no_list_names_a_verifier_that_is_not_there(
    runner: Runner, tmp_path: Path, damage: str, is_first: bool
) -> None:
    """It would have every release refused, and every later change with them."""
    trust = tmp_path / "trust"
    trust.mkdir()
    expected = damage_verifier(trust, damage)
    new, signer = (trusted(ALICE), None) if is_first else (trusted(ALICE, BOB, serial=2), ALICE)
    before = None if is_first else (write_trusted(trust, ALICE) / "keys").read_bytes()
    answer = ask(runner, trust, new, signer)
    assert (answer.exit_status, answer.error) == (UNTRUSTED, f"{PROGRAM}: {expected}")
    assert ((trust / "keys").read_bytes() if (trust / "keys").exists() else None) == before


def test_a_change_sweeps_what_it_leaves_behind(runner: Runner, tmp_path: Path) -> None:
    """Programs that no list names, and uploads; a change that is refused takes nothing away from anybody."""
    trust = write_trusted(tmp_path / "trust", ALICE)
    old = write_verifier(trust, b"old")
    for name in (".incoming-0123", ".change-0123"):
        (trust / name).write_bytes(b"half")
    (trust / f"verifier-{hashlib.sha256(b'x').hexdigest()}").mkdir()
    before = sorted(path.name for path in trust.iterdir())
    assert change(runner, trust, trusted(ALICE, BOB, serial=2), MALLORY).exit_status == UNTRUSTED
    assert sorted(path.name for path in trust.iterdir()) == sorted([*before, PROGRAM])
    assert change(runner, trust, trusted(ALICE, BOB, serial=2), ALICE).exit_status == 0
    left = {path.name for path in trust.iterdir() if path.is_file()}
    assert left == {"keys", PROGRAM} and not old.exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_can_write_the_new_list(runner: Runner, tmp_path: Path, umask: int) -> None:
    (tmp_path / "trust").mkdir(mode=0o700)
    previous = os.umask(umask)
    try:
        assert change(runner, tmp_path / "trust", trusted(ALICE)).exit_status == 0
    finally:
        os.umask(previous)
    assert (tmp_path / "trust" / "keys").stat().st_mode & 0o777 == 0o644 & ~umask


@pytest.mark.parametrize("signature", ["", "zz" * 64, "ab" * 63, "ab" * 65, "AB" * 64])
def test_a_signature_that_is_none(runner: Runner, tmp_path: Path, signature: str) -> None:
    trust = write_trusted(tmp_path / "trust", ALICE)
    file = tmp_path / "change"
    file.write_bytes(trusted(ALICE, MALLORY, serial=2).to_bytes())
    words = ("--key", ALICE.public.digits, "--signature", signature)
    assert runner("trust", "--trust", trust, "--change", file, *words).exit_status == UNTRUSTED


def test_usage(runner: Runner, tmp_path: Path) -> None:
    assert "--change" in runner("trust", "--trust", tmp_path).error
    assert "--digest" in runner("verify", "--trust", tmp_path, "--release", tmp_path, "--app", "a").error
    assert "--key" in runner("verify", "--trust", tmp_path, "--key", "x").error
