"""Run the board's runner over a transport and make a run record of what it measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from edgedeploy import __version__
from edgedeploy.artifacts import BoardFacts, Clock, GoldenOutput, Provenance
from edgedeploy.bench.documents import (
    JOURNAL_LINES,
    ActiveRelease,
    parse_active_release,
    parse_progress,
    parse_selftest,
    runner_failure,
    split_journal,
)
from edgedeploy.errors import BenchError, ConnectionFailedError, NoReleaseError, RunFileError, UsageError
from edgedeploy.progress import Progress, Task
from edgedeploy.runfile import (
    RUN_SCHEMA,
    BoardRecord,
    BoardSummary,
    FactsRecord,
    GoldenOutputRecord,
    GoldenRecord,
    Measurement,
    RunRecord,
    RunStatistics,
    parse_measurement,
    stamped_id,
)
from edgedeploy.transport.protocol import Transport, command_line

RUNNER = "bin/edgedeploy-runner"
_NO_RELEASE_STATUS = 44
_SAY_JOURNAL = f"""awk '/^(action|to|time) / && seen++ < {JOURNAL_LINES} {{ print "journal-" $1 " " $2 }}'"""
_SELFTEST_BEYOND_LIMITS = 3
_LAYER_RUNS = 5
_START_ALLOWANCE_S = 120.0
# Bounds for one inference, meant never to be met by a board that works: real, twin on the host's clock, and twin that
# counts instructions (one vCPU, and slower for it).
_RUN_ALLOWANCE_S = {None: 20.0, Clock.REAL: 120.0, Clock.INSTRUCTIONS: 300.0}


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What to measure.

    Args:
        warmup: Runs before the timed ones.
        runs: Timed runs at least.
        seconds: Timed seconds at least; whichever of the two ends later counts.
        threads: None means every core the board has.
        cpus: Core indexes to pin to; empty pins nothing.
        layers: Time the layers too, in runs of their own.
        deadline_s: Give up after this long; None works it out from the rest.
    """

    warmup: int = 3
    runs: int = 30
    seconds: float = 5.0
    threads: int | None = None
    cpus: tuple[int, ...] = ()
    layers: bool = True
    deadline_s: float | None = None


def bench(
    transport: Transport,
    *,
    app: str,
    directory: PurePosixPath | str,
    board: BoardSummary,
    facts: BoardFacts,
    provenance: Provenance,
    clock: Clock | None,
    options: BenchOptions,
    command: str,
    progress: Progress,
    fetch_outputs_to: Path | None = None,
    golden: Sequence[GoldenOutput] | None = None,
) -> RunRecord:
    """Measure the app's current release on the board.

    Args:
        directory: The app's directory on the board (``~/.edgedeploy/APP``); a leading ``~/`` is the login's home.
        clock: The twin's clock; ignored on hardware, where the record has null.
        command: The command line that measures again, for the record.
        fetch_outputs_to: Directory on the host that gets the output arrays, as ``NAME.npy``.
        golden: The self-test's outcome where a flash just made it; None runs the self-test here.

    Returns:
        The record, ready for ``store.save_run``.

    Raises:
        NoReleaseError: Nothing is current in ``directory``.
        BenchError: The runner failed, or answered something that cannot be read.
        DeadlineError: No end within the deadline.
        UsageError: Cores to pin to that the board does not have.
    """
    _check_cores(options.cpus, facts)
    clock = None if provenance is Provenance.HARDWARE else clock
    threads = options.threads or max(1, len(facts.cores))
    release = find_release(transport, app=app, directory=directory)
    if release.unfinished:
        progress.say(f"warning: {release.unfinished}")
    deadline_s = options.deadline_s or deadline_for(options, clock=clock)
    proof = (
        _golden_record(golden) if golden is not None else _selftest(transport, release, threads, deadline_s, progress)
    )
    with _output_directory(
        transport, release, wanted=fetch_outputs_to is not None, progress=progress
    ) as output_directory:
        measurement = _measure(
            transport, bench_command(release.directory, options, threads, output_directory), deadline_s, progress
        )
        if fetch_outputs_to is not None:
            _fetch_outputs(transport, measurement, fetch_outputs_to)
    content = {
        "app": app,
        "release": release.digest,
        "board": BoardRecord(**dict(board), facts=FactsRecord.from_facts(facts)),
        "provenance": provenance,
        "clock": clock,
        "versions": release.versions
        | {"edgedeploy": __version__, "runner": measurement.runner, "engine": measurement.engine},
        "command": command,
        "golden": proof,
        "limits": release.limits,
        "measurement": measurement,
        "statistics": RunStatistics.of(measurement.samples),
    }
    created_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = stamped_id(created_at, [release.digest, command, measurement.model_dump(mode="json")])
    return RunRecord.model_validate({"schema": RUN_SCHEMA, "id": identity, "created_at": created_at, **content})


def _check_cores(wanted: Sequence[int], facts: BoardFacts) -> None:
    known = [core.index for core in facts.cores]
    absent = sorted(set(wanted) - set(known))
    if known and absent:
        raise UsageError(
            f"the board has no core {', '.join(map(str, absent))} to pin to",
            hint=f"it has {', '.join(map(str, known))}",
        )


def find_release(transport: Transport, *, app: str, directory: PurePosixPath | str) -> ActiveRelease:
    """Return what is current on the board, and whether something was cut off there, in one round trip.

    Raises:
        NoReleaseError: Nothing is current in ``directory``.
        BenchError: What is current is not a release.
    """
    script = (
        f"cd {shell_path(directory)} 2>/dev/null || exit {_NO_RELEASE_STATUS}\n"
        f"if [ -f journal ]; then {_SAY_JOURNAL} journal 2>/dev/null; fi\n"
        f"cd current 2>/dev/null && [ -f manifest.json ] || exit {_NO_RELEASE_STATUS}\n"
        "pwd -P && cat manifest.json"
    )
    result = transport.run(script, check=False)
    if result.exit_status == _NO_RELEASE_STATUS:
        _, unfinished = split_journal(result.stdout)
        raise NoReleaseError(
            f"{app} has no active release in {directory} on {transport.description}",
            hint="edgedeploy flash puts one there" + (f"; {unfinished}" if unfinished else ""),
        )
    if result.exit_status != 0:
        raise runner_failure("look-up of the release", exit_status=result.exit_status, stderr=result.stderr)
    return parse_active_release(result.stdout)


def bench_command(
    release_directory: str, options: BenchOptions, threads: int, output_directory: str | None
) -> tuple[str, ...]:
    """Return the runner's command line.

    Example:
        ``("/r/bin/edgedeploy-runner", "bench", "--release", "/r", "--warmup", "3", "--runs", "30", "--seconds", "5",
        "--threads", "2", "--cpus", "4,5", "--layers")``
    """
    words = [f"{release_directory}/{RUNNER}", "bench", "--release", release_directory]
    words += ["--warmup", str(options.warmup), "--runs", str(options.runs), "--seconds", f"{options.seconds:g}"]
    words += ["--threads", str(threads)]
    if options.cpus:
        words += ["--cpus", ",".join(str(cpu) for cpu in options.cpus)]
    if options.layers:
        words.append("--layers")
    if output_directory is not None:
        words += ["--output-dir", output_directory]
    return tuple(words)


def deadline_for(options: BenchOptions, *, clock: Clock | None) -> float:
    """Return seconds after which the board is taken for stuck. ``clock`` None is hardware."""
    inferences = 1 + options.warmup + options.runs + (_LAYER_RUNS if options.layers else 0)
    return _START_ALLOWANCE_S + 2 * options.seconds + inferences * _RUN_ALLOWANCE_S[clock]


def shell_path(directory: PurePosixPath | str) -> str:
    """Return a path quoted for the board's shell, a leading ``~/`` being its ``$HOME``.

    Example:
        >>> shell_path("~/.edgedeploy/my app")
        '"$HOME"/\\'.edgedeploy/my app\\''
    """
    text = str(directory)
    return f'"$HOME"/{shlex.quote(text[2:])}' if text.startswith("~/") else shlex.quote(text)


def _selftest(
    transport: Transport, release: ActiveRelease, threads: int, deadline_s: float, progress: Progress
) -> GoldenRecord:
    """Run the golden self-test. Beyond its limits is a result to record, anything else but success a failure."""
    words = (f"{release.directory}/{RUNNER}", "selftest", "--release", release.directory, "--threads", str(threads))
    with progress.task("Golden self-test on the board"):
        result = transport.run(words, deadline_s=deadline_s, check=False)
        if result.exit_status not in (0, _SELFTEST_BEYOND_LIMITS):
            raise runner_failure("self-test", exit_status=result.exit_status, stderr=result.stderr)
        return parse_selftest(result.stdout)


def _golden_record(golden: Sequence[GoldenOutput]) -> GoldenRecord:
    outputs = tuple(
        GoldenOutputRecord(
            name=item.name,
            cosine=_finite(item.cosine),
            max_abs_error=_finite(item.max_abs_error),
            sqnr_db=_finite(item.sqnr_db),
            passed=item.passed,
        )
        for item in golden
    )
    return GoldenRecord(passed=bool(outputs) and all(item.passed for item in outputs), outputs=outputs)


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def _measure(transport: Transport, words: tuple[str, ...], deadline_s: float, progress: Progress) -> Measurement:
    with progress.task("Benchmark on the board") as task:
        result = transport.run(
            words, deadline_s=deadline_s, check=False, on_stderr_line=lambda line: _report_line(line, task)
        )
        if result.exit_status != 0:
            raise runner_failure("benchmark", exit_status=result.exit_status, stderr=result.stderr)
        try:
            return parse_measurement(result.stdout)
        except RunFileError as error:
            raise BenchError(error.message, hint=f"{error.hint} (the command was {command_line(words)})") from None


def _report_line(line: str, task: Task) -> None:
    state = parse_progress(line)
    if state is not None:
        task.update(state.done, state.total, state.phase)


@contextmanager
def _output_directory(
    transport: Transport, release: ActiveRelease, *, wanted: bool, progress: Progress
) -> Iterator[str | None]:
    """Make a directory on the board beside the releases and take it away again; what was cut off a day ago goes too."""
    if not wanted:
        yield None
        return
    app_directory = PurePosixPath(release.directory).parent.parent
    here = shlex.quote(str(app_directory))
    old = f"find {here} -maxdepth 1 -name 'outputs-??????' -mtime +0 -exec rm -rf {{}} + 2>/dev/null"
    path = transport.run(f"{old}; mktemp -d {here}/outputs-XXXXXX").stdout.strip()
    try:
        yield path
    finally:
        # What was measured, or the error that ended it, is worth more than a tidy board.
        try:
            transport.run(["rm", "-rf", "--", path], check=False)
        except ConnectionFailedError as error:
            progress.say(f"{path} stays on the board: {error.message}")


def _fetch_outputs(transport: Transport, measurement: Measurement, directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"{directory} cannot be made: {error.strerror}", hint="choose another directory") from error
    for output in measurement.outputs:
        if output.file is None:
            raise BenchError(f"the runner wrote no file for output {output.name}", hint="flash again")
        name = PurePosixPath(output.name).name
        transport.get(PurePosixPath(output.file), directory / f"{name}.npy")
