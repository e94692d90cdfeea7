"""Several commands in one round trip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgedeploy.deploy.together import Part, Together, run_together
from edgedeploy.errors import DeadlineError, RemoteCommandError
from edgedeploy.transport.local import LocalTransport

DEADLINE_S = 20.0


def transport() -> LocalTransport:
    return LocalTransport(environment=dict(os.environ))


def parts(*commands: str | list[str]) -> list[Part]:
    return [Part(command=command) for command in commands]


def test_each_has_its_own_outputs() -> None:
    board = transport()
    commands = parts("printf 'no newline'; echo complaint >&2", ["printf", "%s\n", 'it\'s "2"'])
    first, second = run_together(board, commands, deadline_s=DEADLINE_S)
    assert (first.stdout, first.stderr, first.exit_status) == ("no newline", "complaint\n", 0)
    assert (second.stdout, second.stderr, second.exit_status) == ('it\'s "2"\n', "", 0)
    assert second.command == "printf '%s\n' 'it'\"'\"'s \"2\"'"
    assert board.traffic.round_trips == 1


def test_what_follows_a_failure_does_not_run() -> None:
    commands = parts("echo a", "set -e; echo b; false; echo c", "echo d")
    answers = run_together(transport(), commands, deadline_s=DEADLINE_S)
    assert [(answer.stdout, answer.exit_status) for answer in answers] == [("a\n", 0), ("b\n", 1)]


@pytest.mark.parametrize(
    ("command", "goes_on"),
    [
        ("printf 'status 0\nanswer'", True),
        ("echo 'status 9'", False),
        ("echo '  status 0'", False),
        (":", False),
        ("echo 'status 0'; exit 3", False),
        ("set -e; echo 'status 0'; false; echo more", False),
    ],
)
def test_what_follows_a_command_that_says_something_else_does_not_run(command: str, goes_on: bool) -> None:
    says_so = Part(command=command, says="status 0")
    answers = run_together(transport(), [says_so, *parts("echo next")], deadline_s=DEADLINE_S)
    assert [answer.stdout for answer in answers][1:] == (["next\n"] if goes_on else [])
    assert answers[0].command == command
    alone = transport().run(command, check=False)
    assert (answers[0].exit_status, answers[0].stdout.rstrip()) == (alone.exit_status, alone.stdout.rstrip())


def test_variables_directories_and_ends_are_their_own() -> None:
    answers = run_together(transport(), parts("x=1; cd /; exit 0", 'echo "${x-none}"; pwd'), deadline_s=DEADLINE_S)
    assert answers[1].stdout == f"none\n{Path.cwd()}\n"


def test_a_shell_that_ends_in_between_is_told() -> None:
    with pytest.raises(RemoteCommandError, match="second"):
        run_together(transport(), parts("echo a", "# second\nkill -9 $$", "echo c"), deadline_s=DEADLINE_S)


def test_the_deadline_is_that_of_all() -> None:
    with pytest.raises(DeadlineError):
        run_together(transport(), parts("sleep 0.5", "sleep 60"), deadline_s=1.0)


def test_asked_one_by_one_they_run_once() -> None:
    board = transport()
    ask = Together(board, parts("echo a", "echo b", "false", "echo d"), DEADLINE_S)
    assert board.traffic.round_trips == 0
    assert [ask().stdout, ask().stdout, ask().exit_status] == ["a\n", "b\n", 1]
    with pytest.raises(RemoteCommandError, match="the command before it"):
        ask()
    assert board.traffic.round_trips == 1
