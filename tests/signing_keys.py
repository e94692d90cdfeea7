"""Keys of the tests: fixed ones, so that failures repeat, and lists of trusted keys for a board."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgedeploy.bundle.keys import SigningKey
from edgedeploy.deploy.trust import TrustedKeys
from edgedeploy.publickey import PublicKey

BOARD = "0123456789abcdef" * 2
VERIFIER = b"#!/bin/sh\nexit 1\n"
VERIFIER_SHA256 = hashlib.sha256(VERIFIER).hexdigest()


def fixed_key(name: str) -> SigningKey:
    """Return the key that belongs to a name."""
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    digits = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    return SigningKey(public=PublicKey(name=name, digits=digits), private=private)


def trusted(*keys: SigningKey, serial: int = 1, board: str = BOARD, verifier: str = VERIFIER_SHA256) -> TrustedKeys:
    return TrustedKeys(board=board, serial=serial, verifier=verifier, keys=tuple(key.public for key in keys))


def write_trusted(directory: Path, *keys: SigningKey, serial: int = 1) -> Path:
    """Make a board's directory of trust with these keys."""
    directory.mkdir(exist_ok=True, parents=True)
    (directory / "keys").write_bytes(trusted(*keys, serial=serial).to_bytes())
    return directory


def write_verifier(directory: Path, content: bytes = VERIFIER) -> Path:
    """Put a program that checks into a directory of trust."""
    path = directory / f"verifier-{hashlib.sha256(content).hexdigest()}"
    path.write_bytes(content)
    path.chmod(0o755)
    return path


UNSAFE_LISTS = ("directory", "group", "others", "link", "broken link", "folder", "long")


def make_unsafe(trust: Path, elsewhere: Path, damage: str) -> str:
    """Make a board's list one that somebody else could have written, or none; return the on-board program's words."""
    keys = trust / "keys"
    if damage == "directory":
        trust.chmod(0o777)
        return f"{trust}: can be written by others"
    if damage == "group":
        keys.chmod(0o664)
        return "keys: can be written by others"
    if damage == "others":
        keys.chmod(0o666)
        return "keys: can be written by others"
    if damage == "long":
        keys.write_bytes(keys.read_bytes().ljust((1 << 16) + 1, b"\n"))
        return f"keys: has more than {1 << 16} bytes"
    keys.rename(elsewhere)
    if damage == "folder":
        keys.mkdir()
        return "keys: is not a regular file"
    keys.symlink_to(elsewhere if damage == "link" else "/nonexistent")
    return "keys: is or lies behind a symbolic link"
