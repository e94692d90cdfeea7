"""The keys that a board trusts: reading them, and changing them with the consent of one of them.

The list is a file on the board, ``~/.edgedeploy/.trust/keys``. A change is a whole new list, signed by a key of the old
one; the board's verifier compares and puts it in place. ``docs/security.md`` says what that stops.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from edgedeploy.deploy import trust_scripts
from edgedeploy.deploy.remote import report_lines, run_script, script_deadline_s, script_error
from edgedeploy.deploy.signature import UNTRUSTED_STATUS, last_words, verifier_damaged, verifier_failed
from edgedeploy.deploy.survey import NO_LIST
from edgedeploy.errors import ChecksumMismatchError, TrustError
from edgedeploy.files import file_sha256
from edgedeploy.publickey import PublicKey
from edgedeploy.reading import load_json
from edgedeploy.transport.protocol import CommandResult, Transport

HEADER = "edgedeploy trusted keys 1"
EXECUTABLE = 0o755

_LIST = re.compile(
    rf"{HEADER}\nboard (?P<board>[0-9a-f]{{32}})\nserial (?P<serial>[1-9][0-9]{{0,17}})\n"
    r"verifier (?P<verifier>[0-9a-f]{64})\n(?P<keys>(key [0-9a-f]{64} [A-Za-z0-9._@+=-]{1,64}\n)*)"
)


@dataclass(frozen=True, kw_only=True)
class TrustedKeys:
    """A board's list of trusted keys.

    Args:
        board: 32 hex digits, drawn at the first trust: a list for one board fits no other.
        serial: Grows by one with every change, so that an old list cannot come back.
        verifier: SHA-256 of the on-board program that checks signatures.
    """

    board: str
    serial: int
    verifier: str
    keys: tuple[PublicKey, ...]

    def to_bytes(self) -> bytes:
        """Return the file's bytes, which are what is signed."""
        lines = [HEADER, f"board {self.board}", f"serial {self.serial}", f"verifier {self.verifier}"]
        lines += [f"key {key.digits} {key.name}" for key in self.keys]
        return "".join(f"{line}\n" for line in lines).encode("ascii")

    def find(self, wanted: str) -> PublicKey | None:
        """Return the key with this fingerprint, these hex digits, or this name where only one has it."""
        exact = [key for key in self.keys if wanted in (key.fingerprint, key.digits)]
        named = [key for key in self.keys if key.name == wanted]
        return exact[0] if exact else named[0] if len(named) == 1 else None


@dataclass(frozen=True, kw_only=True)
class Consent:
    """A key of the present list signs the next one: its public half, and what signs bytes with the private half."""

    key: PublicKey
    sign: Callable[[bytes], bytes]


def parse_trusted_keys(text: str) -> TrustedKeys:
    """Read a list.

    Raises:
        ValueError: It is not exactly of the format.
    """
    match = _LIST.fullmatch(text)
    if match is None:
        raise ValueError("no list of trusted keys")
    words = [line.split(" ") for line in match["keys"].splitlines()]
    return TrustedKeys(
        board=match["board"],
        serial=int(match["serial"]),
        verifier=match["verifier"],
        keys=tuple(PublicKey(digits=digits, name=name) for _, digits, name in words),
    )


def read_trusted_keys(transport: Transport) -> TrustedKeys | None:
    """Return the board's list, None where there never was one.

    Raises:
        TrustError: There is a list, but it cannot be read.
    """
    result = run_script(transport, "keys", trust_scripts.READ_KEYS)
    lines = report_lines(result)
    values = dict(lines)
    if "end" not in values or "list" not in values:
        raise script_error(transport, "keys", result)
    if values["list"] == NO_LIST:
        return None
    text = "".join(f"{value}\n" for key, value in lines if key == "line")
    try:
        return parse_trusted_keys(text)
    except ValueError:
        raise TrustError(
            "the board's list of trusted keys is damaged",
            hint="find out who writes on the board; docs/security.md says how to start over",
        ) from None


def trust(
    transport: Transport, key: PublicKey, *, present: TrustedKeys | None, verifier: Path, consent: Consent | None
) -> TrustedKeys:
    """Add a key to the board's list and give it this verifier; a key that is there already stays, under this name.

    Args:
        transport: An open connection.
        key: The public key.
        present: What ``read_trusted_keys`` gave.
        verifier: The on-board program for the board.
        consent: Of a trusted key; needed where the board trusts one.

    Raises:
        TrustError: The board refuses the change.
        ChecksumMismatchError: The verifier did not arrive whole, or another change swept it away.
    """
    sha256 = file_sha256(verifier)
    others = tuple(item for item in present.keys if item.digits != key.digits) if present else ()
    new = TrustedKeys(
        board=present.board if present else secrets.token_hex(16),
        serial=present.serial + 1 if present else 1,
        verifier=sha256,
        keys=(*others, key),
    )
    token = secrets.token_hex(8)
    prepared = run_script(transport, "prepare", trust_scripts.PREPARE, sha256, deadline_s=script_deadline_s(1 << 28))
    said = dict(report_lines(prepared))
    if "end" not in said:
        raise script_error(transport, "prepare", prepared)
    if "have" not in said:
        transport.put(verifier, PurePosixPath(said["directory"]) / f".incoming-{token}", mode=EXECUTABLE)
    return _change(transport, new, token, consent)


def untrust(transport: Transport, key: PublicKey, *, present: TrustedKeys, consent: Consent) -> TrustedKeys:
    """Take a key off the board's list. Without any key left, the board takes every release again.

    Raises:
        TrustError: The board refuses the change.
    """
    kept = tuple(item for item in present.keys if item.digits != key.digits)
    new = replace(present, serial=present.serial + 1, keys=kept)
    return _change(transport, new, secrets.token_hex(8), consent)


def _change(transport: Transport, new: TrustedKeys, token: str, consent: Consent | None) -> TrustedKeys:
    content = new.to_bytes()
    key, signature = (consent.key.digits, consent.sign(content).hex()) if consent else ("", "")
    result = run_script(
        transport,
        "trust",
        trust_scripts.CHANGE,
        token,
        new.verifier,
        key,
        signature,
        stdin=content.decode("ascii"),
        deadline_s=script_deadline_s(1 << 28),
    )
    check_changed(result)
    return new


def check_changed(result: CommandResult) -> None:
    """Read the report of a change; nothing is raised where the board made it.

    Raises:
        TrustError: The board refuses it, or its verifier cannot decide.
        ChecksumMismatchError: The new verifier is not there whole.
    """
    lines = dict(report_lines(result))
    if "mismatch" in lines:
        raise ChecksumMismatchError("the verifier arrived damaged", hint="run the command again")
    if "missing" in lines:
        raise ChecksumMismatchError(
            "the verifier is no longer on the board: somebody else changed its trusted keys meanwhile",
            hint="run the command again",
        )
    if "damaged" in lines:
        raise verifier_damaged()
    if lines.get("status") == str(UNTRUSTED_STATUS):
        raise TrustError(
            f"the board refuses: {last_words(result) or 'it does not say why'}",
            hint="edgedeploy keys list --board NAME lists the keys that may change its list",
        )
    try:
        if lines["status"] == "0" and load_json(lines["answer"])["schema"] == 1:
            return
    except (ValueError, TypeError, KeyError):
        pass
    raise verifier_failed(result)
