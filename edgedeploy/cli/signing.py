"""Which key signs what is flashed: the command line's, else the project's, else none."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edgedeploy.bundle.keys import PassphrasePrompt, SigningKey, load_signing_key
from edgedeploy.cli.projects import OpenProject

SignKeyOption = Annotated[
    str | None,
    typer.Option("--sign-key", metavar="KEY", help="Name or private key file that signs; the project's otherwise."),
]


def signing_key(opened: OpenProject, wanted: str | None) -> SigningKey | None:
    """Return the key that the option or the project names, None where neither does.

    Raises:
        KeyFileError, PassphraseError: It cannot be had.
    """
    named = wanted or opened.project.signing.key
    return load_signing_key(named, prompt=passphrase_prompt()) if named else None


def passphrase_prompt() -> PassphrasePrompt | None:
    """Return who is asked for passphrases: the person at the terminal, or nobody."""
    return _ask if sys.stdin.isatty() else None


def _ask(question: str) -> str:
    return str(typer.prompt(question, hide_input=True, err=True, default="", show_default=False, prompt_suffix=""))
