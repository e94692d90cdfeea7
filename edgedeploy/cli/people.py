"""Who is asked about host keys, passwords and passphrases: the person at the terminal, or nobody."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer

from edgedeploy.cli.console import stderr
from edgedeploy.transport.authentication import PasswordPrompt
from edgedeploy.transport.host_keys import HostKey, HostKeyPrompt


@dataclass(frozen=True, kw_only=True)
class People:
    """Whom a connection asks; None: nobody."""

    accept_host_key: HostKeyPrompt | None
    tell_secret: PasswordPrompt | None


NOBODY = People(accept_host_key=None, tell_secret=None)


def at_terminal() -> People:
    """Return the person at the terminal, nobody where there is none."""
    return People(accept_host_key=_ask_about_host_key, tell_secret=_ask_secret) if sys.stdin.isatty() else NOBODY


class Answers:
    """What a person said while connections were tried one by one, for threads that cannot ask.

    Secrets are kept in memory only. The same key file or login is asked for once, for however many boards it is.
    """

    def __init__(self, people: People) -> None:
        self._people = people
        self._said: dict[str, str] = {}

    def asking(self) -> People:
        """Return people for one connection: what was said before is tried first; what is refused is asked for anew."""
        tell = self._people.tell_secret
        if tell is None:
            return self._people
        tried: set[str] = set()

        def tell_secret(question: str) -> str:
            if question in tried or question not in self._said:
                self._said[question] = tell(question)
            tried.add(question)
            return self._said[question]

        return People(accept_host_key=self._people.accept_host_key, tell_secret=tell_secret)

    def known(self) -> People:
        """Return people for one connection who know what was said, and are asked nothing."""
        left = dict(self._said)
        return People(accept_host_key=None, tell_secret=lambda question: left.pop(question, "")) if left else NOBODY


def _ask_about_host_key(key: HostKey) -> bool:
    stderr.print(f"{key.name} shows the {key.key_type} key {key.fingerprint} for the first time.", markup=False)
    return typer.confirm("Is that the board's key, and shall it be trusted from now on?", err=True)


def _ask_secret(question: str) -> str:
    return str(typer.prompt(question, hide_input=True, err=True))
