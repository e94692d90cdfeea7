"""The golden self-test: the pushed runner, on the board, on the release's own golden input."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

from edgedeploy.artifacts import Clock, GoldenOutput
from edgedeploy.deploy.layout import RUNNER
from edgedeploy.errors import SelfTestError
from edgedeploy.reading import load_json
from edgedeploy.transport.protocol import CommandResult, Transport

DEADLINE_HARDWARE_S = 120.0
DEADLINE_TWIN_S = 900.0

BEYOND_LIMITS_STATUS = 3
# How the answer begins of a release whose outputs are within their limits (docs/contracts.md).
PASSED = '{"schema":1,"passed":true,'
_MEANINGS = {
    4: "a file is missing or unreadable",
    5: "the manifest is invalid",
    6: "the engine refused the model",
    7: "out of memory",
    8: "the inference failed",
    126: "the runner cannot be executed; is the directory on a file system mounted noexec?",
    127: "the runner cannot be started",
    132: "illegal instruction: the board's cores lack what the runner was compiled for",
    137: "killed, probably for lack of memory",
    139: "segmentation fault",
}


def default_deadline_s(clock: Clock | None) -> float:
    """Return the seconds that a self-test may take; ``clock`` None is hardware."""
    return DEADLINE_HARDWARE_S if clock is None else DEADLINE_TWIN_S


def selftest_words(release: PurePosixPath) -> list[str]:
    """Return the command that has a release prove itself."""
    return [str(release / RUNNER), "selftest", "--release", str(release)]


def run_selftest(transport: Transport, release: PurePosixPath, *, deadline_s: float) -> tuple[GoldenOutput, ...]:
    """Run a release's self-test and return how each output compares.

    Raises:
        SelfTestError: An output beyond its limits, or no self-test at all.
        DeadlineError: No end within ``deadline_s``.
    """
    return parse_selftest(transport.run(selftest_words(release), deadline_s=deadline_s, check=False))


def parse_selftest(result: CommandResult) -> tuple[GoldenOutput, ...]:
    """Read the runner's answer; see ``run_selftest``."""
    if result.exit_status not in (0, BEYOND_LIMITS_STATUS):
        meaning = _MEANINGS.get(result.exit_status, "it failed")
        detail = result.stderr.strip().splitlines()
        raise SelfTestError(
            f"the self-test did not run: status {result.exit_status}, {meaning}"
            + (f": {detail[-1]}" if detail else ""),
            hint=f"run it by hand on the board: {result.command}",
        )
    try:
        document = load_json(result.stdout)
        outputs = tuple(_output(item) for item in document["outputs"])
        passed = document["passed"] is True and bool(outputs) and all(item.passed for item in outputs)
    except (ValueError, TypeError, KeyError) as error:
        raise SelfTestError(
            f"the self-test's answer cannot be read: {result.stdout[:200]!r}",
            hint=f"run it by hand on the board: {result.command}",
        ) from error
    if not passed or result.exit_status != 0:
        finite = all(math.isfinite(item.max_abs_error) for item in outputs)
        raise SelfTestError(
            "outputs are beyond the limits: " + "; ".join(_describe(item) for item in outputs),
            hint="compare with the host (edgedeploy convert), or widen [golden.limits] in edgedeploy.toml"
            if finite
            else 'values overflowed: with precision = "fp16" in edgedeploy.toml take "fp16-storage" or "fp32"',
        )
    return outputs


def _output(item: dict[str, Any]) -> GoldenOutput:
    return GoldenOutput(
        name=str(item["name"]),
        cosine=_number(item["cosine"]),
        max_abs_error=_number(item["max_abs_error"]),
        sqnr_db=_number(item["sqnr_db"]),
        passed=item["passed"] is True,
    )


def _number(value: object) -> float:
    # JSON has no infinities and no NaN: the runner writes null.
    return math.nan if value is None else float(str(value))


def _describe(item: GoldenOutput) -> str:
    verdict = "within" if item.passed else "beyond"
    return f"{item.name} cosine {item.cosine:.6f}, max abs error {item.max_abs_error:.3g} ({verdict})"
