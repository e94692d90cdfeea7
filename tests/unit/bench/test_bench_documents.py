"""Text from the board to values."""

from __future__ import annotations

import pytest

from edgedeploy.bench.documents import RunnerProgress, parse_progress, runner_failure


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("progress: run 2/5", RunnerProgress(phase="run", done=2, total=5)),
        ("progress: warmup 10/10\r\n", RunnerProgress(phase="warmup", done=10, total=10)),
        ("progress: layers 1/3", RunnerProgress(phase="layers", done=1, total=3)),
        ("progress: run 2", None),
        ("progress: run x/5", None),
        ("error: progress: run 2/5", None),
        ("", None),
    ],
)
def test_progress(line: str, expected: RunnerProgress | None) -> None:
    assert parse_progress(line) == expected


def test_failure_quotes_the_runner_and_leaves_progress_out() -> None:
    error = runner_failure("benchmark", exit_status=4, stderr="progress: run 1/2\nerror: model.bin: no such file\n")
    assert error.message == "the runner's benchmark failed on the board with status 4: model.bin: no such file"
    assert "flash again" in error.hint


def test_failure_without_error_line_quotes_the_last_lines() -> None:
    error = runner_failure("benchmark", exit_status=1, stderr="a\nb\nc\nd\nprogress: run 1/2\n")
    assert error.message.endswith("b / c / d")
