"""Whether a board with trusted keys takes a release: its own verifier decides, before anything of the release runs."""

from __future__ import annotations

from collections.abc import Callable

from edgedeploy.deploy import trust_scripts
from edgedeploy.deploy.remote import report_lines, run_script, script_deadline_s
from edgedeploy.deploy.scripts import command
from edgedeploy.deploy.visit import Visit
from edgedeploy.errors import (
    AlteredReleaseError,
    SignatureError,
    TrustError,
    UnknownSignerError,
    UnsignedReleaseError,
)
from edgedeploy.publickey import PublicKey
from edgedeploy.reading import load_json
from edgedeploy.transport.protocol import CommandResult

UNTRUSTED_STATUS = 9
# How the answer begins of a board that takes the release.
ACCEPTED = "status 0"
# What a release of which only the board knows the size may have.
LARGEST_RELEASE_BYTES = 1_000_000_000

_START_OVER = "edgedeploy keys trust says more; docs/security.md says how to start over"
_REFUSALS: dict[str, tuple[type[SignatureError], str]] = {
    "unsigned": (UnsignedReleaseError, "sign it: --sign-key NAME, or [signing] key in edgedeploy.toml"),
    "unknown-signer": (UnknownSignerError, "edgedeploy keys list --board NAME lists the keys that it trusts"),
    "altered": (AlteredReleaseError, "flash it again; if it happens again, find out who writes on the board"),
}


def verify_command(visit: Visit, digest: str, *, app: str) -> str:
    """Return the command that has the board check a release of its own; see ``ACCEPTED``."""
    return command("verify", trust_scripts.VERIFY, *_arguments(visit, digest, app))


def check_signature(
    visit: Visit,
    digest: str,
    *,
    app: str,
    size_bytes: int = LARGEST_RELEASE_BYTES,
    ask: Callable[[], CommandResult] | None = None,
) -> None:
    """Have the board check a release of its own against the keys it trusts; a board without a list takes all.

    Args:
        ask: Runs ``verify_command`` in place of this, and returns what it gave.

    Raises:
        UnsignedReleaseError, UnknownSignerError, AlteredReleaseError: The board refuses the release.
        TrustError: The board has trusted keys, but cannot check with them: nothing is taken then.
    """
    if not visit.survey.has_trusted_keys:
        return
    with visit.steps.step("signature", "Checking the signature on the board") as step:
        key = parse_verdict(ask() if ask else _verify(visit, digest, app=app, size_bytes=size_bytes))
        step.note = f"signed by {key.name} {key.fingerprint}" if key else "no key is trusted any more"


def _verify(visit: Visit, digest: str, *, app: str, size_bytes: int) -> CommandResult:
    arguments = _arguments(visit, digest, app)
    deadline_s = script_deadline_s(size_bytes)
    return run_script(visit.transport, "verify", trust_scripts.VERIFY, *arguments, deadline_s=deadline_s)


def _arguments(visit: Visit, digest: str, app: str) -> tuple[str, ...]:
    return str(visit.survey.root), digest, app


def parse_verdict(result: CommandResult) -> PublicKey | None:
    """Return the trusted key that signed a release; None where the board's list has none.

    Raises:
        SignatureError: A leaf of it, as the board's verifier says; also where the board has no list.
    """
    lines = dict(report_lines(result))
    if "open" in lines:
        raise TrustError("the board's trusted keys vanished during this command", hint="run it again")
    if "damaged" in lines:
        raise verifier_damaged()
    try:
        document = load_json(lines.get("answer") or "null")
        if lines["status"] == "0" and document["verified"] is True:
            return PublicKey(name=str(document["name"]), digits=str(document["key"]))
        if lines["status"] == "0" and document["required"] is False:
            return None
        if lines["status"] == str(UNTRUSTED_STATUS) and document is not None:
            kind, hint = _REFUSALS[document["reason"]]
            raise kind(f"the board refuses the release: {document['message']}", hint=hint)
    except (ValueError, TypeError, KeyError):
        pass
    raise verifier_failed(result)


def verifier_damaged() -> TrustError:
    """Return the error for a board whose verifier is missing or altered."""
    return TrustError(
        "the program that checks signatures on the board is missing, or not the one that its trusted keys name, "
        "or lies where others can write",
        hint="find out who writes on the board; docs/security.md says how to start over",
    )


def verifier_failed(result: CommandResult) -> TrustError:
    """Return the error for a verifier that could not decide."""
    said = last_words(result) or result.stdout[-200:]
    return TrustError(f"the board's verifier could not check: {said}", hint=_START_OVER)


def last_words(result: CommandResult) -> str:
    """Return what the verifier's last line says; empty where it says nothing."""
    said = result.stderr.strip().splitlines()
    return said[-1].removeprefix("error: ") if said else ""
