"""Runs the aarch64 on-board program on this machine, as a core of choice."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORES = ("cortex-a53", "cortex-a72", "cortex-a76", "max")
DEADLINE_S = 240
LIBRARIES = "/usr/aarch64-linux-gnu"
"""The cross compiler's glibc, for programs that are not static."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one call of the program gave."""

    exit_status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout; NaN and Infinity, which JSON does not know, fail."""
        document: dict[str, Any] = json.loads(self.stdout, parse_constant=_refuse)
        return document

    @property
    def error(self) -> str:
        """The text of the one ``error:`` line, which must be the last on stderr."""
        lines = self.stderr.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1 and lines[-1] == errors[0], self.stderr
        return errors[0].removeprefix("error: ")


@dataclass(frozen=True, kw_only=True)
class Runner:
    program: Path

    def __call__(
        self, *arguments: str | Path, core: str = "max", memory_limit_bytes: int | None = None, cwd: Path | None = None
    ) -> Answer:
        """Run it to its end. ``memory_limit_bytes`` bounds the address space, as a small board would."""

        def limit_memory() -> None:
            if memory_limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_AS, (memory_limit_bytes, memory_limit_bytes))

        qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
        assert qemu, "qemu-user is not installed: sudo apt-get install -y qemu-user"
        done = subprocess.run(
            [qemu, "-L", LIBRARIES, "-cpu", core, str(self.program), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            cwd=cwd,
            preexec_fn=limit_memory,
        )
        return Answer(exit_status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def document(self, *arguments: str | Path, core: str = "max") -> dict[str, Any]:
        """Run it, expect success, return its document."""
        answer = self(*arguments, core=core)
        assert answer.exit_status == 0, answer.stderr
        return answer.document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
