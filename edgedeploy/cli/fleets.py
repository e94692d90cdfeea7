"""``flash`` of many boards: checks what can be checked first, builds once, then flashes wave after wave."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from edgedeploy.artifacts import BoardFacts, Bundle, FlashResult, StepRecord
from edgedeploy.boards.model import Board
from edgedeploy.boards.probe import probe
from edgedeploy.build import ToolchainFamily
from edgedeploy.bundle.keys import SigningKey
from edgedeploy.cli.console import ConsoleProgress, keep_traceback, print_json, stderr, stdout
from edgedeploy.cli.flashing import flash_target, probe_target, roll_back_target
from edgedeploy.cli.fleet_view import FleetView, show_outcome
from edgedeploy.cli.members import Member
from edgedeploy.cli.people import NOBODY, Answers, People, at_terminal
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.releases import bundle_for
from edgedeploy.cli.target import Connection, connection, lent_connection
from edgedeploy.emulate.image import ensure_image
from edgedeploy.errors import (
    AuthenticationError,
    BoardsFailedError,
    EdgedeployError,
    NoReleaseError,
    UnknownHostKeyError,
)
from edgedeploy.fleet.run import Outcome, Rules, Work, run_fleet
from edgedeploy.fleet.states import BoardProgress, BoardState, Status, Stop
from edgedeploy.fleet.waves import wave_counts
from edgedeploy.lab.coordinator import Lease
from edgedeploy.progress import SILENT, Progress
from edgedeploy.transport.protocol import Transport
from edgedeploy.transport.stoppable import StoppableTransport


@dataclass(frozen=True, kw_only=True)
class FleetFlash:
    """What is the same for every board of a fleet."""

    opened: OpenProject
    key: SigningKey | None
    toolchain: ToolchainFamily | None
    accept_differences: bool
    break_lock: bool


def flash_fleet(
    common: FleetFlash,
    members: tuple[Member, ...],
    leases: Mapping[str, Lease],
    *,
    sizes: tuple[int | str, ...],
    rules: Rules,
    as_json: bool,
    progress: ConsoleProgress,
) -> None:
    """Flash a fleet and print what became of each board.

    Raises:
        BoardsFailedError: One failed, be it that its wave may have failures.
        KeyboardInterrupt: It was stopped; what ran had its time to clean up.
        EdgedeployError: The release cannot be made; no board was touched.
    """
    states = _states(members, sizes)
    answers = Answers(at_terminal())
    run = _Run(common=common, members={member.name: member for member in members}, leases=leases, answers=answers)
    faults = run.visit_all(rules.parallel, progress)
    outcome = _hopeless(states, faults, rules)
    if outcome is None:
        if any(member.options.emulated for member in members):
            ensure_image(progress=progress)
        run.build(progress)
        with FleetView(states, stderr) as view, _stopped_by_signals(run.stop):
            work = Work(flash=run.flash, roll_back=run.roll_back, hang_up=run.hang_up)
            outcome = run_fleet(states, work, rules, stop=run.stop, watch=view.tick)
    document = {"app": common.opened.project.app.name, **outcome.to_json()}
    error = _failure(outcome, rules, document)
    if not as_json:
        show_outcome(outcome, stdout)
    elif error is None or outcome.interrupted:
        print_json(document)
    if outcome.interrupted:
        raise KeyboardInterrupt
    if error is not None:
        raise error


@dataclass(kw_only=True)
class _Run:
    """One flash of a fleet. Its methods for single boards are called by several threads."""

    common: FleetFlash
    members: Mapping[str, Member]
    leases: Mapping[str, Lease]
    answers: Answers
    stop: Stop = field(default_factory=Stop)
    facts: dict[str, BoardFacts] = field(default_factory=dict)
    bundles: list[tuple[Board, str | None, Bundle]] = field(default_factory=list)
    open: set[Transport] = field(default_factory=set)
    open_lock: threading.Lock = field(default_factory=threading.Lock)

    def visit_all(self, parallel: int, progress: ConsoleProgress) -> dict[str, EdgedeployError]:
        """Log in to every board that is no twin; ask people what has to be asked, one board after the other.

        Returns:
            What keeps boards from answering.
        """
        real = [member for member in self.members.values() if not member.options.emulated]
        faults: dict[str, EdgedeployError] = {}
        if not real:
            return faults
        with progress.task(f"Looking for {len(real)} boards"), ThreadPoolExecutor(parallel) as pool:
            for member, error in zip(real, pool.map(lambda item: self._visit(item, NOBODY), real), strict=True):
                if error is not None:
                    faults[member.name] = error
        for member in real:
            if at_terminal() is not NOBODY and isinstance(
                faults.get(member.name), (UnknownHostKeyError, AuthenticationError)
            ):
                error = self._visit(member, self.answers.asking())
                faults = {name: item for name, item in faults.items() if name != member.name}
                if error is not None:
                    faults[member.name] = error
        for name, error in faults.items():
            progress.say(f"{name}: {error.message}")
        return faults

    def build(self, progress: ConsoleProgress) -> None:
        """Make the release of each kind of board: of one definition, with one C library.

        Boards that did not tell theirs come last: they take what others of their definition get.
        """
        for member in sorted(self.members.values(), key=lambda item: item.name not in self.facts):
            facts = self.facts.get(member.name)
            if self._bundle(member) is None:
                bundle = bundle_for(
                    member.board,
                    self.common.opened,
                    accept_differences=self.common.accept_differences,
                    key=self.common.key,
                    family=self.common.toolchain,
                    facts=facts,
                    progress=progress,
                )
                self.bundles.append((member.board, facts.libc if facts else None, bundle))

    def flash(self, state: BoardState) -> FlashResult:
        """Flash one board; see ``fleet.run.Work``."""
        member, progress = self.members[state.name], BoardProgress(state)
        bundle = self._bundle(member)
        assert bundle is not None, "every kind was built for"
        with _faults_kept(), self._connected(member, state, progress) as target:
            transport = StoppableTransport(target.transport, lambda: self.stop.requested)
            facts = probe_target(transport, state.steps, progress=progress)
            seen = target.as_probed(facts)
            return flash_target(
                replace(seen, transport=transport),
                bundle,
                facts,
                project=self.common.opened.project,
                break_lock=self.common.break_lock,
                progress=progress,
                records=state.steps,
            )

    def roll_back(self, state: BoardState) -> None:
        """Make the former release of one board active again; see ``fleet.run.Work``."""
        result = state.result
        if result is None or result.previous_release is None:
            raise NoReleaseError(
                f"{state.name} had no release before this one", hint="it keeps the new one, which passed its self-test"
            )
        member, progress = self.members[state.name], BoardProgress(state)
        with _faults_kept(), self._connected(member, state, progress) as target:
            roll_back_target(
                target,
                result.app,
                project=self.common.opened.project,
                to=result.previous_release,
                break_lock=self.common.break_lock,
                progress=progress,
            )

    def hang_up(self) -> None:
        """Close every connection that is open."""
        with self.open_lock:
            transports = list(self.open)
        for transport in transports:
            transport.close()

    @contextmanager
    def _connected(self, member: Member, state: BoardState, progress: Progress) -> Iterator[Connection]:
        """Open a board's connection, as a step of its own, and know it for ``hang_up``."""
        began_s = time.monotonic()
        state.doing = "Connecting"
        with self._connection(member, self.answers.known(), progress) as target:
            state.steps.append(StepRecord(name="connect", seconds=time.monotonic() - began_s))
            with self.open_lock:
                self.open.add(target.transport)
            try:
                yield target
            finally:
                with self.open_lock:
                    self.open.discard(target.transport)

    @contextmanager
    def _connection(self, member: Member, people: People, progress: Progress) -> Iterator[Connection]:
        if member.place is not None:
            service = self.leases[member.place].service
            with lent_connection(member.options, member.board, service, people=people) as target:
                yield target
        else:
            with connection(
                member.options, self.common.opened, progress=progress, twin_name=member.name, people=people
            ) as target:
                yield target

    def _bundle(self, member: Member) -> Bundle | None:
        facts = self.facts.get(member.name)
        for board, libc, bundle in self.bundles:
            if board == member.board and (facts is None or facts.libc == libc):
                return bundle
        return None

    def _visit(self, member: Member, people: People) -> EdgedeployError | None:
        try:
            with self._connection(member, people, SILENT) as target:
                self.facts[member.name] = probe(target.transport)
                return None
        except EdgedeployError as error:
            return error


def _states(members: tuple[Member, ...], sizes: tuple[int | str, ...]) -> list[BoardState]:
    counts = wave_counts(sizes, len(members))
    waves = [wave for wave, count in enumerate(counts, 1) for _ in range(count)]
    return [
        BoardState(name=member.name, board=member.board.name, where=member.where, wave=wave)
        for member, wave in zip(members, waves, strict=True)
    ]


def _hopeless(states: list[BoardState], faults: Mapping[str, EdgedeployError], rules: Rules) -> Outcome | None:
    """Return the outcome where so many boards do not answer that some wave would fail: then none is begun."""
    for wave in sorted({state.wave for state in states}):
        if sum(state.wave == wave and state.name in faults for state in states) > rules.max_failures:
            for state in states:
                if state.name in faults:
                    state.fail(faults[state.name])
            return Outcome(boards=tuple(states), failed_wave=wave)
    return None


def _failure(outcome: Outcome, rules: Rules, document: dict[str, Any]) -> BoardsFailedError | None:
    failed = [state.name for state in outcome.boards if state.status is Status.FAILED]
    if not failed:
        return None
    named = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if failed[5:] else "")
    message = f"{len(failed)} of {len(outcome.boards)} boards failed: {named}"
    waiting = outcome.count(Status.NOT_BEGUN)
    if outcome.failed_wave is not None:
        message += f"; wave {outcome.failed_wave} may have {rules.max_failures} failures"
    if waiting:
        message += f", so {waiting} boards were not begun"
    return BoardsFailedError(
        message,
        hint="mend what the table says and run the command again: what is done is not done twice",
        document=document,
    )


@contextmanager
def _faults_kept() -> Iterator[None]:
    """Turn what is no error of the tree into one that names a file with the traceback."""
    try:
        yield
    except (EdgedeployError, GeneratorExit):
        raise
    except Exception as error:
        raise keep_traceback(error) from error


@contextmanager
def _stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM request the stop in place of what they do otherwise."""
    former = {number: signal.signal(number, lambda *_: stop.request()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
