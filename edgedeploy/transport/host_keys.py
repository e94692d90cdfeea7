"""Host keys: what a known_hosts file says about a host, and what to do with the key it shows.

Source: sshd(8), section "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import AuthenticationError, ChangedHostKeyError, UnknownHostKeyError

SSH_PORT = 22
REVOKED = "@revoked"


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """The key a host shows. ``name`` is the host as known_hosts writes it: ``[host]:port`` unless the port is 22."""

    name: str
    key_type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)


HostKeyPrompt = Callable[[HostKey], bool]
"""Asked at first contact: shows name, type and fingerprint to a person; True accepts the key."""


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """One line of a known_hosts file that speaks of the host."""

    path: Path
    line: int
    key_type: str
    blob: bytes
    revoked: bool = False


def fingerprint(blob: bytes) -> str:
    """Return a public key's fingerprint as OpenSSH prints it: ``SHA256:`` and 43 characters of base64."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def host_name(host: str, port: int) -> str:
    """Return how known_hosts names a host.

    Example:
        >>> host_name("127.0.0.1", 40022)
        '[127.0.0.1]:40022'
    """
    return host if port == SSH_PORT else f"[{host}]:{port}"


def known_keys(path: Path, name: str) -> tuple[KnownKey, ...]:
    """Return what a known_hosts file says about a host; a file that does not exist says nothing.

    Lines that are damaged, and certificate authorities (host certificates are not supported), are passed over, as
    OpenSSH does.

    Raises:
        AuthenticationError: The file exists but cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise AuthenticationError(
            f"cannot read the known hosts in {path}: {error.strerror}",
            hint="host keys are always verified; mend the file",
        ) from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        revoked = bool(words) and words[0] == REVOKED
        if revoked:
            words = words[1:]
        if len(words) < 3 or words[0].startswith(("#", "@")) or not _speaks_of(words[0], name):
            continue
        blob = _decode(words[2])
        if blob:
            found.append(KnownKey(path=path, line=number, key_type=words[1], blob=blob, revoked=revoked))
    return tuple(found)


def verify(
    shown: HostKey,
    known: tuple[KnownKey, ...],
    *,
    path: Path,
    expected_fingerprint: str | None,
    ask: HostKeyPrompt | None,
) -> None:
    """Accept a host's key or raise; a key accepted at first contact is remembered in ``path``.

    Args:
        shown: The key the host showed and proved to own.
        known: What ``known_keys`` found for the host.
        path: The known_hosts file that a new key is appended to.
        expected_fingerprint: ``SHA256:...`` that decides at first contact.
        ask: Who decides at first contact where no fingerprint is given.

    Raises:
        ChangedHostKeyError: Another key is known for the host, or this one is revoked.
        UnknownHostKeyError: First contact, and nobody accepted the key.
    """
    _refuse_revoked(shown, known)
    valid = [item for item in known if not item.revoked]
    if any(item.blob == shown.blob for item in valid):
        return
    if valid:
        raise _changed(shown, valid)
    if expected_fingerprint is not None:
        _check_expected(shown, expected_fingerprint)
    elif ask is None or not ask(shown):
        raise UnknownHostKeyError(
            f"{shown.name} is not known yet; it shows the {shown.key_type} key {shown.fingerprint}",
            hint=f"compare with the board's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there), then pass "
            f"--host-key-fingerprint {shown.fingerprint}",
        )
    remember(path, shown)


def remember(path: Path, key: HostKey) -> None:
    """Append a host's key, hashed where the file's other names are.

    One write of one line in append mode: an ssh that writes at the same moment loses nothing, and no reader sees half.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = path.read_bytes() if path.exists() else b""
        name = _hashed(key.name) if b"|1|" in before else key.name
        line = f"{name} {key.key_type} {base64.b64encode(key.blob).decode()}\n"
        start = "\n" if before and not before.endswith(b"\n") else ""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (start + line).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnknownHostKeyError(
            f"the key of {key.name} was accepted but cannot be written to {path}: {error.strerror}",
            hint="make the file writable: a key that is not remembered protects nobody",
        ) from error


def _refuse_revoked(shown: HostKey, known: tuple[KnownKey, ...]) -> None:
    for item in known:
        if item.revoked and item.blob == shown.blob:
            raise ChangedHostKeyError(
                f"{shown.name} shows the key {shown.fingerprint}, which is revoked in {item.path} line {item.line}",
                hint="somebody may be impersonating the board; do not connect before this is cleared up",
            )


def _changed(shown: HostKey, known: list[KnownKey]) -> ChangedHostKeyError:
    item = next((item for item in known if item.key_type == shown.key_type), known[0])
    return ChangedHostKeyError(
        f"the host key of {shown.name} has changed: it shows {shown.key_type} {shown.fingerprint}, but "
        f"{item.path} line {item.line} knows {item.key_type} {fingerprint(item.blob)}",
        hint="somebody may be impersonating the board; if it was set up anew, forget the old key with: "
        f"ssh-keygen -f {shlex.quote(str(item.path))} -R {shlex.quote(shown.name)}",
    )


def _check_expected(shown: HostKey, expected: str) -> None:
    if hmac.compare_digest(_normal(expected), _normal(shown.fingerprint)):
        return
    raise UnknownHostKeyError(
        f"{shown.name} shows the {shown.key_type} key {shown.fingerprint}, not the expected {expected}",
        hint="check the fingerprint on the board itself (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there)",
    )


def _normal(text: str) -> str:
    return text.strip().removeprefix("SHA256:").rstrip("=")


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _speaks_of(patterns: str, name: str) -> bool:
    """Return whether the first field of a line means the host: hashed, or patterns with ``*``, ``?`` and ``!``."""
    if patterns.startswith("|1|"):
        return _matches_hash(patterns, name)
    positive = False
    for pattern in patterns.split(","):
        # fnmatch gives brackets a meaning, known_hosts does not.
        plain = pattern.removeprefix("!").replace("[", "[[]").lower()
        if fnmatch.fnmatchcase(name.lower(), plain):
            if pattern.startswith("!"):
                return False
            positive = True
    return positive


def _matches_hash(field: str, name: str) -> bool:
    parts = field.split("|")
    salt, digest = (_decode(part) for part in parts[2:4]) if len(parts) == 4 else (None, None)
    if salt is None or digest is None:
        return False
    return hmac.compare_digest(_name_digest(salt, name), digest)


def _name_digest(salt: bytes, name: str) -> bytes:
    # SHA-1 is what the format prescribes; it only hides the name.
    return hmac.new(salt, name.lower().encode(), hashlib.sha1).digest()


def _hashed(name: str) -> str:
    salt = os.urandom(20)
    salt_text, digest_text = (base64.b64encode(part).decode() for part in (salt, _name_digest(salt, name)))
    return f"|1|{salt_text}|{digest_text}"
