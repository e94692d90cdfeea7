"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgedeploy.artifacts import Clock

ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project", "-C", file_okay=False, help="Project directory; without edgedeploy.toml the demo's file is used."
    ),
]
BoardOption = Annotated[str, typer.Option("--board", "-b", help="Board name, or a path to your own board .toml.")]
HostOption = Annotated[
    Optional[str],  # noqa: UP045  (typer reads the annotation at run time)
    typer.Option("--host", help="USER@ADDRESS[:PORT] of a real board."),
]
EmulatedOption = Annotated[bool, typer.Option("--emulated", help="Use the board's emulated twin.")]
ClockOption = Annotated[
    Clock,
    typer.Option("--clock", help="Twin's clock: real (all vCPUs) or instructions (deterministic, one vCPU)."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start the twin from a clean disk.")]
KeyOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--key", dir_okay=False, help="Private key file for --host."),
]
FingerprintOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--host-key-fingerprint", help="SHA256:... accepted at first contact."),
]
DirectoryOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--directory", help="Base directory on the board; the board definition's otherwise."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else there.")]

HERE = Path()
