"""A fleet as people see it: a table that lives on the terminal, lines elsewhere, and the table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgedeploy.fleet.run import Outcome
from edgedeploy.fleet.states import BoardState, Status

REFRESH_S = 0.25
_COLOURS = {
    Status.RUNNING: "cyan",
    Status.FLASHED: "green",
    Status.UNCHANGED: "green",
    Status.FAILED: "red",
    Status.INTERRUPTED: "yellow",
    Status.ROLLED_BACK: "yellow",
}
# The others are what people wait for, or have to see to.
_SHOWN_LAST = {Status.NOT_BEGUN: 1, Status.FLASHED: 2, Status.UNCHANGED: 2}


class FleetView:
    """Shows states while they change; ``tick`` is called often and does little."""

    def __init__(self, states: Sequence[BoardState], console: Console) -> None:
        self._states = states
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._shown_s = 0.0
        self._said: dict[str, tuple[Status, str]] = {}

    def tick(self) -> None:
        """Bring what is shown up to date."""
        if self._live is None:
            self._say_changes()
        elif time.monotonic() - self._shown_s >= REFRESH_S:
            self._live.update(_fitting(self._states, self._console.height), refresh=True)
            self._shown_s = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        else:
            self._say_changes()

    def _say_changes(self) -> None:
        for state in self._states:
            now = (state.status, state.doing)
            if now == self._said.get(state.name, (Status.NOT_BEGUN, "")):
                continue
            self._said[state.name] = now
            self._console.print(f"{state.name}: {_line(state)}", markup=False, soft_wrap=True)


def fleet_table(states: Sequence[BoardState]) -> Table:
    """Return a row for each board."""
    table = Table(box=None, pad_edge=False)
    for title in ("board", "wave", "state"):
        table.add_column(title, no_wrap=True)
    for title in ("seconds", "MB"):
        table.add_column(title, no_wrap=True, justify="right")
    table.add_column("")
    for state in states:
        begun = state.began_s is not None
        table.add_row(
            Text(state.name),
            str(state.wave),
            Text(state.status.value, style=_COLOURS.get(state.status, "dim")),
            f"{state.seconds:.1f}" if begun else "",
            f"{state.bytes / 1e6:.1f}" if state.bytes else "",
            Text(_remark(state), overflow="ellipsis", no_wrap=True),
        )
    return table


def _fitting(states: Sequence[BoardState], lines: int) -> RenderableType:
    """Return the table in so many lines: where there are more boards, those that run or ended badly come first."""
    if len(states) + 1 < lines:
        return fleet_table(states)
    ranked = sorted(range(len(states)), key=lambda index: _SHOWN_LAST.get(states[index].status, 0))
    # The head, the line behind the table, and the cursor's.
    shown = set(ranked[: max(lines - 3, 1)])
    rest = Counter(state.status for index, state in enumerate(states) if index not in shown)
    told = ", ".join(f"{count} {status.value}" for status, count in rest.items())
    return Group(fleet_table([states[index] for index in sorted(shown)]), Text(f"and {rest.total()} more: {told}"))


def show_outcome(outcome: Outcome, console: Console) -> None:
    """Print the table at the end, and why boards failed."""
    console.print(fleet_table(outcome.boards))
    for state in outcome.boards:
        for error in (state.error, state.rollback_error):
            if error is not None:
                console.print(f"{state.name}: [{error.slug}] {error.message}", markup=False, soft_wrap=True)
                if error.hint:
                    console.print(f"  hint: {error.hint}", markup=False, soft_wrap=True)
        for note in state.notes:
            if note.startswith("warning"):
                console.print(f"{state.name}: {note}", markup=False, soft_wrap=True)


def _line(state: BoardState) -> str:
    if state.status is Status.NOT_BEGUN:
        return "not begun"
    if state.doing:
        return state.doing
    told = f"{state.status.value}, {state.seconds:.1f} s"
    return f"{told}: {_remark(state)}" if state.error or state.rollback_error else told


def _remark(state: BoardState) -> str:
    """Return what a board does, or why it does nothing any more, in one line."""
    if state.doing:
        return f"{state.doing} {state.amount}".rstrip()
    error = state.rollback_error or state.error
    if error is not None:
        return f"[{error.slug}] {error.message.splitlines()[0]}"
    return state.result.release[:12] if state.result is not None else state.where
