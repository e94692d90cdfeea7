#!/usr/bin/env python3
"""Flashes many boards, one at a time and side by side, and says where the time goes.

    python benchmarks/fleet.py [--boards N] [--parallel N] [--payload-mb X] [--twins N] [--json]

Three kinds of boards, each flashed with the same release in one wave, first with one board at a time, then with
``--parallel``:

- ``replayed``: no board; a transport that answers what a real flash was answered, after ``--latency-ms`` for each round
  trip and at ``--link-mb`` MB/s. What is left beside that is edgedeploy itself.
- ``ssh``: directories of this machine behind an OpenSSH server on loopback. The host pays for both ends.
- ``twins``: with ``--twins N``, N emulated machines that share the boards; several boards of one are directories there.

Prints for each kind the wall seconds of both runs, their ratio, the host's own processor seconds, and for the second
run the seconds of each step summed over the boards, round trips and bytes. The ratio is of one run on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgedeploy.artifacts import Bundle, FlashResult, Provenance, StepRecord
from edgedeploy.cli.flashing import probe_target
from edgedeploy.deploy.flash import flash
from edgedeploy.fleet.run import Outcome, Rules, Work, run_fleet
from edgedeploy.fleet.states import BoardProgress, BoardState, Status, Stop
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.transport.protocol import CommandResult
from fleet_boards import (
    FACTS,
    BenchBoard,
    RecordingTransport,
    ReplayTransport,
    make_release,
    running_twins,
    ssh_boards,
    ssh_server,
)

BOARDS = 16
PARALLEL = 8
PAYLOAD_MB = 8.0
LATENCY_MS = 30.0
LINK_MB = 10.0


def flash_board(board: BenchBoard, bundle: Bundle, state: BoardState) -> FlashResult:
    """Connect, probe and flash as ``edgedeploy flash`` does, and record all of it in the state."""
    progress = BoardProgress(state)
    began_s = time.monotonic()
    with board.connect() as transport:
        state.steps.append(StepRecord(name="connect", seconds=time.monotonic() - began_s))
        facts = board.facts or probe_target(transport, state.steps, progress=progress)
        return flash(
            transport,
            bundle,
            board_name=bundle.board,
            facts=facts,
            provenance=Provenance.QEMU_SYSTEM,
            clock=None,
            directory=board.directory,
            progress=progress,
            records=state.steps,
        )


def run(boards: Sequence[BenchBoard], bundle: Bundle, parallel: int) -> tuple[Outcome, float]:
    """Flash boards in one wave; return the outcome and the processor seconds of this process."""
    by_name = {board.name: board for board in boards}
    states = [BoardState(name=board.name, board=bundle.board, where="", wave=1) for board in boards]

    def never(state: BoardState) -> None:
        raise AssertionError(f"{state.name} is not rolled back")

    work = Work(flash=lambda state: flash_board(by_name[state.name], bundle, state), roll_back=never)
    before_s = _processor_s()
    outcome = run_fleet(states, work, Rules(parallel=parallel, max_failures=len(states)), stop=Stop())
    used_s = _processor_s() - before_s
    for state in states:
        if state.error is not None:
            raise SystemExit(f"{state.name}: {state.error.message}")
    return outcome, used_s


def measure(make: Callable[[str], Sequence[BenchBoard]], bundle: Bundle, parallel: int) -> dict[str, Any]:
    """Flash new boards one at a time, then others side by side; return what ``--json`` prints of their kind."""
    single, _ = run(make("single"), bundle, 1)
    outcome, used_s = run(make("parallel"), bundle, parallel)
    steps: dict[str, float] = {}
    for state in outcome.boards:
        for step in state.steps:
            steps[step.name] = steps.get(step.name, 0.0) + step.seconds
    board_s = sum(state.seconds for state in outcome.boards)
    return {
        "boards": outcome.count(Status.FLASHED),
        "parallel": parallel,
        "one_at_a_time_s": round(single.seconds, 2),
        "side_by_side_s": round(outcome.seconds, 2),
        "times_faster": round(single.seconds / outcome.seconds, 2),
        "host_processor_s": round(used_s, 2),
        "sum_of_boards_s": round(board_s, 2),
        "steps_s": {name: round(seconds, 2) for name, seconds in steps.items()},
        "outside_steps_s": round(board_s - sum(steps.values()), 2),
        "round_trips": sum(state.round_trips for state in outcome.boards),
        "bytes": sum(state.bytes for state in outcome.boards),
    }


def replayed(scratch: Path, bundle: Bundle, arguments: argparse.Namespace) -> dict[str, Any]:
    """Record one flash of a directory of this machine, and measure boards that answer the same."""
    answers: list[CommandResult] = []
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    recorded = BenchBoard(
        name="recorded",
        connect=lambda: RecordingTransport(environment, answers),
        directory=str(scratch / "recorded"),
        facts=FACTS,
    )
    run([recorded], bundle, 1)

    def make(_: str) -> Sequence[BenchBoard]:
        latency_s, link = arguments.latency_ms / 1e3, arguments.link_mb * 1e6
        return [
            BenchBoard(
                name=f"board-{number}",
                connect=lambda: ReplayTransport(answers, latency_s=latency_s, bytes_per_s=link),
                directory=str(scratch / "recorded"),
                facts=FACTS,
            )
            for number in range(arguments.boards)
        ]

    return measure(make, bundle, arguments.parallel)


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=BOARDS)
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument("--payload-mb", type=float, default=PAYLOAD_MB)
    parser.add_argument("--latency-ms", type=float, default=LATENCY_MS)
    parser.add_argument("--link-mb", type=float, default=LINK_MB)
    parser.add_argument("--twins", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        os.environ[STATE_VARIABLE] = f"{scratch}/state"
        bundle = make_release(scratch / "release", int(arguments.payload_mb * 1e6))
        found = {"replayed": replayed(scratch, bundle, arguments)}
        _tell("replayed boards are done")
        with ssh_server(scratch) as endpoint:
            found["ssh"] = measure(
                lambda kind: ssh_boards([endpoint], arguments.boards, f"{scratch}/{kind}", facts=FACTS),
                bundle,
                arguments.parallel,
            )
        _tell("boards behind the SSH server are done")
        if arguments.twins:
            with running_twins(arguments.twins, _tell) as endpoints:
                found["twins"] = measure(
                    lambda kind: ssh_boards(endpoints, arguments.boards, f"~/{kind}", facts=None),
                    bundle,
                    arguments.parallel,
                )
            found["twins"]["machines"] = arguments.twins
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for kind, values in found.items():
        print(kind)
        for key, value in values.items():
            told = ", ".join(f"{name} {part:g}" for name, part in value.items()) if isinstance(value, dict) else value
            print(f"  {key.replace('_', ' '):20} {told}")


if __name__ == "__main__":
    main()
