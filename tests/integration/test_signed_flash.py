"""Flash and rollback on a board with trusted keys: scripts in real shells, the real on-board program as verifier."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploy_workbench import APP, Workbench, make_workbench, runner_script
from power_witness import restart
from signed_board import trust, trust_directory, untrust
from signing_keys import fixed_key, trusted

from edgedeploy.artifacts import Bundle
from edgedeploy.bundle.signature import sign_bundle
from edgedeploy.deploy import trust as board_trust
from edgedeploy.deploy.release import status
from edgedeploy.deploy.trust import Consent, read_trusted_keys
from edgedeploy.errors import (
    AlteredReleaseError,
    ChecksumMismatchError,
    ConnectionLostError,
    EdgedeployError,
    TrustError,
    UnknownSignerError,
    UnsignedReleaseError,
)
from edgedeploy.transport.fake import Fault, FaultKind, FaultyTransport
from edgedeploy.transport.protocol import CommandResult

pytestmark = pytest.mark.cross

ALICE, BOB, MALLORY = fixed_key("alice"), fixed_key("bob"), fixed_key("mallory")


def marked(bench: Workbench, weights: str) -> tuple[Bundle, Path]:
    """Return a release whose runner leaves a mark when it runs, and the mark."""
    mark = bench.home.parent / f"ran {weights}"
    return bench.bundle(weights, runner=runner_script(before=f": > {shlex.quote(str(mark))}")), mark


def test_a_board_without_keys_takes_signed_and_unsigned_releases(bench: Workbench) -> None:
    assert bench.flash(bench.bundle()).verified
    signed = bench.flash(sign_bundle(bench.bundle("weights 2"), ALICE))
    assert "signature" not in [step.name for step in signed.steps]
    bench.check_whole()


def test_the_first_key_is_taken_and_signed_releases_pass(bench: Workbench, verifier: Path) -> None:
    changed = trust(bench, verifier, ALICE)
    assert read_trusted_keys(bench.transport()) == changed
    assert [key.name for key in changed.keys] == ["alice"]
    result = bench.flash(sign_bundle(bench.bundle(), ALICE))
    step = next(step for step in result.steps if step.name == "signature")
    assert step.note == f"signed by alice {ALICE.public.fingerprint}"
    again = bench.flash(sign_bundle(bench.bundle(), ALICE))
    assert again.unchanged
    assert [step.name for step in again.steps if step.round_trips] == ["inspect", "signature"]
    assert sum(step.round_trips for step in again.steps) == 2
    bench.check_whole()


def test_what_is_active_and_no_longer_trusted_does_not_run_again(bench: Workbench, verifier: Path) -> None:
    trust(bench, verifier, ALICE)
    trust(bench, verifier, BOB, ALICE)
    release, mark = marked(bench, "weights 1")
    signed = sign_bundle(release, ALICE)
    bench.flash(signed)
    untrust(bench, ALICE, BOB)
    mark.unlink()
    with pytest.raises(UnknownSignerError, match="the board refuses the release"):
        bench.flash(signed)
    assert not mark.exists()
    assert bench.current == signed.digest
    assert not (bench.root / "lock").exists()


@pytest.mark.parametrize("case", ["unsigned", "stranger", "other manifest", "damaged"])
def test_what_no_trusted_key_signed_is_refused_before_it_runs(bench: Workbench, verifier: Path, case: str) -> None:
    good = sign_bundle(bench.bundle(), ALICE)
    trust(bench, verifier, ALICE)
    bench.flash(good)
    bad, mark = marked(bench, "weights 2")
    error: type[EdgedeployError] = AlteredReleaseError
    if case == "unsigned":
        error = UnsignedReleaseError
    elif case == "stranger":
        bad, error = sign_bundle(bad, MALLORY), UnknownSignerError
    elif case == "other manifest":
        bad = replace(bad, signatures=good.signatures)
    else:
        bad = sign_bundle(bad, ALICE)
        content = bytearray(bad.signatures[0].source.read_bytes())
        content[10] ^= 1
        (bench.host / "damaged").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        bad = replace(bad, signatures=(replace(bad.signatures[0], source=bench.host / "damaged", sha256=digest),))
    with pytest.raises(error, match=r"flash of demo-app, step signature: .*stays active"):
        bench.flash(bad)
    assert not mark.exists()
    assert bench.current == good.digest
    bench.check_whole()
    assert [path.name for path in (bench.root / "releases").iterdir()] == [good.digest]


def test_another_strangers_signature_takes_no_release_away(bench: Workbench, verifier: Path) -> None:
    trust(bench, verifier, ALICE)
    bench.flash(sign_bundle(bench.bundle(), ALICE))
    bench.flash(sign_bundle(bench.bundle("weights 2"), ALICE))
    with_stranger = bench.flash(sign_bundle(bench.bundle(), MALLORY))
    assert with_stranger.verified
    bench.check_whole()


@pytest.mark.parametrize("damage", ["flip", "extra", "mode", "unsigned"])
def test_rollback_checks_too(bench: Workbench, verifier: Path, damage: str) -> None:
    old, mark = marked(bench, "weights 1")
    first = old if damage == "unsigned" else sign_bundle(old, ALICE)
    bench.flash(first)
    trust(bench, verifier, ALICE)
    bench.flash(sign_bundle(bench.bundle("weights 2"), ALICE))
    mark.unlink()
    victim = bench.root / "releases" / first.digest / "model" / "model.param"
    if damage == "flip":
        victim.write_bytes(victim.read_bytes().replace(b"7", b"8", 1))
    elif damage == "extra":
        victim.with_name("extra").write_bytes(b"x")
    elif damage == "mode":
        victim.chmod(0o666)
    error = UnsignedReleaseError if damage == "unsigned" else AlteredReleaseError
    with pytest.raises(error, match="rollback of demo-app, step signature"):
        bench.rollback()
    assert not mark.exists()
    assert bench.current != first.digest


@pytest.mark.parametrize("damage", ["gone", "altered", "list", "list gone to a link", "unnamed"])
def test_a_damaged_verifier_or_list_lets_nothing_through(bench: Workbench, verifier: Path, damage: str) -> None:
    changed = trust(bench, verifier, ALICE)
    program, keys = trust_directory(bench) / f"verifier-{changed.verifier}", trust_directory(bench) / "keys"
    if damage == "gone":
        program.unlink()
    elif damage == "altered":
        program.write_text("#!/bin/sh\necho '{\"verified\": true}'\n", encoding="utf-8")
    elif damage == "list":
        keys.write_text(keys.read_text(encoding="ascii").replace("serial", "cereal"), encoding="ascii")
    elif damage == "unnamed":
        keys.write_text("", encoding="ascii")
    else:
        keys.unlink()
        keys.symlink_to("/nonexistent")
    with pytest.raises(TrustError):
        bench.flash(sign_bundle(bench.bundle(), ALICE))
    assert bench.current is None


def test_later_keys_need_the_consent_of_a_trusted_one(bench: Workbench, verifier: Path) -> None:
    trust(bench, verifier, ALICE)
    for consent in (None, MALLORY):
        with pytest.raises(TrustError, match="the board refuses"):
            trust(bench, verifier, MALLORY, consent)
    assert [key.name for key in trust(bench, verifier, BOB, ALICE).keys] == ["alice", "bob"]
    assert bench.flash(sign_bundle(bench.bundle(), BOB)).verified
    with pytest.raises(TrustError, match="the board refuses"):
        untrust(bench, ALICE, MALLORY)
    assert [key.name for key in untrust(bench, ALICE, ALICE).keys] == ["bob"]
    with pytest.raises(UnknownSignerError):
        bench.flash(sign_bundle(bench.bundle("weights 2"), ALICE))
    assert untrust(bench, BOB, BOB).keys == ()
    assert bench.flash(bench.bundle("weights 2")).verified
    assert [key.name for key in trust(bench, verifier, MALLORY).keys] == ["mallory"]


def test_an_old_consent_cannot_be_used_again(bench: Workbench, verifier: Path) -> None:
    trust(bench, verifier, ALICE)
    recorded: list[tuple[bytes, bytes]] = []

    def sign(content: bytes) -> bytes:
        recorded.append((content, ALICE.sign(content)))
        return recorded[-1][1]

    transport = bench.transport()
    board_trust.trust(
        transport,
        BOB.public,
        present=read_trusted_keys(transport),
        verifier=verifier,
        consent=Consent(key=ALICE.public, sign=sign),
    )
    untrust(bench, BOB, ALICE)
    (_, signature) = recorded[0]
    with pytest.raises(TrustError, match="the board refuses"):
        board_trust.trust(
            transport,
            BOB.public,
            present=read_trusted_keys(transport),
            verifier=verifier,
            consent=Consent(key=ALICE.public, sign=lambda _: signature),
        )


def test_a_new_verifier_takes_the_place_of_the_old(bench: Workbench, verifier: Path) -> None:
    old = trust(bench, verifier, ALICE).verifier
    verifier.write_text(verifier.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    new = trust(bench, verifier, ALICE, ALICE).verifier
    assert new != old
    assert sorted(path.name for path in trust_directory(bench).iterdir()) == ["keys", f"verifier-{new}"]
    assert bench.flash(sign_bundle(bench.bundle(), ALICE)).verified


def test_a_verifier_that_arrives_damaged_changes_nothing(bench: Workbench, verifier: Path) -> None:
    transport = FaultyTransport(bench.transport(), Fault(kind=FaultKind.FLIP_BIT, operation=0))
    with pytest.raises(ChecksumMismatchError, match="verifier"):
        board_trust.trust(transport, ALICE.public, present=None, verifier=verifier, consent=None)
    assert list(trust_directory(bench).iterdir()) == []
    assert bench.flash(bench.bundle()).verified


def test_another_base_directory_leads_around_no_key(bench: Workbench, verifier: Path) -> None:
    trust(bench, verifier, ALICE)
    elsewhere = bench.home.parent / "else where"
    with pytest.raises(UnsignedReleaseError):
        bench.flash(bench.bundle(), directory=str(elsewhere))
    assert bench.flash(sign_bundle(bench.bundle(), ALICE), directory=str(elsewhere)).verified


@pytest.fixture
def open_umask() -> Iterator[None]:
    previous = os.umask(0)
    yield
    os.umask(previous)


@pytest.mark.usefixtures("open_umask")
def test_nothing_on_the_board_can_be_written_by_others(bench: Workbench, verifier: Path) -> None:
    bench.home.chmod(0o755)
    seen: list[str] = []

    class Watched(FaultyTransport):
        """Looks at the board after every operation."""

        def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
            result = super().run(command, **options)
            look()
            return result

        def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
            def on_bytes(done: int, total: int) -> None:
                look()

            super().put(source, destination, **{**options, "on_bytes": on_bytes})
            look()

    def look() -> None:
        for path in (bench.home / ".edgedeploy").rglob("*"):
            seen.append(path.name)
            if not path.is_symlink():
                assert path.stat().st_mode & 0o022 == 0, path

    board_trust.trust(Watched(bench.transport()), ALICE.public, present=None, verifier=verifier, consent=None)
    bench.flash(sign_bundle(bench.bundle(), ALICE), Watched(bench.transport()))
    bench.flash(sign_bundle(bench.bundle("weights 2"), ALICE), Watched(bench.transport()))
    assert (bench.home / ".edgedeploy").stat().st_mode & 0o022 == 0
    assert any(name.startswith(".incoming-") for name in seen)
    assert trust_directory(bench).stat().st_mode & 0o777 == 0o700


HOSTILE = ["a'b", 'a"b', "$(touch pwned)", "`touch pwned`", "; touch pwned", "a b && touch pwned", "-rf", "*", "\\"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_a_shell_would_read_as_commands(
    tmp_path: Path, verifier: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The home directory and the base directory carry the name; both are used in every script."""
    monkeypatch.chdir(tmp_path)
    bench = make_workbench("system", tmp_path, home=f"home {name}")
    trust(bench, verifier, ALICE)
    first, second = (sign_bundle(bench.bundle(weights), ALICE) for weights in ("weights 1", "weights 2"))
    for directory in ("~/.edgedeploy", f"~/{name}", str(tmp_path / f"base {name}")):
        assert bench.flash(first, directory=directory).verified
        assert bench.flash(second, directory=directory).verified
        assert status(bench.transport(), APP, directory=directory).current == second.digest
    assert bench.rollback().release == first.digest
    assert not list(tmp_path.rglob("pwned"))


def test_a_home_with_a_newline_is_an_error_and_no_command(
    tmp_path: Path, verifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = make_workbench("system", tmp_path, home="home\ntouch pwned")
    with pytest.raises(EdgedeployError):
        bench.flash(bench.bundle())
    assert not list(tmp_path.rglob("pwned"))


def test_the_list_is_read_as_strictly_as_it_is_written(bench: Workbench, verifier: Path) -> None:
    trust(bench, verifier, ALICE)
    keys = trust_directory(bench) / "keys"
    keys.write_bytes(trusted(ALICE).to_bytes() + b"key x y\n")
    with pytest.raises(TrustError, match="damaged"):
        read_trusted_keys(bench.transport())


def cut_off(bench: Workbench, bundle: Bundle, operation: int) -> None:
    """Lose the connection when this one of a flash's operations is done: the survey, the puts, the store."""
    fault = Fault(kind=FaultKind.LOST_AFTER, operation=operation)
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, FaultyTransport(bench.transport(), fault))
    restart(bench)


# The manifest, four files; the store follows.
PUTS = 5
# On a board whose verifier receives, this operation brings all files and stores them.
STREAM = 1


@pytest.mark.parametrize("operation", [PUTS - 1, PUTS, PUTS + 1])
def test_keys_are_trusted_while_a_flash_is_cut_off(bench: Workbench, verifier: Path, operation: int) -> None:
    """The next one signs what is there, and sends only what is not."""
    bundle = bench.bundle()
    cut_off(bench, bundle, operation)
    sent = "1 files"
    if operation <= PUTS:
        parts = {path.name[-64:]: path for path in (bench.root / "store").glob(".incoming-*")}
        assert len(parts) == operation
        weights = next(file for file in bundle.files if file.path.name == "model.bin")
        os.truncate(parts[weights.sha256], 5000)
        there = sum(path.stat().st_size for path in parts.values())
        sent = f"6 files, {there:,} bytes were there already"
    trust(bench, verifier, ALICE)
    result = bench.flash(sign_bundle(bundle, ALICE))
    steps = {step.name: step for step in result.steps}
    assert steps["push"].note == sent
    assert steps["signature"].note.startswith("signed by alice")
    assert bench.current == bundle.digest
    assert [path.name for path in (bench.root / "current" / "signatures").iterdir()] == [f"{ALICE.public.digits}.sig"]
    bench.check_whole()


@pytest.mark.parametrize("operation", [PUTS - 1, PUTS + 1])
def test_what_was_cut_off_unsigned_is_not_taken_up_unsigned(bench: Workbench, verifier: Path, operation: int) -> None:
    bundle, mark = marked(bench, "weights 2")
    cut_off(bench, bundle, operation)
    trust(bench, verifier, ALICE)
    with pytest.raises(UnsignedReleaseError):
        bench.flash(bundle)
    assert not mark.exists() and bench.current is None
    assert list((bench.root / "releases").iterdir()) == []
    bench.check_whole()
    assert bench.flash(sign_bundle(bundle, ALICE)).verified


def test_the_signer_of_what_was_cut_off_is_untrusted_meanwhile(bench: Workbench, verifier: Path) -> None:
    """The old signature stays beside the new one, and counts for nothing."""
    trust(bench, verifier, ALICE)
    trust(bench, verifier, BOB, ALICE)
    by_alice = sign_bundle(bench.bundle(), ALICE)
    cut_off(bench, by_alice, STREAM)
    assert (bench.root / "releases" / by_alice.digest / by_alice.signatures[0].path).is_file()
    untrust(bench, ALICE, BOB)
    with pytest.raises(UnknownSignerError):
        bench.flash(by_alice)
    cut_off(bench, by_alice, STREAM)
    result = bench.flash(sign_bundle(bench.bundle(), BOB))
    steps = {step.name: step for step in result.steps}
    assert steps["push"].note == "1 files"
    assert steps["signature"].note.startswith("signed by bob")
    assert len(list((bench.root / "current" / "signatures").iterdir())) == 2
    bench.check_whole()
