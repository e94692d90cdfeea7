"""``edgedeploy`` in a shell, as a user runs it, and the demo's project file with changes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_server import server_for

from edgedeploy.paths import resource_dir
from edgedeploy.project import DEMO_DIRECTORY, PROJECT_FILE

BOARD = "rk3399"
TARGET = ("--board", BOARD, "--emulated")
COMMAND_DEADLINE_S = 600


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs ``edgedeploy`` in a project directory of its own."""

    directory: Path
    environment: dict[str, str]

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        server = server_for(self.environment)
        answer = server.run(words, directory=self.directory, deadline_s=COMMAND_DEADLINE_S)
        assert answer.returncode == status, f"{words} gave {answer.returncode}:\n{answer.stdout}\n{answer.stderr}"
        return answer

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status).stdout)

    def on_board(self, command: str, status: int = 0) -> str:
        return self.run("emulator", "ssh", BOARD, "--", command, status=status).stdout


def write_project(directory: Path, changes: dict[str, str]) -> None:
    """Write the demo's project file with some of its text replaced."""
    text = (resource_dir() / DEMO_DIRECTORY / PROJECT_FILE).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    directory.mkdir(exist_ok=True)
    (directory / PROJECT_FILE).write_text(text, encoding="utf-8")
