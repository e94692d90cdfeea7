"""Two people change a board's trusted keys at once: one of them is told so, and the board never locks anybody out."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy_workbench import Workbench
from meanwhile import Meanwhile
from signed_board import trust, trust_directory, untrust
from signing_keys import fixed_key

from edgedeploy.bundle.keys import SigningKey
from edgedeploy.bundle.signature import sign_bundle
from edgedeploy.deploy.trust import TrustedKeys, read_trusted_keys
from edgedeploy.errors import ChecksumMismatchError, TrustError

pytestmark = pytest.mark.cross

ALICE, BOB, CAROL = fixed_key("alice"), fixed_key("bob"), fixed_key("carol")
MOMENTS = ["# edgedeploy prepare", "put ", "# edgedeploy trust"]


@pytest.fixture
def other_verifier(verifier: Path) -> Path:
    """Another edition of the verifier."""
    path = verifier.with_name("other verifier")
    path.write_text(verifier.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def check_works(bench: Workbench, expected: TrustedKeys, signer: SigningKey) -> None:
    """Check that the board has this list and the verifier that it names, and takes what a key of it signs."""
    assert read_trusted_keys(bench.transport()) == expected
    names = {path.name for path in trust_directory(bench).iterdir()}
    assert {"keys", f"verifier-{expected.verifier}"} <= names
    assert not [name for name in names if name.startswith(".")], "each takes its own away"
    assert bench.flash(sign_bundle(bench.bundle(), signer)).verified


def check_swept(bench: Workbench, expected: TrustedKeys) -> None:
    """Check that a change left nothing of one that was refused before it."""
    assert sorted(path.name for path in trust_directory(bench).iterdir()) == ["keys", f"verifier-{expected.verifier}"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_two_first_trusts(bench: Workbench, verifier: Path, other_verifier: Path, moment: str) -> None:
    made: list[TrustedKeys] = []
    transport = Meanwhile(bench, moment, lambda: made.append(trust(bench, other_verifier, BOB)))
    with pytest.raises((TrustError, ChecksumMismatchError)):
        trust(bench, verifier, ALICE, transport=transport)
    check_works(bench, made[0], BOB)
    after = trust(bench, verifier, ALICE, BOB)
    assert [key.name for key in after.keys] == ["bob", "alice"]
    check_works(bench, after, ALICE)
    check_swept(bench, after)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("same", [True, False])
def test_two_changes(bench: Workbench, verifier: Path, other_verifier: Path, moment: str, same: bool) -> None:
    """Both know the same list; one brings another verifier, the other the same or the one that was there."""
    trust(bench, verifier, ALICE)
    made: list[TrustedKeys] = []
    transport = Meanwhile(
        bench, moment, lambda: made.append(trust(bench, other_verifier if same else verifier, CAROL, ALICE))
    )
    with pytest.raises((TrustError, ChecksumMismatchError)):
        trust(bench, other_verifier, BOB, ALICE, transport=transport)
    check_works(bench, made[0], CAROL)
    after = trust(bench, other_verifier, BOB, ALICE)
    assert [key.name for key in after.keys] == ["alice", "carol", "bob"]
    check_works(bench, after, BOB)
    check_swept(bench, after)


def test_a_verifier_that_was_found_is_swept_away(bench: Workbench, verifier: Path, other_verifier: Path) -> None:
    """Who trusts or untrusts relies on the program that is there, and meanwhile another takes its place."""
    trust(bench, verifier, ALICE)
    made: list[TrustedKeys] = []
    transport = Meanwhile(bench, "# edgedeploy trust", lambda: made.append(trust(bench, other_verifier, CAROL, ALICE)))
    with pytest.raises(ChecksumMismatchError, match="changed its trusted keys meanwhile"):
        untrust(bench, ALICE, ALICE, transport=transport)
    assert not transport.puts
    check_works(bench, made[0], CAROL)
    assert [key.name for key in untrust(bench, ALICE, CAROL).keys] == ["carol"]
