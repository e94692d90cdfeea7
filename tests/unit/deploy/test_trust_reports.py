"""What the board says of its trusted keys and of a release's signature: reports whole, damaged, and empty."""

from __future__ import annotations

import json

import pytest
from signing_keys import BOARD, fixed_key, trusted

from edgedeploy.deploy.signature import parse_verdict
from edgedeploy.deploy.survey import Survey, parse_survey
from edgedeploy.deploy.trust import check_changed, parse_trusted_keys
from edgedeploy.errors import (
    AlteredReleaseError,
    ChecksumMismatchError,
    RemoteCommandError,
    TrustError,
    UnknownSignerError,
    UnsignedReleaseError,
)
from edgedeploy.publickey import PublicKey
from edgedeploy.transport.protocol import CommandResult

ALICE, BOB = fixed_key("alice"), fixed_key("bob")
DIGITS = ALICE.public.digits
SURVEY = f"""root /home/edge/.edgedeploy/demo
trust {{}}
current releases/{"a" * 64}
intact no
disk-free-kib 1024
memory MemAvailable: 100
end
"""


def result(stdout: str, stderr: str = "") -> CommandResult:
    return CommandResult(command="report", exit_status=0, stdout=stdout, stderr=stderr, seconds=0.1)


def answer(status: int, document: object, stderr: str = "") -> CommandResult:
    return result(f"status {status}\nanswer {json.dumps(document)}\n", stderr)


def test_verdicts() -> None:
    signed = {"verified": True, "required": True, "key": DIGITS, "name": "alice"}
    assert parse_verdict(answer(0, signed)) == ALICE.public
    assert parse_verdict(answer(0, {"verified": False, "required": False})) is None
    kinds = {"unsigned": UnsignedReleaseError, "unknown-signer": UnknownSignerError, "altered": AlteredReleaseError}
    for reason, kind in kinds.items():
        with pytest.raises(kind, match="the board refuses the release: so"):
            parse_verdict(answer(9, {"verified": False, "required": True, "reason": reason, "message": "so"}))
    with pytest.raises(TrustError, match="vanished during this command"):
        parse_verdict(result("open\n"))
    with pytest.raises(TrustError, match="missing, or not the one"):
        parse_verdict(result("damaged\n"))


@pytest.mark.parametrize(
    "report",
    [
        result(""),
        result("status 0\n"),
        answer(0, None),
        answer(9, None),
        answer(9, []),
        answer(9, {"reason": "whim", "message": "x"}),
        answer(0, {"verified": "true", "key": DIGITS, "name": "alice"}),
        answer(0, {"verified": True, "required": True, "name": "alice"}),
        answer(0, {"verified": True, "required": True, "key": DIGITS[1:], "name": "alice"}),
        answer(0, {"verified": True, "required": True, "key": DIGITS.upper(), "name": "alice"}),
        answer(1, {"verified": True, "required": True, "key": DIGITS, "name": "alice"}),
        result("status 0\nanswer " + "[" * 100_000),
    ],
)
def test_what_is_no_verdict_lets_nothing_through(report: CommandResult) -> None:
    with pytest.raises(TrustError, match="the board's verifier could not check"):
        parse_verdict(report)


def test_changes() -> None:
    check_changed(answer(0, {"schema": 1, "serial": 2, "keys": 1}))
    with pytest.raises(TrustError, match="the board refuses: the change is not signed"):
        check_changed(result("status 9\nanswer \n", "warning\nerror: the change is not signed\n"))
    with pytest.raises(TrustError, match="the board refuses: it does not say why"):
        check_changed(result("status 9\nanswer \n", "\n"))
    for said in ("mismatch", "missing"):
        with pytest.raises(ChecksumMismatchError, match="the verifier"):
            check_changed(result(f"{said}\n"))
    with pytest.raises(TrustError, match="missing, or not the one"):
        check_changed(result("damaged\n"))


@pytest.mark.parametrize(
    "report",
    [
        result(""),
        answer(0, []),
        answer(0, {"schema": 2}),
        answer(4, {"schema": 1}),
        result("status 0\nanswer " + '{"schema":' * 100_000),
    ],
)
def test_what_is_no_report_of_a_change(report: CommandResult) -> None:
    with pytest.raises(TrustError, match="the board's verifier could not check"):
        check_changed(report)


@pytest.mark.parametrize("digits", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "١" * 64])
def test_a_public_key_has_its_digits(digits: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        PublicKey(name="alice", digits=digits)


def test_lists_are_read_as_they_are_written() -> None:
    for keys in ((), (ALICE,), (ALICE, BOB)):
        assert parse_trusted_keys(trusted(*keys).to_bytes().decode("ascii")) == trusted(*keys)
    text = trusted(ALICE).to_bytes().decode("ascii")
    for wrong in ("", text[:-1], text + "\n", text.replace(BOARD, BOARD[1:]), text.replace("serial 1", "serial 01")):
        with pytest.raises(ValueError, match="no list"):
            parse_trusted_keys(wrong)


@pytest.mark.parametrize(("value", "has_keys"), [("-", False), ("unreadable", True), ("b" * 64, True)])
def test_the_survey_names_the_list(value: str, has_keys: bool) -> None:
    found = parse_survey(result(SURVEY.format(value)))
    assert isinstance(found, Survey)
    assert (found.trusted_list, found.has_trusted_keys) == (value, has_keys)


@pytest.mark.parametrize("value", ["", "b", "B" * 64, "b" * 64 + " "])
def test_a_list_of_no_such_name_is_no_report(value: str) -> None:
    with pytest.raises(RemoteCommandError, match="unreadable report"):
        parse_survey(result(SURVEY.format(value)))
