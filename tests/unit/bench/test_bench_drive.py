"""Driving a runner through a real shell: commands, results and every way it fails."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_board import SELFTEST, ToyBoard

from edgedeploy import __version__
from edgedeploy.artifacts import BoardFacts, Clock, GoldenOutput, Provenance
from edgedeploy.bench.drive import BenchOptions, bench, bench_command, deadline_for, find_release, shell_path
from edgedeploy.errors import BenchError, ConnectionLostError, DeadlineError, NoReleaseError, UsageError
from edgedeploy.progress import SILENT, Progress
from edgedeploy.runfile import BoardSummary, RunRecord, dump_record, parse_run
from edgedeploy.transport.fake import Fault, FaultKind, FaultyTransport
from edgedeploy.transport.local import LocalTransport
from edgedeploy.transport.protocol import Transport

OPTIONS = BenchOptions(warmup=1, runs=2, seconds=0.0, deadline_s=30)


class RecordingProgress:
    """Keeps titles and updates."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.updates: list[tuple[float, float | None, str]] = []

    @contextmanager
    def task(self, title: str) -> Iterator[RecordingProgress]:
        self.titles.append(title)
        yield self

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        self.updates.append((done, total, note))

    def say(self, text: str) -> None:
        self.titles.append(text)


@pytest.fixture
def measure(toy_board: ToyBoard, summary: BoardSummary, facts: BoardFacts) -> Any:
    def run(transport: Transport | None = None, *, progress: Progress = SILENT, **changes: Any) -> RunRecord:
        arguments: dict[str, Any] = {
            "app": "toy",
            "directory": str(toy_board.directory),
            "board": summary,
            "facts": facts,
            "provenance": Provenance.QEMU_SYSTEM,
            "clock": Clock.REAL,
            "options": OPTIONS,
            "command": "edgedeploy bench --board rk3399 --emulated",
        }
        return bench(transport or LocalTransport(), progress=progress, **{**arguments, **changes})

    return run


def test_record_holds_what_was_measured_on_what(
    measure: Any, toy_board: ToyBoard, measurement: dict[str, Any], facts: BoardFacts
) -> None:
    record = measure()
    assert record.release == toy_board.digest
    assert record.measurement.samples[3].inference_us == measurement["samples"][3]["inference_us"]
    assert record.statistics.inference.n == len(measurement["samples"]) == 40
    assert record.statistics.inference.median_us == np.median([s["inference_us"] for s in measurement["samples"]])
    assert record.golden is not None and record.golden.passed and record.golden.outputs[0].cosine == 0.99999
    assert record.limits.golden is not None and record.limits.golden.max_abs_error == 0.05
    assert record.limits.memory_bytes == 1234567
    assert record.versions == {
        "edgedeploy": __version__,
        "engine": measurement["engine"],
        "runner": measurement["runner"],
        "build_id": "b1",
    }
    assert record.board.facts.features == ("asimd", "fp"), "only what every core has"
    assert parse_run(dump_record(record).decode(), source="again") == record


def test_runner_is_called_on_the_release_itself(measure: Any, toy_board: ToyBoard) -> None:
    measure(options=BenchOptions(warmup=2, runs=7, seconds=1.5, threads=3, cpus=(0, 1), layers=True, deadline_s=30))
    release = toy_board.bin.parent
    assert toy_board.calls() == [
        f"selftest --release {release} --threads 3",
        f"bench --release {release} --warmup 2 --runs 7 --seconds 1.5 --threads 3 --cpus 0,1 --layers",
    ]


def test_threads_default_to_the_cores_probed(measure: Any, toy_board: ToyBoard) -> None:
    measure()
    assert all("--threads 2" in call for call in toy_board.calls())


def test_golden_of_a_flash_is_not_measured_again(measure: Any, toy_board: ToyBoard) -> None:
    passed = GoldenOutput(name="out0", cosine=1.0, max_abs_error=0.0, sqnr_db=float("inf"), passed=True)
    record = measure(golden=[passed])
    assert [call.split()[0] for call in toy_board.calls()] == ["bench"]
    assert record.golden is not None and record.golden.passed
    assert record.golden.outputs[0].sqnr_db is None, "infinity has no place in JSON"


def test_failed_golden_is_recorded_and_not_hidden(measure: Any, toy_board: ToyBoard) -> None:
    broken = {"name": "out0", "cosine": None, "max_abs_error": None, "sqnr_db": None, "passed": False}
    toy_board.answer_selftest({**SELFTEST, "passed": False, "outputs": [broken]}, 3)
    record = measure()
    assert record.golden is not None and not record.golden.passed


def test_progress_lines_become_updates(measure: Any) -> None:
    progress = RecordingProgress()
    measure(progress=progress)
    assert progress.updates == [(1, 1, "warmup"), (1, 2, "run"), (2, 2, "run")]
    assert len(progress.titles) == 2


def test_outputs_are_fetched_and_nothing_stays_on_the_board(measure: Any, toy_board: ToyBoard, tmp_path: Path) -> None:
    measure(fetch_outputs_to=tmp_path / "outputs")
    assert np.array_equal(np.load(tmp_path / "outputs" / "out0.npy"), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert sorted(path.name for path in toy_board.directory.iterdir()) == ["current", "releases"]


def test_output_directory_is_removed_after_a_failure_too(measure: Any, toy_board: ToyBoard, tmp_path: Path) -> None:
    toy_board.answer(status=8, stderr="error: inference failed\n")
    with pytest.raises(BenchError):
        measure(fetch_outputs_to=tmp_path / "outputs")
    assert sorted(path.name for path in toy_board.directory.iterdir()) == ["current", "releases"]


def test_release_is_looked_up_in_one_round_trip(toy_board: ToyBoard) -> None:
    transport = LocalTransport()
    release = find_release(transport, app="toy", directory=str(toy_board.directory))
    assert release.digest == toy_board.digest
    assert transport.traffic.round_trips == 1


def test_outputs_of_a_killed_benchmark_go_with_a_later_one(measure: Any, toy_board: ToyBoard, tmp_path: Path) -> None:
    killed, running = toy_board.directory / "outputs-aB3xYz", toy_board.directory / "outputs-cD4xYz"
    for path in (killed, running):
        path.mkdir()
        (path / "out0.npy").touch()
    os.utime(killed, (0, 0))
    measure(fetch_outputs_to=tmp_path / "outputs")
    assert sorted(path.name for path in toy_board.directory.iterdir()) == ["current", running.name, "releases"]


TO = "ab" * 32


@pytest.mark.parametrize(
    ("journal", "told"),
    [
        (
            f'action flash\nto {TO}\nfrom \ntime 2026-01-02T03:04:05Z\nhost "x"\n',
            "a flash to abababababab, begun 2026-01-02T03:04:05Z by the board's clock, was cut off or is under way",
        ),
        (f"action automatic-rollback\nto {TO}\n", "an automatic rollback to abababababab was cut off"),
        ("action \x1b[31m\nto /etc\ntime now\n", "a change was cut off"),
        ("to \n" * 5000, "a change was cut off"),
    ],
)
def test_what_was_cut_off_is_told_and_measured_all_the_same(
    measure: Any, toy_board: ToyBoard, journal: str, told: str
) -> None:
    (toy_board.directory / "journal").write_text(journal)
    progress, transport = RecordingProgress(), LocalTransport()
    assert measure(transport, progress=progress).release == toy_board.digest
    warnings = [title for title in progress.titles if title.startswith("warning: ")]
    assert len(warnings) == 1 and warnings[0].startswith(f"warning: {told}")
    assert warnings[0].endswith("the next flash or rollback puts it in order")
    assert transport.traffic.round_trips == 3, "no more than without: the look-up, the self-test, the benchmark"
    assert (toy_board.directory / "journal").read_text() == journal, "a benchmark changes nothing"


def test_a_first_flash_that_was_cut_off_is_told_where_nothing_is_active(measure: Any, toy_board: ToyBoard) -> None:
    (toy_board.directory / "current").unlink()
    (toy_board.directory / "journal").write_text(f"action flash\nto {TO}\n")
    with pytest.raises(NoReleaseError) as caught:
        measure()
    assert "a flash to abababababab was cut off" in caught.value.hint


def test_home_directory_is_the_boards(toy_board: ToyBoard) -> None:
    transport = LocalTransport(environment={"PATH": "/usr/bin:/bin", "HOME": str(toy_board.directory.parent)})
    assert find_release(transport, app="toy", directory="~/toy app").digest == toy_board.digest


@pytest.mark.parametrize("broken", ["no directory", "no current", "dangling"])
def test_no_release(measure: Any, toy_board: ToyBoard, broken: str) -> None:
    directory = toy_board.directory if broken != "no directory" else toy_board.directory / "nothing"
    if broken != "no directory":
        (toy_board.directory / "current").unlink()
    if broken == "dangling":
        (toy_board.directory / "current").symlink_to("releases/gone")
    with pytest.raises(NoReleaseError, match="toy has no active release") as caught:
        measure(directory=str(directory))
    assert "flash" in caught.value.hint


def test_current_that_is_no_release(toy_board: ToyBoard) -> None:
    stray = toy_board.directory / "releases" / "stray"
    stray.mkdir()
    (stray / "manifest.json").write_text("{}")
    (toy_board.directory / "current").unlink()
    (toy_board.directory / "current").symlink_to("releases/stray")
    with pytest.raises(BenchError, match="releases/stray"):
        find_release(LocalTransport(), app="toy", directory=str(toy_board.directory))


@pytest.mark.parametrize("manifest", ["", "[]", '{"versions": 1}', '{"versions": {}, "golden": {"limits": {}}}'])
def test_damaged_manifest(measure: Any, toy_board: ToyBoard, manifest: str) -> None:
    (toy_board.bin.parent / "manifest.json").write_text(manifest)
    with pytest.raises(BenchError, match="manifest of release"):
        measure()


@pytest.mark.parametrize(
    "case",
    [
        (7, "warning: x\nerror: 3 MiB short\n", "3 MiB short", "memory"),
        (132, "", "no message", "instruction"),
        (137, "Killed\n", "Killed", "memory"),
        (99, "error: odd\n", "odd", "status"),
    ],
)
def test_runner_that_fails(measure: Any, toy_board: ToyBoard, case: tuple[int, str, str, str]) -> None:
    status, stderr, reason, hint = case
    toy_board.answer(status=status, stderr=stderr)
    with pytest.raises(BenchError) as caught:
        measure()
    assert f"status {status}: {reason}" in caught.value.message
    assert hint in caught.value.hint


def test_cores_that_the_board_lacks_are_said_before_anything_runs(
    measure: Any, toy_board: ToyBoard, facts: BoardFacts
) -> None:
    last = max(core.index for core in facts.cores)
    with pytest.raises(UsageError, match=f"no core {last + 1}, {last + 4} to") as caught:
        measure(options=BenchOptions(cpus=(last + 4, last, last + 1), deadline_s=30))
    assert str(last) in caught.value.hint
    assert not toy_board.calls()


def test_missing_runner(measure: Any, toy_board: ToyBoard) -> None:
    (toy_board.bin / "edgedeploy-runner").unlink()
    with pytest.raises(BenchError, match="status 127"):
        measure()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"samples": []},
        {"surprise": 1},
        {"first_inference_us": "fast"},
        {"first_inference_us": -1},
        {"load": {"cold_us": 1}},
    ],
    ids=str,
)
def test_measurement_that_breaks_its_schema(
    measure: Any, toy_board: ToyBoard, measurement: dict[str, Any], change: dict[str, Any]
) -> None:
    toy_board.answer(measurement={**measurement, **change})
    with pytest.raises(BenchError) as caught:
        measure()
    assert "edgedeploy-runner" in caught.value.hint, "the hint has the command"


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"samples": []}'])
def test_measurement_that_is_none(measure: Any, toy_board: ToyBoard, text: str) -> None:
    toy_board.answer(measurement=text)
    with pytest.raises(BenchError):
        measure()


@pytest.mark.parametrize("document", ["", "{}", json.dumps({**SELFTEST, "passed": "yes"})])
def test_selftest_that_breaks_its_schema(measure: Any, toy_board: ToyBoard, document: str) -> None:
    toy_board.answer_selftest(document, 0)
    with pytest.raises(BenchError, match="self-test"):
        measure()


def test_selftest_that_does_not_run(measure: Any, toy_board: ToyBoard) -> None:
    toy_board.answer_selftest("", 5)
    with pytest.raises(BenchError, match="self-test failed on the board with status 5"):
        measure()


def test_deadline_is_passed_to_the_board(measure: Any, toy_board: ToyBoard) -> None:
    (toy_board.bin / "edgedeploy-runner").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(DeadlineError):
        measure(options=BenchOptions(warmup=0, runs=1, seconds=0, deadline_s=0.3))


@pytest.mark.parametrize("operation", range(5), ids=["look-up", "self-test", "mktemp", "bench", "get"])
def test_lost_connection_is_a_typed_error(measure: Any, tmp_path: Path, operation: int) -> None:
    transport = FaultyTransport(LocalTransport(), Fault(kind=FaultKind.LOST_BEFORE, operation=operation))
    with pytest.raises(ConnectionLostError):
        measure(transport, fetch_outputs_to=tmp_path / "outputs")
    assert not list(tmp_path.glob("outputs/*"))


def test_connection_lost_while_tidying_up_does_not_lose_the_measurement(measure: Any, tmp_path: Path) -> None:
    transport = FaultyTransport(LocalTransport(), Fault(kind=FaultKind.LOST_BEFORE, operation=5))
    progress = RecordingProgress()
    record = measure(transport, progress=progress, fetch_outputs_to=tmp_path / "outputs")
    assert record.statistics.inference.n == 40
    assert "stays on the board" in progress.titles[-1]


def test_hardware_has_no_clock(measure: Any) -> None:
    record = measure(provenance=Provenance.HARDWARE, clock=Clock.REAL)
    assert record.clock is None and not record.emulated


def test_command_without_options() -> None:
    options = BenchOptions(warmup=0, runs=1, seconds=0, layers=False)
    assert bench_command("/r", options, 1, None) == (
        *("/r/bin/edgedeploy-runner", "bench", "--release", "/r", "--warmup", "0", "--runs", "1", "--seconds", "0"),
        *("--threads", "1"),
    )


def test_deadline_grows_with_the_work_and_the_emulation() -> None:
    few, many = BenchOptions(runs=1, seconds=0), BenchOptions(runs=100, seconds=60)
    assert deadline_for(few, clock=None) < deadline_for(many, clock=None)
    assert deadline_for(few, clock=None) < deadline_for(few, clock=Clock.REAL)
    assert deadline_for(few, clock=Clock.REAL) < deadline_for(few, clock=Clock.INSTRUCTIONS)


def test_shell_path() -> None:
    assert shell_path("~/a b") == "\"$HOME\"/'a b'"
    assert shell_path("/a;b") == "'/a;b'"


@pytest.mark.parametrize(
    "name", ["a b", "a'b", 'a"b', "$(touch pwned)", "`touch pwned`", "; touch pwned", "a\ntouch p"]
)
def test_shell_path_is_one_word_whatever_it_holds(tmp_path: Path, name: str) -> None:
    for path in (f"~/{name}", f"/{name}"):
        answer = LocalTransport(environment={**os.environ, "HOME": str(tmp_path)}).run(
            f"cd {shlex.quote(str(tmp_path))} && printf '%s' {shell_path(path)}"
        )
        assert answer.stdout == path.replace("~", str(tmp_path), 1)
    assert list(tmp_path.iterdir()) == []
