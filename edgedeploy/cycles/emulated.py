"""Runs the on-board program under user-mode emulation with the block counter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedeploy.cycles.dump import Dump, read_dump
from edgedeploy.cyclesfile import OutputCheck
from edgedeploy.errors import CycleCountError, MissingToolError

QEMU = "qemu-aarch64"
QEMU_PACKAGE = "qemu-user"
WARM_UP_RUNS = 1
COUNTED_RUNS = 1

_DEADLINE_S = 3600
_OF_THE_HOST = ("PATH", "LD_LIBRARY_PATH")
"""Variables that the emulator may need and the program must not see."""
_TAIL_LINES = 10
_BEYOND_LIMITS = 3
_RUNNER_FAULTS = {6: "the engine refused the model", 7: "out of memory"}
_VERSION = re.compile(r"version (\d+(?:\.\d+)+)")


class RanLayer(BaseModel):
    """A layer as the runner lists it. Shapes are C, H, W without batch."""

    model_config = ConfigDict(frozen=True)

    index: int = Field(ge=0)
    name: str
    type: str
    input_shapes: tuple[tuple[int, ...], ...]
    output_shapes: tuple[tuple[int, ...], ...]
    precision: str
    implementation: str


class _Answer(BaseModel):
    schema_version: int = Field(alias="schema")
    layers: tuple[RanLayer, ...]


class _ComparedOutput(BaseModel):
    cosine: float | None
    max_abs_error: float | None


class _SelfTest(BaseModel):
    passed: bool
    outputs: tuple[_ComparedOutput, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One program to count.

    Args:
        runner: The on-board program.
        release: A directory with the release's files.
        emulated_as: QEMU's ``-cpu``.
        disable_layers: The engine's own layers alone.
        caches: Sizes of the simulated L1 data and L2 caches, ``("32x2", "1024x16")``; None: none are simulated.
    """

    runner: Path
    release: Path
    plugin: Path
    emulated_as: str
    threads: int
    disable_layers: bool
    caches: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What ran. Counts are of ``runs`` inferences."""

    dump: Dump
    layers: tuple[RanLayer, ...]
    runs: int


def find_qemu() -> Path:
    """Return the emulator; the statically linked one cannot load plugins, so it does not count.

    Raises:
        MissingToolError: It is not installed.
    """
    found = shutil.which(QEMU)
    if found is None:
        raise MissingToolError(f"the emulator {QEMU} is not installed", hint=f"sudo apt-get install -y {QEMU_PACKAGE}")
    return Path(found)


def missing_tools() -> tuple[tuple[str, str], ...]:
    """Return the emulator and its package where the host lacks it."""
    return () if shutil.which(QEMU) else ((QEMU, QEMU_PACKAGE),)


def qemu_version(qemu: Path) -> str:
    """Return for example ``7.2.22``."""
    done = subprocess.run([qemu, "--version"], capture_output=True, text=True, timeout=60, check=False)
    match = _VERSION.search(done.stdout)
    return match.group(1) if match else "unknown"


def count_inference(plan: Plan, qemu: Path, scratch: Path) -> Counted:
    """Count one inference after a warm-up.

    Args:
        scratch: A directory for the block counter's file.

    Raises:
        CycleCountError: The program failed, or no whole count came.
    """
    output = scratch / "blocks.txt"
    runs = WARM_UP_RUNS + COUNTED_RUNS
    answered = _run(command_line(plan, qemu, output))
    try:
        answer = _Answer.model_validate_json(answered)
    except ValidationError as error:
        raise CycleCountError(f"the on-board program's answer is damaged: {error}", hint=_HINT) from None
    dump = read_dump(output)
    if dump.boundaries != runs + 1:
        raise CycleCountError(f"the block counter saw {dump.boundaries} boundaries of runs, not {runs + 1}", hint=_HINT)
    return Counted(dump=dump, layers=answer.layers, runs=COUNTED_RUNS)


def check_outputs(plan: Plan, qemu: Path) -> OutputCheck:
    """Hold the outputs of one inference against those that the host computed, within the release's limits.

    Raises:
        CycleCountError: The program failed.
    """
    answered = _run([str(qemu), "-cpu", plan.emulated_as, *_program(plan, "selftest")], also=_BEYOND_LIMITS)
    try:
        found = _SelfTest.model_validate_json(answered)
    except ValidationError as error:
        raise CycleCountError(f"the on-board program's answer is damaged: {error}", hint=_HINT) from None
    cosines = [item.cosine for item in found.outputs if item.cosine is not None]
    errors = [item.max_abs_error for item in found.outputs if item.max_abs_error is not None]
    return OutputCheck(passed=found.passed, cosine=min(cosines, default=None), max_abs_error=max(errors, default=None))


def command_line(plan: Plan, qemu: Path, output: Path) -> list[str]:
    """Return the command that counts what happens between the end of the warm-up and that of the last run."""
    file, target = (str(path).replace(",", ",,") for path in (plan.plugin, output))  # QEMU splits at single commas
    counter = f"{file},out={target},from={WARM_UP_RUNS},to={WARM_UP_RUNS + COUNTED_RUNS}"
    if plan.caches is not None:
        l1d, l2 = plan.caches
        counter += f",l1d={l1d},l2={l2}"
    program = _program(plan, "count", "--runs", str(WARM_UP_RUNS + COUNTED_RUNS))
    return [str(qemu), "-cpu", plan.emulated_as, "-plugin", counter, "-U", ",".join(_OF_THE_HOST), *program]


def _program(plan: Plan, command: str, *options: str) -> list[str]:
    words = [str(plan.runner), command, "--release", str(plan.release), *options, "--threads", str(plan.threads)]
    return [*words, "--disable-layers"] if plan.disable_layers else words


def _run(command: list[str], *, also: int = 0) -> str:
    """Return what the program printed. ``also`` is an exit status that is an answer too."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CycleCountError(f"{QEMU} did not run the program: {error}", hint=_HINT) from None
    if done.returncode not in (0, also):
        tail = "\n".join(done.stderr.strip().splitlines()[-_TAIL_LINES:])
        reason = _RUNNER_FAULTS.get(done.returncode, f"status {done.returncode}")
        raise CycleCountError(f"the on-board program failed under {QEMU}: {reason}\n{tail}", hint=_HINT)
    return done.stdout


_HINT = "run the command again; edgedeploy doctor lists what is missing"


def _environment() -> dict[str, str]:
    """Return the environment: threads that wait sleep, so that no waiting is counted.

    Nothing of the user's reaches the program: the C library puts LD_LIBRARY_PATH on the heap even of a static one, and
    where blobs lie then differs, which changes counts by a hundredth of a percent and more.
    """
    kept = {name: os.environ[name] for name in _OF_THE_HOST if name in os.environ}
    return {**kept, "OMP_WAIT_POLICY": "PASSIVE", "LC_ALL": "C.UTF-8"}
