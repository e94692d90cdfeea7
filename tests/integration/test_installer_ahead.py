"""The small program that goes ahead of a first flash's stream: with it one round trip brings everything."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploy_workbench import Workbench, make_workbench, runner_script
from runner_program import Runner

from edgedeploy.artifacts import Bundle, FlashResult, StepRecord
from edgedeploy.deploy.layout import INSTALLER
from edgedeploy.deploy.packing import FRAME_BYTES
from edgedeploy.deploy.push_scripts import INSTALLER_NAME
from edgedeploy.deploy.stream import NAME
from edgedeploy.errors import ChecksumMismatchError, ConnectionLostError, DiskFullError, TransferError
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.transport.fake import Fault, FaultKind, FaultyTransport
from edgedeploy.transport.protocol import CommandResult

pytestmark = pytest.mark.cross

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or ""
LARGE = np.random.default_rng(7).bytes(FRAME_BYTES * 2 + 5000)


@pytest.fixture(params=["system", "busybox"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return make_workbench(request.param, tmp_path)


@pytest.fixture
def small(runner: Runner) -> Path:
    """The small program, as it is built beside the other."""
    return runner.program.with_name(INSTALLER)


def release(bench: Workbench, runner: Runner, installer: str | None, *, large: bytes = LARGE) -> Bundle:
    """Return a release whose runner is the real one, and beside it on this side, in no list, the small program."""
    first, rest = runner_script().split("\n", 1)
    real = f'case $1 in receive | survey | install | version) exec "{QEMU}" "{runner.program}" "$@" ;; esac'
    program = f"{first}\n# {NAME.decode()} {INSTALLER_NAME}\n{real}\n{rest}"
    bundle = bench.bundle(runner=program, extra={"large": large, "a/b/deep": b"deep"})
    beside = next(file.source for file in bundle.files if file.path.name == "edgedeploy-runner").with_name(INSTALLER)
    beside.unlink(missing_ok=True)
    if installer is not None:
        beside.write_text(installer, encoding="utf-8")
    return bundle


def running(program: Path, before: str = ":") -> str:
    return f'#!/bin/sh\n{before}\nexec "{QEMU}" "{program}" "$@"\n'


def pushed(result: FlashResult) -> StepRecord:
    return [step for step in result.steps if step.name == "push"][-1]


def test_one_round_trip_brings_everything(bench: Workbench, runner: Runner, small: Path) -> None:
    result = bench.flash(release(bench, runner, running(small)))
    assert (pushed(result).round_trips, result.verified) == (1, True)
    bench.check_whole()
    changed = bench.flash(release(bench, runner, running(small), large=LARGE + b"more"))
    assert changed.steps[0].round_trips == 1, "the release's own runner surveys"
    bench.check_whole()


def test_it_is_small(small: Path, runner: Runner) -> None:
    """It is sent although the release does not need it."""
    assert small.stat().st_size < runner.program.stat().st_size / 5


@pytest.mark.parametrize("installer", [None, "#!/gone\n", "#!/bin/sh\nexit 126\n", "#!/bin/sh\nkill -ILL $$\n"])
def test_one_that_is_missing_or_does_not_run_is_done_without(
    bench: Workbench, runner: Runner, installer: str | None
) -> None:
    result = bench.flash(release(bench, runner, installer))
    assert pushed(result).round_trips == (2 if installer is None else 4)
    bench.check_whole()


@pytest.mark.parametrize("bench", ["system"], indirect=True)
@pytest.mark.parametrize("tool", ["dd", "gzip"])
def test_board_that_cannot_unpack_it(bench: Workbench, runner: Runner, small: Path, tmp_path: Path, tool: str) -> None:
    """A ``dd`` that reads no counted bytes; no gzip at all: then the runner travels first, as it is or packed."""
    bench.take_away(tool, tmp_path / "tools")
    result = bench.flash(release(bench, runner, running(small)))
    assert pushed(result).round_trips == (4 if tool == "dd" else 2)
    bench.check_whole()


@pytest.mark.parametrize(
    ("status", "says", "expected"),
    [
        (11, "error: damaged stream: it is none", TransferError),
        (4, "error: x: cannot be written: No space left on device", DiskFullError),
        (139, "", TransferError),
    ],
)
def test_one_that_fails_ends_the_flash(
    bench: Workbench, runner: Runner, status: int, says: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match="step push"):
        bench.flash(release(bench, runner, f"#!/bin/sh\necho '{says}' >&2\nexit {status}\n"))
    assert bench.current is None
    bench.check_whole()


def test_it_is_damaged_on_the_way(bench: Workbench, runner: Runner, small: Path) -> None:
    """What gzip refuses is not run: the other way is taken."""
    bundle = release(bench, runner, running(small, "# " + LARGE[:300_000].hex()), large=b"")
    result = bench.flash(bundle, FaultyTransport(bench.transport(), Fault(kind=FaultKind.FLIP_BIT, operation=0)))
    assert pushed(result).round_trips == 4
    bench.check_whole()


def test_files_are_damaged_on_the_way(bench: Workbench, runner: Runner, small: Path) -> None:
    transport = FaultyTransport(bench.transport(), Fault(kind=FaultKind.FLIP_BIT, operation=0))
    with pytest.raises((ChecksumMismatchError, TransferError)):
        bench.flash(release(bench, runner, running(small)), transport)
    assert bench.current is None
    bench.check_whole()


class CutStream(FaultyTransport):
    """The connection is lost once frames of the large file have arrived."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench.transport())
        self._store = bench.root / "store"

    def stream(self, command: Sequence[str] | str, chunks: Iterable[bytes], **options: Any) -> CommandResult:
        def cut() -> Iterator[bytes]:
            sent = 0
            for chunk in chunks:
                yield chunk
                sent += len(chunk)
                if sent > FRAME_BYTES + 100_000:
                    break
            end = time.monotonic() + 60
            while not any(path.stat().st_size >= FRAME_BYTES for path in self._store.glob(".incoming-*")):
                assert time.monotonic() < end
                time.sleep(0.05)
            self._lost = True
            raise ConnectionLostError("gone", hint="")

        return super().stream(command, cut(), **options)


def test_what_arrived_behind_it_is_not_sent_again(bench: Workbench, runner: Runner, small: Path) -> None:
    bundle = release(bench, runner, running(small))
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, CutStream(bench))
    result = bench.flash(bundle, break_lock=True)
    assert "bytes were there already" in pushed(result).note
    assert (pushed(result).round_trips, pushed(result).bytes < len(LARGE) - FRAME_BYTES + 10_000) == (1, True)
    bench.check_whole()


def test_beginning_of_a_file_that_is_not_what_it_was(bench: Workbench, runner: Runner, small: Path) -> None:
    """It changes under the program's feet: all of it travels again, with the program."""
    bundle = release(bench, runner, running(small))
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, CutStream(bench))
    shorten = 'for file in store/.incoming-*; do case $file in *-installer) ;; *) echo x > "$file" ;; esac; done'
    release(bench, runner, running(small, f"if mkdir ../once 2>/dev/null; then {shorten}; fi"))
    with pytest.raises(TransferError):
        bench.flash(bundle, break_lock=True)
    assert bench.flash(bundle).verified
    bench.check_whole()


@pytest.mark.parametrize("digest", ["d" * 63, "D" * 64, "../" + "d" * 61, "d" * 64 + "/x", ""])
def test_digest_that_is_none_is_refused(runner: Runner, small: Path, tmp_path: Path, digest: str) -> None:
    for program, command in ((runner.program, "install"), (small, "install"), (runner.program, "survey")):
        answer = Runner(program=program)(command, "--token", "t", "--digest", digest, "--count", "0", cwd=tmp_path)
        assert answer.exit_status == 2 and "--digest" in answer.error
    assert list(tmp_path.iterdir()) == []


def test_it_knows_nothing_else(small: Path) -> None:
    answer = Runner(program=small)("version")
    assert (answer.exit_status, answer.error) == (2, "this program knows 'install' alone")
