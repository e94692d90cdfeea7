"""A fleet whose boards are directories of this machine behind one OpenSSH server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy_workbench import Workbench, board_facts, runner_script

from edgedeploy.artifacts import BoardFacts, Bundle
from edgedeploy.cli import flash_commands, flashing, fleets
from edgedeploy.cli.main import main

# A release lies in .edgedeploy/APP/releases/DIGEST; what ails a board lies in .edgedeploy.
AILING = '[ ! -e "$3/../../../broken" ] || { echo "broken board" >&2; exit 4; }'


@dataclass(frozen=True, kw_only=True)
class SshFleet:
    """A project directory, a home directory for each board, and what the fleet file says of every board."""

    project: Path
    boards: Path
    bench: Workbench
    login: str
    capture: pytest.CaptureFixture[str]

    def board(self, name: str) -> Workbench:
        home = self.boards / name
        return Workbench(host=self.bench.host, home=home, environment={**self.bench.environment, "HOME": str(home)})

    def write(self, names: Sequence[str], *, head: str = "", login: str | None = None) -> None:
        """Write the fleet file."""
        entries = []
        for name in names:
            directory = self.boards / name / ".edgedeploy"
            directory.mkdir(parents=True, exist_ok=True)
            where = (self.login if login is None else login).replace("{name}", name)
            entries.append(f'[[boards]]\nname = "{name}"\nboard = "rk3399"\n{where}directory = "{directory}"\n')
        (self.project / "fleet.toml").write_text(head + "".join(entries), encoding="utf-8")

    def break_board(self, name: str) -> None:
        """Have the self-test fail there."""
        (self.boards / name / ".edgedeploy" / "broken").touch()

    def flash(self, *words: str, status: int = 0) -> Any:
        """Run ``flash --fleet`` and return its document."""
        return self.run("--fleet", str(self.project / "fleet.toml"), *words, status=status)

    def run(self, *words: str, status: int = 0) -> Any:
        """Run ``flash`` and return its document."""
        got = main(["flash", "--project", str(self.project), *words, "--json"])
        told = self.capture.readouterr()
        assert got == status, f"{got}:\n{told.out}\n{told.err}"
        return json.loads(told.out)

    def active(self, name: str) -> str | None:
        """Return the release that is active on a board, which has to be unlocked and whole."""
        board = self.board(name)
        if not board.root.exists():
            return None
        board.check_whole()
        return board.current


def use_bundles(monkeypatch: pytest.MonkeyPatch, *bundles: Bundle) -> list[str]:
    """Have ``flash`` take these releases, one after the other, in place of built ones; return who asked for them."""
    asked: list[str] = []

    def bundle_for(board: Any, *_: object, **__: object) -> Bundle:
        asked.append(board.name)
        return bundles[min(len(asked), len(bundles)) - 1]

    for module in (fleets, flash_commands):
        monkeypatch.setattr(module, "bundle_for", bundle_for)
    use_facts(monkeypatch, board_facts)
    return asked


def use_facts(monkeypatch: pytest.MonkeyPatch, facts: Callable[[], BoardFacts]) -> None:
    """Have ``flash`` take these for what boards say about themselves: this machine has no ARM cores."""
    for module in (fleets, flashing):
        monkeypatch.setattr(module, "probe", lambda _: facts())


def ailing_bundle(bench: Workbench, weights: str, *, before: str = ":") -> Bundle:
    """Return a release whose self-test fails on boards that were broken; ``before`` runs before it."""
    return bench.bundle(weights, runner=runner_script(before=f"{before}\n{AILING}"))
