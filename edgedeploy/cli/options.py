"""Options that several commands share, each written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from edgedeploy.artifacts import Clock

ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project", "-C", file_okay=False, help="Project directory; without edgedeploy.toml the demo's file is used."
    ),
]
BoardArgument = Annotated[str, typer.Argument(help="Board name, or a path to a board .toml.")]
BoardOption = Annotated[str, typer.Option("--board", "-b", help="Board name, or a path to your own board .toml.")]
ClockOption = Annotated[
    Clock | None,
    typer.Option(
        "--clock",
        help="Twin's clock: real (all vCPUs; the default) or instructions (deterministic, one vCPU).",
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start the twin from a clean disk.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else there.")]

HERE = Path()


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """What the command line says about the board to work on, and the project that it is for."""

    board: BoardOption
    host: Annotated[
        str | None,
        typer.Option("--host", help="USER@ADDRESS[:PORT] of a real board."),
    ] = None
    emulated: Annotated[bool, typer.Option("--emulated", help="Use the board's emulated twin.")] = False
    clock: ClockOption = None
    fresh: FreshOption = False
    key: Annotated[
        Path | None,
        typer.Option("--key", exists=True, dir_okay=False, help="Private key file for --host."),
    ] = None
    host_key_fingerprint: Annotated[
        str | None,
        typer.Option("--host-key-fingerprint", help="SHA256:... accepted at first contact."),
    ] = None
    directory: Annotated[
        str | None,
        typer.Option("--directory", help="Base directory on the board; the board definition's otherwise."),
    ] = None
    project: ProjectOption = HERE


def takes_target(
    *, board: object | None = BoardOption, default_board: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of ``TargetOptions``, and hand them to it as its first argument.

    Typer reads a command's options from its signature; the result's has the target's options before the command's own.

    Args:
        board: How the board is named: the option ``--board``, or an argument's annotation; None: the command names its
            boards itself, and ``TargetOptions.board`` is empty.
        default_board: What the command gets where none is named; None: one has to be.
    """
    defaults = {} if default_board is None else {"board": default_board}
    hints = get_type_hints(TargetOptions, include_extras=True) | {"board": board}
    shared = [
        parameter.replace(annotation=hints[parameter.name], default=defaults.get(parameter.name, parameter.default))
        for parameter in inspect.signature(TargetOptions).parameters.values()
        if board is not None or parameter.name != "board"
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        ]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            given = {parameter.name: values.pop(parameter.name) for parameter in shared}
            target = TargetOptions(**{"board": "", **given})
            command(target, **values)

        wrapper.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in [*shared, *own]}
        return wrapper

    return decorate
