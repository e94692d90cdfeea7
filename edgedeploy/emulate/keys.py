"""A twin's keys, made on the host: the host key is known before the first contact, so verification is always strict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edgedeploy.files import write_whole

USER = "edge"
HOST_KEY = "ssh_host_ed25519_key"
USER_KEY = "id_ed25519"
KNOWN_HOSTS = "known_hosts"


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """An ed25519 pair: the private key in OpenSSH's file format, the public one as ``ssh-ed25519 AAAA...``."""

    private: bytes
    public: str


def ensure_key_pair(path: Path, *, comment: str) -> KeyPair:
    """Return the pair in ``path`` and ``path.pub``, making it where there is none. Only the owner may read it."""
    public_path = path.with_name(path.name + ".pub")
    if not (path.is_file() and public_path.is_file()):
        pair = generate_key_pair()
        write_whole(path, pair.private, mode=0o600)
        write_whole(public_path, f"{pair.public} {comment}\n".encode("ascii"))
    public = " ".join(public_path.read_text(encoding="ascii").split()[:2])
    return KeyPair(private=path.read_bytes(), public=public)


def generate_key_pair() -> KeyPair:
    """Return a new pair."""
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii"),
    )


def known_hosts_line(port: int, public: str) -> str:
    """Return the known_hosts entry of a server on 127.0.0.1.

    Example:
        >>> known_hosts_line(40022, "ssh-ed25519 AAAA")
        '[127.0.0.1]:40022 ssh-ed25519 AAAA\\n'
    """
    return f"[127.0.0.1]:{port} {public}\n"
