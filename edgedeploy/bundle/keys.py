"""Keys that sign releases: Ed25519 pairs in the user's configuration directory, in OpenSSH's file formats.

A private key never leaves its file but into this process's memory; it and its passphrase are in no message.
"""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from edgedeploy.errors import KeyFileError, PassphraseError, UsageError, close_matches
from edgedeploy.files import write_whole
from edgedeploy.paths import config_dir
from edgedeploy.publickey import PublicKey
from edgedeploy.reading import read_limited

PassphrasePrompt = Callable[[str], str]
"""Shows a question to a person and returns the answer, which is not shown; empty gives up."""

KEYS_DIRECTORY = "keys"
PUBLIC_SUFFIX = ".pub"
PROMPT_ATTEMPTS = 3
READABLE_BY_OTHERS = 0o077
LONGEST_KEY_FILE_BYTES = 1 << 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=-]{0,63}")
_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A private key, ready to sign."""

    public: PublicKey
    private: Ed25519PrivateKey = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature over exactly ``message``; the same each time."""
        return self.private.sign(message)


def keys_dir() -> Path:
    """Return the directory of the user's own keys."""
    return config_dir() / KEYS_DIRECTORY


def new_key(name: str, *, passphrase: str = "") -> PublicKey:
    """Make a pair: ``keys/NAME``, which only its owner may read, and ``keys/NAME.pub``.

    Raises:
        UsageError: A name that cannot be a file's.
        KeyFileError: There is a key of that name already, or the files cannot be written.
    """
    if not _NAME.fullmatch(name) or name.endswith(PUBLIC_SUFFIX):
        raise UsageError(
            f"{name!r} cannot be a key's name",
            hint="at most 64 letters, digits and ._@+=-, starting with a letter or digit, not ending in .pub",
        )
    private = Ed25519PrivateKey.generate()
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path = keys_dir() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, lock))
        write_whole(_public_file(path), line + b" " + name.encode("ascii") + b"\n")
    except FileExistsError:
        raise KeyFileError(f"{path} exists already", hint="keys are never overwritten; take another name") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}", hint="check the directory") from error
    return _public_key(private.public_key(), name)


def local_keys() -> dict[str, PublicKey]:
    """Return the public halves of the user's own keys by the names of their files, sorted.

    Raises:
        KeyFileError: One of the files is no key.
    """
    files = sorted(keys_dir().glob(f"*{PUBLIC_SUFFIX}"))
    return {path.stem: read_public_key(path) for path in files if path.with_suffix("").is_file()}


def find_public_key(wanted: str) -> PublicKey:
    """Return the key that a name of the user's own, or the path of a public key's file, means.

    Raises:
        KeyFileError: Neither, or not an Ed25519 public key.
    """
    own = _public_file(keys_dir() / wanted)
    if _NAME.fullmatch(wanted) and own.is_file():
        return read_public_key(own)
    path = Path(wanted).expanduser()
    if path.is_file():
        return read_public_key(path)
    raise _unknown(wanted)


def read_public_key(path: Path) -> PublicKey:
    """Read ``ssh-ed25519 AAAA... NAME``; without a usable name the file's own is taken.

    Raises:
        KeyFileError: It cannot be read, or is not an Ed25519 public key; a private key is not taken for one.
    """
    content = _read(path)
    try:
        key = load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"{path} is not a public key in OpenSSH's format", hint="name the file that ends in .pub"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} is not an Ed25519 key", hint="edgedeploy keys new makes one")
    comment = content.decode("utf-8", "replace").split(maxsplit=2)[2:]
    candidates = (comment[0].strip() if comment else "", path.name.removesuffix(PUBLIC_SUFFIX))
    return _public_key(key, next((name for name in candidates if _NAME.fullmatch(name)), "key"))


def load_signing_key(wanted: str, *, prompt: PassphrasePrompt | None) -> SigningKey:
    """Return the private key that a name of the user's own, or a file's path, means.

    Args:
        wanted: A name, or a path.
        prompt: Who is asked for a passphrase where the key has one; None where nobody can be.

    Raises:
        KeyFileError: No such key, not Ed25519, or a file that others can read.
        PassphraseError: The passphrase was not given, or is wrong.
    """
    own = keys_dir() / wanted
    path = own if _NAME.fullmatch(wanted) and own.is_file() else Path(wanted).expanduser()
    if not path.is_file():
        raise _unknown(wanted)
    content = _read(path)
    if path.stat().st_mode & READABLE_BY_OTHERS:
        raise KeyFileError(f"others can read or write the private key {path}", hint=f"chmod 600 {path}")
    private = _load(content, path, _passphrases(path, prompt) if _is_locked(content) else [None])
    name = read_public_key(_public_file(path)).name if _public_file(path).is_file() else path.name
    return SigningKey(public=_public_key(private.public_key(), name), private=private)


def _passphrases(path: Path, prompt: PassphrasePrompt | None) -> list[bytes | None] | _Asking:
    if prompt is None:
        raise PassphraseError(
            f"the key {path} has a passphrase, and nobody is there to be asked for it",
            hint="run the command in a terminal; a script needs a key without one",
        )
    return _Asking(path, prompt)


class _Asking:
    """Asks up to three times; an empty answer gives up."""

    def __init__(self, path: Path, prompt: PassphrasePrompt) -> None:
        self._question = f"Passphrase for {path}: "
        self._prompt = prompt
        self._left = PROMPT_ATTEMPTS

    def __iter__(self) -> _Asking:
        return self

    def __next__(self) -> bytes:
        self._left -= 1
        answer = self._prompt(self._question) if self._left >= 0 else ""
        if not answer:
            raise StopIteration
        return answer.encode()


def _load(content: bytes, path: Path, passphrases: list[bytes | None] | _Asking) -> Ed25519PrivateKey:
    for passphrase in passphrases:
        try:
            key = load_ssh_private_key(content, passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            if passphrase is not None:
                continue
            raise KeyFileError(
                f"{path} is not a private key in OpenSSH's format", hint="edgedeploy keys new makes one"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path} is not an Ed25519 key", hint="edgedeploy keys new makes one")
        return key
    raise PassphraseError(f"the passphrase of {path} was not given, or is wrong", hint="try again")


def _is_locked(content: bytes) -> bool:
    """Return whether an OpenSSH private key is encrypted: the file names its cipher in front."""
    body = b"".join(line for line in content.splitlines() if not line.startswith(b"-----"))
    try:
        data = base64.b64decode(body, validate=True)
    except ValueError:
        return False
    start = len(_MAGIC) + 4
    return data.startswith(_MAGIC) and not data.startswith(b"none", start)


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, and never over another.

    Raises:
        FileExistsError: There is one.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(name, path)
    finally:
        Path(name).unlink()


def _read(path: Path) -> bytes:
    try:
        return read_limited(path, LONGEST_KEY_FILE_BYTES)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}", hint="check owner, mode and size") from error


def _public_file(path: Path) -> Path:
    return path.with_name(path.name + PUBLIC_SUFFIX)


def _public_key(key: Ed25519PublicKey, name: str) -> PublicKey:
    return PublicKey(name=name, digits=key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex())


def _unknown(wanted: str) -> KeyFileError:
    names = [path.name.removesuffix(PUBLIC_SUFFIX) for path in keys_dir().glob(f"*{PUBLIC_SUFFIX}")]
    return KeyFileError(
        f"there is no key {wanted!r}: neither of that name in {keys_dir()} nor a file",
        hint=close_matches(wanted, names) or f"edgedeploy keys new {wanted or 'NAME'}",
    )
