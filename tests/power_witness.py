"""A board whose power goes before a command of the scripts: it notes each, and stops at the one whose turn it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from deploy_workbench import Workbench

from edgedeploy.errors import ConnectionLostError
from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import CommandResult

every_command = pytest.mark.parametrize(
    "step", [pytest.param(3, id="a third"), pytest.param(1, id="all", marks=pytest.mark.nightly)]
)
"""For sweeps over the commands of a script: every third in the default run, every one in the nightly."""

CHANGING = ("mkdir", "mv", "ln", "rm", "sync", "chmod")
OTHER_BOOT = "11111111-2222-3333-4444-555555555555 12\n"

# Notes each command, and dies with the shell that called it in place of the one whose turn it is.
WITNESS = """#!/bin/sh
set -- {name} "$@"
printf '%s\\n' "$*" >> "{log}"
if [ "$(wc -l < "{log}")" -ge "$(cat "{limit}")" ]; then kill -KILL 0; fi
shift
exec {program} "$@"
"""


class Witness:
    """Stands before the commands that change the board: notes them, and cuts the power before the n-th.

    Not with busybox, whose shell has them built in.
    """

    def __init__(self, bench: Workbench, directory: Path) -> None:
        self._log, self._limit = directory / "log", directory / "limit"
        programs = directory / "bin"
        programs.mkdir()
        for name in CHANGING:
            program = shutil.which(name, path=bench.environment["PATH"])
            script = WITNESS.format(name=name, log=self._log, limit=self._limit, program=program)
            (programs / name).write_text(script, encoding="utf-8")
            (programs / name).chmod(0o755)
        bench.environment["PATH"] = f"{programs}:{bench.environment['PATH']}"
        self.allow(None)

    def allow(self, count: int | None) -> None:
        """Start to count anew; None never cuts."""
        self._log.write_text("", encoding="utf-8")
        self._limit.write_text("99999999" if count is None else str(count + 1), encoding="utf-8")

    @property
    def commands(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()

    @property
    def cut(self) -> bool:
        return len(self.commands) >= int(self._limit.read_text(encoding="utf-8"))


class Powered(FaultyTransport):
    """The connection ends with the board's power."""

    def __init__(self, bench: Workbench, witness: Witness) -> None:
        super().__init__(bench.transport())
        self._witness = witness

    def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
        if self._witness.cut:
            raise ConnectionLostError("gone", hint="")
        result = super().run(command, **options)
        if self._witness.cut:
            raise ConnectionLostError("gone", hint="")
        return result


def places(first: int, end: int, step: int) -> range:
    """Return every so many places from ``first`` to before ``end``, the last one among them."""
    return range(first + (end - 1 - first) % step, end, step)


def restart(bench: Workbench) -> None:
    """Let the board's lock be of an earlier start: this machine does not restart for a test."""
    boot = bench.root / "lock" / "boot"
    if boot.is_file():
        boot.write_text(OTHER_BOOT, encoding="utf-8")
