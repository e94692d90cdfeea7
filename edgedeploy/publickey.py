"""A public key as host and board name it."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass

_DIGITS = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """An Ed25519 public key: its 32 bytes as 64 hex digits, and the name that its owner gave it.

    Raises:
        ValueError: Other digits than these.
    """

    name: str
    digits: str

    def __post_init__(self) -> None:
        if not _DIGITS.fullmatch(self.digits):
            raise ValueError("a public key has 64 lower-case hex digits")

    @property
    def fingerprint(self) -> str:
        """What ``ssh-keygen -lf`` shows for it: ``SHA256:`` and 43 characters."""
        kind = b"ssh-ed25519"
        blob = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + bytes.fromhex(self.digits)
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
