"""Which toolchain a command builds with: asked for, or chosen by the board's C library; never without saying so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

import typer

from edgedeploy.artifacts import BoardFacts, BuiltRuntime
from edgedeploy.boards.model import Board
from edgedeploy.build import Toolchain, ToolchainFamily, choose_toolchain
from edgedeploy.build.engine_parts import EngineParts
from edgedeploy.build.runtime import build_runtime
from edgedeploy.progress import Progress

ToolchainOption = Annotated[
    ToolchainFamily | None,
    typer.Option(
        "--toolchain",
        help="debian: GCC, a static program. zig: pip's clang, linked against the board's glibc version. "
        "Chosen by the board's glibc where it is not given.",
    ),
]

_GLIBC = re.compile(r"^glibc (\d+\.\d+)")


def toolchain_of(
    board: Board, *, family: ToolchainFamily | None = None, facts: BoardFacts | None = None, progress: Progress
) -> Toolchain:
    """Return the toolchain for a board.

    Args:
        family: ``--toolchain``.
        facts: What the live board says; its glibc counts before that of the definition.
    """
    choice = choose_toolchain(board.triple, glibc=_live_glibc(facts) or board.linux.glibc, family=family)
    if choice.toolchain.is_zig or board.linux.glibc is not None:
        target = f", glibc {choice.toolchain.glibc}" if choice.toolchain.glibc else ""
        progress.say(f"toolchain {choice.toolchain.family.value}{target}: {choice.why}")
    return choice.toolchain


def runtime_of(
    board: Board,
    *,
    family: ToolchainFamily | None = None,
    facts: BoardFacts | None = None,
    layers: Iterable[str] | None = None,
    progress: Progress,
) -> BuiltRuntime:
    """Build the on-board program for a board with the toolchain that ``toolchain_of`` names.

    Args:
        layers: The types of the one model that it is to serve, on this board; None: any model, any board of the triple.
    """
    toolchain = toolchain_of(board, family=family, facts=facts, progress=progress)
    parts = None if layers is None else EngineParts(layers=frozenset(layers), features=board.features)
    return build_runtime(board.triple, progress=progress, toolchain=toolchain, parts=parts)


def _live_glibc(facts: BoardFacts | None) -> str | None:
    found = _GLIBC.match(facts.libc) if facts and facts.libc else None
    return found[1] if found else None
