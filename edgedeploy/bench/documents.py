"""What the board answers to a benchmark, as pure functions from text to values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedeploy.errors import BenchError
from edgedeploy.reading import load_json, require_modest_json
from edgedeploy.runfile import GoldenLimits, GoldenOutputRecord, GoldenRecord, Limits

_PROGRESS = re.compile(r"^progress: ([a-z]+(?: [a-z]+)*) (\d+)/(\d+)$")
_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_ACTION = re.compile(r"^(flash|rollback|automatic-rollback)$")
_TIME = re.compile(r"^[0-9TZ:.-]{1,40}$")
_JOURNAL = "journal-"
JOURNAL_LINES = 8
"""No more are asked for; a damaged journal may have many."""

# Exit status of the runner (docs/contracts.md) or of the shell and kernel around it -> what to do.
_HINTS = {
    2: "driver and runner may be of different versions: flash again",
    3: "the release is not right on this board: edgedeploy flash says by how much",
    4: "files of the release are missing on the board: flash again",
    5: "the release's manifest is damaged: flash again",
    6: "the engine refused the model: convert and flash again",
    7: "the board is out of memory: stop other programs or use a smaller input",
    8: "inference failed: edgedeploy status shows what is on the board",
    126: "the runner is not executable: flash again, and check that the directory's file system is not mounted noexec",
    127: "the runner is missing: flash again",
    132: "the CPU lacks an instruction that the runner uses: build for this board's core",
    134: "the runner aborted: flash again and report it if it stays",
    137: "the kernel killed the runner, most often for want of memory: stop other programs or use a smaller input",
    139: "the runner crashed: flash again and report it if it stays",
}


@dataclass(frozen=True, kw_only=True)
class RunnerProgress:
    """A progress line: ``phase`` is ``warmup``, ``run`` or ``layers``."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class ActiveRelease:
    """What is current on the board.

    Args:
        directory: Absolute; it does not move when another release is activated.
        unfinished: What the board's journal says was begun and did not end, for people; empty where it says nothing.
    """

    digest: str
    directory: str
    versions: dict[str, str]
    limits: Limits
    unfinished: str = ""


class _SelfTestDocument(BaseModel):
    """What ``edgedeploy-runner selftest`` prints."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1] = Field(alias="schema")
    passed: bool
    outputs: tuple[GoldenOutputRecord, ...]
    duration_us: float
    peak_rss_bytes: int


def parse_progress(line: str) -> RunnerProgress | None:
    """Read a line of the runner's stderr; None if it is not a progress line.

    Example:
        >>> parse_progress("progress: run 2/5")
        RunnerProgress(phase='run', done=2, total=5)
    """
    match = _PROGRESS.match(line.strip())
    if match is None:
        return None
    return RunnerProgress(phase=match[1], done=int(match[2]), total=int(match[3]))


def parse_active_release(text: str) -> ActiveRelease:
    """Read the answer of the look-up script: the journal, the release's directory on a line, its manifest after it.

    Raises:
        BenchError: The directory is not named by a digest, or the manifest is not one.
    """
    text, unfinished = split_journal(text)
    directory, _, manifest_text = text.partition("\n")
    digest = directory.rstrip("/").rpartition("/")[2]
    if not _DIGEST.match(digest):
        raise BenchError(f"current does not point to a release: {directory!r}", hint="flash again")
    try:
        manifest = load_json(manifest_text)
        versions = {str(key): str(value) for key, value in manifest["versions"].items()}
        limits = _limits(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BenchError(
            f"the manifest of release {digest[:12]} cannot be read: {error!r}", hint="flash again"
        ) from None
    return ActiveRelease(digest=digest, directory=directory, versions=versions, limits=limits, unfinished=unfinished)


def split_journal(text: str) -> tuple[str, str]:
    """Return an answer without the lines ``journal-KEY VALUE`` it begins with, and what they say, for people.

    Example:
        ``"a flash to 0123456789ab, begun 2026-01-02T03:04:05Z by the board's clock, was cut off or is under way; ..."``
    """
    values = {}
    for _ in range(JOURNAL_LINES):
        if not text.startswith(_JOURNAL):
            break
        line, _, text = text.partition("\n")
        key, _, value = line.removeprefix(_JOURNAL).partition(" ")
        values[key] = value
    if not values:
        return text, ""
    action, to, time = (values.get(key, "") for key in ("action", "to", "time"))
    what = f"{action.replace('-', ' ')} to {to[:12]}" if _ACTION.match(action) and _DIGEST.match(to) else "change"
    begun = f", begun {time} by the board's clock," if _TIME.match(time) else ""
    article = "an" if what.startswith("a") else "a"
    return text, (
        f"{article} {what}{begun} was cut off or is under way: edgedeploy status tells, and the next flash or rollback "
        "puts it in order"
    )


def parse_selftest(text: str) -> GoldenRecord:
    """Read what the runner's self-test printed.

    Raises:
        BenchError: It breaks the schema.
    """
    try:
        require_modest_json(text)
        document = _SelfTestDocument.model_validate_json(text)
    except ValueError as error:
        faults = f"{error.error_count()} faults" if isinstance(error, ValidationError) else str(error)
        raise BenchError(
            f"the runner's self-test did not print its document ({faults}): {text[:200]!r}",
            hint="flash again: runner and driver may be of different versions",
        ) from None
    return GoldenRecord(passed=document.passed, outputs=document.outputs)


def runner_failure(action: str, *, exit_status: int, stderr: str) -> BenchError:
    """Return the error for a runner that ended with another status than 0, with its own ``error:`` line in it."""
    lines = [line for line in stderr.splitlines() if line.strip() and parse_progress(line) is None]
    own = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    reason = own[-1] if own else " / ".join(lines[-3:]) or "no message"
    hint = _HINTS.get(exit_status, "edgedeploy status shows what is on the board; flashing again replaces it")
    return BenchError(f"the runner's {action} failed on the board with status {exit_status}: {reason}", hint=hint)


def _limits(manifest: dict[str, Any]) -> Limits:
    golden = manifest["golden"]["limits"]
    return Limits(
        golden=GoldenLimits(cosine=float(golden["cosine"]), max_abs_error=float(golden["max_abs_error"])),
        memory_bytes=int(manifest["requirements"]["memory_bytes"]),
    )
