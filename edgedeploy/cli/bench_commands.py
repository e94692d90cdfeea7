"""``bench``, ``report``, ``compare``: measure, show, hold two runs against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgedeploy.artifacts import Clock
from edgedeploy.bench.store import find_run, latest_run
from edgedeploy.boards.probe import probe
from edgedeploy.cli import measuring, pipeline
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import (
    HERE,
    BoardOption,
    ClockOption,
    DirectoryOption,
    EmulatedOption,
    FingerprintOption,
    HostOption,
    JsonOption,
    KeyOption,
    ProjectOption,
)
from edgedeploy.cli.target import TargetOptions, connection
from edgedeploy.errors import RunFileError, UsageError


def register(app: typer.Typer) -> None:
    app.command()(bench)
    app.command()(report)
    app.command()(compare)
