"""Keys on the host: never overwritten, read by their owner only, in no message."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from signing_keys import fixed_key
from toy_bundle import build

from edgedeploy.bundle.keys import find_public_key, keys_dir, load_signing_key, local_keys, new_key
from edgedeploy.bundle.load import digest_of
from edgedeploy.bundle.signature import sign_bundle
from edgedeploy.deploy.layout import release_files
from edgedeploy.errors import BundleError, KeyFileError, PassphraseError, UsageError

pytestmark = pytest.mark.usefixtures("own_directories")

PASSPHRASE = "correct horse battery staple"


def test_a_new_pair_signs_and_only_its_owner_reads_it() -> None:
    previous = os.umask(0)
    try:
        public = new_key("release")
    finally:
        os.umask(previous)
    path = keys_dir() / "release"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys_dir().stat().st_mode) == 0o700
    assert sorted(item.name for item in keys_dir().iterdir()) == ["release", "release.pub"]
    key = load_signing_key("release", prompt=None)
    assert key.public == public == find_public_key("release") == local_keys()["release"]
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public.digits)).verify(key.sign(b"message"), b"message")


def test_the_fingerprint_is_that_of_ssh_keygen() -> None:
    public = new_key("release")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(keys_dir() / "release.pub")], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[:3] == ["256", public.fingerprint, "release"]


def test_a_key_is_never_overwritten() -> None:
    new_key("release")
    before = (keys_dir() / "release").read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        new_key("release", passphrase=PASSPHRASE)
    assert (keys_dir() / "release").read_bytes() == before
    assert sorted(item.name for item in keys_dir().iterdir()) == ["release", "release.pub"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "$(id)", "a\nb", "-x", "x.pub", "a" * 65, "é"])
def test_names_that_cannot_be_files(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a key's name"):
        new_key(name)
    assert not keys_dir().exists()


def test_a_passphrase_locks_and_opens_and_is_in_no_message() -> None:
    new_key("release", passphrase=PASSPHRASE)
    assert PASSPHRASE.encode() not in (keys_dir() / "release").read_bytes()
    asked: list[str] = []

    def answers(*texts: str) -> Callable[[str], str]:
        left = list(texts)

        def prompt(question: str) -> str:
            asked.append(question)
            return left.pop(0)

        return prompt

    key = load_signing_key("release", prompt=answers("wrong", PASSPHRASE))
    assert len(asked) == 2
    assert "release" in asked[0]
    assert "private" not in repr(key)
    for prompt in (answers("wrong", "worse", "no"), answers(""), None):
        with pytest.raises(PassphraseError) as caught:
            load_signing_key("release", prompt=prompt)
        assert "wrong" not in caught.value.message.replace("or is wrong", "")
        assert PASSPHRASE not in repr(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_private_key_that_others_can_read_is_not_used(mode: int) -> None:
    new_key("release")
    (keys_dir() / "release").chmod(mode)
    with pytest.raises(KeyFileError, match="others can read") as caught:
        load_signing_key("release", prompt=None)
    assert caught.value.hint == f"chmod 600 {keys_dir() / 'release'}"


def test_keys_by_file_and_keys_that_are_none(tmp_path: Path) -> None:
    for kind, name in (("ed25519", "own"), ("rsa", "rsa")):
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "me@desk", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    assert find_public_key(str(tmp_path / "own.pub")).name == "me@desk"
    assert load_signing_key(str(tmp_path / "own"), prompt=None).public == find_public_key(str(tmp_path / "own.pub"))
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        find_public_key(str(tmp_path / "rsa.pub"))
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        load_signing_key(str(tmp_path / "rsa"), prompt=None)
    with pytest.raises(KeyFileError, match="not a public key") as caught:
        find_public_key(str(tmp_path / "own"))
    assert "PRIVATE" not in caught.value.message
    (tmp_path / "junk").write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "junk").chmod(0o600)
    with pytest.raises(KeyFileError, match="not a private key"):
        load_signing_key(str(tmp_path / "junk"), prompt=None)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    new_key("release")
    for find in (find_public_key, lambda name: load_signing_key(name, prompt=None)):
        with pytest.raises(KeyFileError, match="no key 'relaese'") as caught:
            find("relaese")
        assert caught.value.hint == "did you mean release?"


def test_a_signature_covers_the_manifests_exact_bytes(tmp_path: Path) -> None:
    bundle, key = build(tmp_path), fixed_key("alice")
    signed = sign_bundle(bundle, key)
    assert (signed.digest, signed.files) == (bundle.digest, bundle.files)
    (file,) = signed.signatures
    assert str(file.path) == f"signatures/{key.public.digits}.sig"
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public.digits))
    public.verify(file.source.read_bytes(), bundle.manifest.read_bytes())
    assert sign_bundle(bundle, key) == signed
    assert release_files(signed)[-1] == file
    assert digest_of(bundle.manifest.read_bytes()) == bundle.digest


def test_a_manifest_that_changed_meanwhile_is_not_signed(tmp_path: Path) -> None:
    bundle = build(tmp_path)
    bundle.manifest.write_bytes(bundle.manifest.read_bytes() + b" ")
    with pytest.raises(BundleError, match="changed since it was made"):
        sign_bundle(bundle, fixed_key("alice"))
