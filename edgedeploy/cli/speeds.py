"""Whether int8 is faster on the target: float and int8 releases measured beside the app, without touching it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgedeploy.artifacts import BoardFacts, Bundle, Clock, Precision
from edgedeploy.bench.drive import BenchOptions, bench, shell_path
from edgedeploy.boards.probe import probe
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.measuring import board_summary
from edgedeploy.cli.options import TargetOptions
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.target import Connection, counting_connection
from edgedeploy.deploy.flash import flash
from edgedeploy.errors import ConnectionFailedError, SelfTestError
from edgedeploy.latency_stats import median_ratio
from edgedeploy.quantfile import SpeedFigure, SpeedRecord
from edgedeploy.report.compare import RELEVANT_SHARE, Outcome, outcome_of
from edgedeploy.runfile import RunRecord

HALF_ARITHMETIC = "asimdhp"
TWIN_RUNS = 3
COMMAND = "edgedeploy quantize"


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """The releases that are held against each other."""

    float32: Bundle
    float16: Bundle
    int8: Bundle


def measure_speed(
    options: TargetOptions, opened: OpenProject, rivals: Rivals, *, plan: BenchOptions, progress: ConsoleProgress
) -> SpeedRecord:
    """Measure float32, half precision where the cores compute in it, and int8 on the board or its twin.

    Args:
        plan: On a board; on a twin, whose instructions are counted, one thread and a few runs say all.

    Raises:
        SelfTestError: int8 or float32 gives wrong results there.
    """
    with counting_connection(options, opened, progress=progress) as target:
        with progress.task(f"Probing {target.transport.description}"):
            facts = probe(target.transport)
        with _trial_directory(target, progress) as directory:
            trial = _Trial(target=target, facts=facts, directory=directory, plan=_plan(target, plan), progress=progress)
            float32 = trial.run(rivals.float32)
            float16 = trial.run_if_right(rivals.float16) if HALF_ARITHMETIC in facts.features else None
            int8 = trial.run(rivals.int8)
    return judge(float32, float16, int8, half=HALF_ARITHMETIC in facts.features)


def judge(float32: RunRecord, float16: RunRecord | None, int8: RunRecord, *, half: bool) -> SpeedRecord:
    """Return the verdict on measured runs.

    Args:
        float16: None: the cores lack half precision (``half`` false), or the model overflows in it.
    """
    rivals = [(float32, Precision.FP32)] + ([(float16, Precision.FP16)] if float16 is not None else [])
    best, precision = min(rivals, key=lambda rival: rival[0].statistics.inference.median_us)
    change = median_ratio(best.inference_us, int8.inference_us)
    if int8.clock is Clock.INSTRUCTIONS:
        # Counts repeat: there is nothing to resample.
        outcome = Outcome.NO_DIFFERENCE
        if abs(change.ratio - 1) >= RELEVANT_SHARE:
            outcome = Outcome.FASTER if change.ratio < 1 else Outcome.SLOWER
    else:
        outcome = outcome_of(change)
    faster = outcome is Outcome.FASTER
    return SpeedRecord(
        provenance=int8.provenance,
        clock=int8.clock,
        unit="ms" if int8.clock is None else "million instructions",
        float32=_figure("fp32", float32),
        float16=None if float16 is None else _figure("fp16", float16),
        int8=_figure("int8", int8),
        ratio=change.ratio,
        interval=change.interval if int8.clock is None else None,
        verdict="faster" if faster else "slower" if outcome is Outcome.SLOWER else "no difference shown",
        recommended="int8" if faster else "fp16" if precision is Precision.FP16 else "fp32",
        recommendation=_recommendation(faster, precision, half=half, measured_half=float16 is not None),
    )


def _recommendation(faster: bool, best: Precision, *, half: bool, measured_half: bool) -> str:
    sentence = "Ship int8." if faster else f"Ship {best.value}: int8 is not faster here."
    if not half:
        return sentence if faster else f"{sentence} The cores have no half-precision arithmetic."
    if not measured_half:
        return f"{sentence} In half precision the model gives wrong results there."
    return sentence


def _figure(label: str, record: RunRecord) -> SpeedFigure:
    # A microsecond of a twin that counts is a thousand instructions: the number is the same in both units.
    median = record.statistics.inference.median_us / 1000
    return SpeedFigure(label=label, value=median, runs=len(record.inference_us), release=record.release)


def _plan(target: Connection, plan: BenchOptions) -> BenchOptions:
    if target.twin is None:
        return BenchOptions(
            warmup=plan.warmup, runs=plan.runs, seconds=plan.seconds, threads=plan.threads, layers=False
        )
    return BenchOptions(warmup=1, runs=TWIN_RUNS, seconds=0.0, threads=1, layers=False)


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One release after the other in a directory of their own."""

    target: Connection
    facts: BoardFacts
    directory: str
    plan: BenchOptions
    progress: ConsoleProgress

    def run(self, bundle: Bundle) -> RunRecord:
        result = flash(
            self.target.transport,
            bundle,
            board_name=self.target.board.name,
            facts=self.facts,
            provenance=self.target.provenance,
            clock=self.target.clock,
            directory=self.directory,
            keep=1,
            progress=self.progress,
            trial=True,
        )
        return bench(
            self.target.transport,
            app=bundle.app,
            directory=PurePosixPath(self.directory) / bundle.app,
            board=board_summary(self.target.board),
            facts=self.facts,
            provenance=self.target.provenance,
            clock=self.target.clock,
            options=self.plan,
            command=COMMAND,
            progress=self.progress,
            golden=result.golden,
        )

    def run_if_right(self, bundle: Bundle) -> RunRecord | None:
        """Run a release; None where it gives wrong results on the board."""
        try:
            return self.run(bundle)
        except SelfTestError as error:
            self.progress.say(f"half precision is left out: {error.message}")
            return None


@contextmanager
def _trial_directory(target: Connection, progress: ConsoleProgress) -> Iterator[str]:
    """Give a directory on the board beside the apps', removed at the end. What a broken connection left goes first."""
    directory = f"{target.directory}/.trial-{secrets.token_hex(4)}"
    old = f"find {shell_path(target.directory)} -maxdepth 1 -name '.trial-*' -mtime +0 -exec rm -rf {{}} +"
    target.transport.run(f"{old} 2>/dev/null || true", check=False)
    try:
        yield directory
    finally:
        try:
            target.transport.run(f"rm -rf -- {shell_path(directory)}", check=False)
        except ConnectionFailedError as error:
            progress.say(f"{directory} stays on the board: {error.message}")
