"""A connection on which somebody else is faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from deploy_workbench import Workbench

from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import CommandResult


class Meanwhile(FaultyTransport):
    """Somebody does something before the first command, or put, in whose words, or destination, a word is."""

    def __init__(self, bench: Workbench, word: str, act: Callable[[], object]) -> None:
        super().__init__(bench.transport())
        self._word, self._act = word, act
        self.acted = False

    def run(self, command: Sequence[str] | str, **options: Any) -> CommandResult:
        self._meet(command if isinstance(command, str) else " ".join(command))
        return super().run(command, **options)

    def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
        self._meet(f"put {destination}")
        super().put(source, destination, **options)

    def _meet(self, words: str) -> None:
        if self._word in words and not self.acted:
            self.acted = True
            self._act()
