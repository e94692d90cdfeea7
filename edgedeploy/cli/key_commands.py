"""``keys new|list|trust|untrust``: who may sign releases, and whom a board trusts."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.table import Table

from edgedeploy.boards.load import load_board
from edgedeploy.bundle.keys import find_public_key, keys_dir, load_signing_key, local_keys, new_key
from edgedeploy.cli.building import runtime_of
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import JsonOption, TargetOptions, takes_target
from edgedeploy.cli.projects import OpenProject, open_project
from edgedeploy.cli.signing import SignKeyOption, passphrase_prompt
from edgedeploy.cli.target import connection, require_target
from edgedeploy.deploy import trust as board_trust
from edgedeploy.deploy.trust import Consent, TrustedKeys, read_trusted_keys
from edgedeploy.errors import TrustError, close_matches
from edgedeploy.publickey import PublicKey

app = typer.Typer(help="Keys that sign releases, and the keys that a board trusts.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="keys")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The new key's name.")],
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Do not ask for a passphrase; scripts need such a key.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an Ed25519 key pair; none is ever overwritten."""
    passphrase = "" if no_passphrase or not sys.stdin.isatty() else _ask_new_passphrase()
    key = new_key(name, passphrase=passphrase)
    path = keys_dir() / name
    document = {**_document(key), "private_file": str(path), "public_file": f"{path}.pub", "locked": bool(passphrase)}
    if as_json:
        print_json(document)
        return
    lock = "locked by the passphrase" if passphrase else "not locked by a passphrase"
    stdout.print(f"{name}  {key.fingerprint}", markup=False)
    stdout.print(f"private  {path} ({lock}); keep a copy where no one else can read it", markup=False, soft_wrap=True)
    stdout.print(f"public   {path}.pub", markup=False, soft_wrap=True)


@app.command("list")
@takes_target(default_board="")
def list_all(options: TargetOptions, as_json: JsonOption = False) -> None:
    """List your own keys, and with --board those that it trusts."""
    own = tuple(local_keys().values())
    trusted: TrustedKeys | None = None
    if options.board:
        trusted = _read_from_board(options)
    if as_json:
        document: dict[str, Any] = {"keys": [_document(key) for key in own]}
        if options.board:
            document["board"] = options.board
            document["trusted"] = [_document(key) for key in trusted.keys] if trusted else []
        print_json(document)
        return
    _show("your own", own)
    if options.board:
        _show(f"trusted by {options.board}", trusted.keys if trusted else ())
        if not trusted or not trusted.keys:
            stdout.print("The board trusts no key, so it takes every release.")


@app.command()
@takes_target()
def trust(
    options: TargetOptions,
    name: Annotated[str, typer.Argument(metavar="NAME|PUBLIC-KEY-FILE", help="The key to trust.")],
    sign_key: SignKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a board trust a key: it then takes signed releases only.

    The first key is taken as it comes. Each later change has to be signed by a key that the board trusts already:
    --sign-key, else the project's, else one of yours that it trusts. Trusting a key again renews the board's verifier.
    """
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    definition = load_board(options.board, project_dir=opened.directory)
    require_target(options, definition, opened.project)
    public = find_public_key(name)
    if not options.emulated:
        # A board that does not answer is said before minutes go into building its verifier.
        with connection(options, opened, progress=progress) as target:
            progress.say(f"{target.transport.description} answers")
    # What verifies runs no model.
    layers = () if opened.project.build.engine == "model" else None
    runtime = runtime_of(definition, layers=layers, progress=progress)
    with connection(options, opened, progress=progress) as target:
        present = read_trusted_keys(target.transport)
        consent = _consent(present, opened, sign_key)
        if present is None or not present.keys:
            progress.say(f"first trust: {target.transport.description} takes {public.fingerprint} as it comes")
        with progress.task(f"Trusting {public.name} on {target.transport.description}"):
            changed = board_trust.trust(
                target.transport, public, present=present, verifier=runtime.runner, consent=consent
            )
    _show_change(options.board, changed, as_json=as_json)


@app.command()
@takes_target()
def untrust(
    options: TargetOptions,
    name: Annotated[str, typer.Argument(metavar="NAME|FINGERPRINT", help="The key, as keys list --board shows it.")],
    sign_key: SignKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a board trust a key no longer.

    A key that it trusts has to sign this, which may be the same one. Without a key left, it takes every release again.
    """
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        present = read_trusted_keys(target.transport)
        found = present.find(name) if present else None
        if present is None or found is None:
            names = [item.name for item in present.keys] if present else []
            raise TrustError(
                f"{target.transport.description} trusts no one key {name!r}",
                hint=close_matches(name, names) or "it trusts no key at all",
            )
        consent = _consent(present, opened, sign_key)
        if consent is None:  # pragma: no cover  (a list with keys always asks for one)
            raise TrustError("a key that the board trusts has to sign the change")
        with progress.task(f"Taking {found.name} off {target.transport.description}"):
            changed = board_trust.untrust(target.transport, found, present=present, consent=consent)
    _show_change(options.board, changed, as_json=as_json)


def _consent(present: TrustedKeys | None, opened: OpenProject, sign_key: str | None) -> Consent | None:
    """Return the key that signs a change of this list; None where the list is empty and needs none.

    Raises:
        TrustError: None of the keys at hand is trusted.
    """
    if present is None or not present.keys:
        return None
    named = sign_key or opened.project.signing.key or _trusted_own_key(present)
    key = load_signing_key(named, prompt=passphrase_prompt())
    if present.find(key.public.digits) is None:
        raise TrustError(
            f"the board does not trust {key.public.name} {key.public.fingerprint}, so that key cannot sign the change",
            hint=f"--sign-key NAME chooses another; it trusts: {', '.join(item.name for item in present.keys)}",
        )
    return Consent(key=key.public, sign=key.sign)


def _trusted_own_key(present: TrustedKeys) -> str:
    trusted = {item.digits for item in present.keys}
    for name, key in local_keys().items():
        if key.digits in trusted:
            return name
    raise TrustError(
        "none of your keys is trusted by the board, so none can sign the change",
        hint=f"--sign-key FILE names one; it trusts: {', '.join(item.name for item in present.keys)}",
    )


def _read_from_board(options: TargetOptions) -> TrustedKeys | None:
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        return read_trusted_keys(target.transport)


def _ask_new_passphrase() -> str:
    return str(
        typer.prompt(
            "Passphrase (empty for none)",
            hide_input=True,
            confirmation_prompt=True,
            default="",
            show_default=False,
            err=True,
        )
    )


def _document(key: PublicKey) -> dict[str, str]:
    return {"name": key.name, "fingerprint": key.fingerprint}


def _show(title: str, keys: tuple[PublicKey, ...]) -> None:
    table = Table("", "fingerprint", title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    for key in keys:
        table.add_row(key.name, key.fingerprint)
    if not keys:
        table.add_row("none", "")
    stdout.print(table)


def _show_change(board: str, changed: TrustedKeys, *, as_json: bool) -> None:
    if as_json:
        print_json({"board": board, "trusted": [_document(key) for key in changed.keys]})
        return
    _show(f"trusted by {board}", changed.keys)
    if not changed.keys:
        stdout.print("The board trusts no key any more: it takes every release.")
