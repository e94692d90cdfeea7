"""Streams of files: the real receiver unpacks them, refuses damaged ones, and flashes use it."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from deploy_workbench import Workbench, make_workbench, runner_script
from fuzz_mutations import damaged
from hypothesis import HealthCheck, given, settings
from runner_program import Runner

from edgedeploy.artifacts import BundleFile, FlashResult, StepRecord
from edgedeploy.deploy.packing import FRAME_BYTES
from edgedeploy.deploy.push_scripts import INSTALLER_NAME
from edgedeploy.deploy.stream import NAME, Base, Outgoing, can_receive, write_stream
from edgedeploy.errors import BoardBusyError, ConnectionLostError, DiskFullError, TransferError
from edgedeploy.files import file_sha256
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.transport.fake import FaultyTransport
from edgedeploy.transport.protocol import CommandResult, Transport

pytestmark = pytest.mark.cross

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or ""
FILE_ERROR, STREAM_ERROR = 4, 11
RNG = np.random.default_rng(5)
OLD = RNG.normal(0, 0.05, 300_000).astype("<f4").tobytes()
NEW = OLD[:400_000] + RNG.bytes(4000) + OLD[400_000:]
TEXT = b"".join(b"layer %d of %d\n" % (number, number * number) for number in range(70_000))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other flashes left in the host's memory is no part of these."""
    assert runner.program.is_file()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def receive(runner: Runner, directory: Path, stream: bytes) -> subprocess.CompletedProcess[bytes]:
    words = [QEMU, str(runner.program), "receive", "--into", f"{directory}/in-"]
    return subprocess.run(words, input=stream, capture_output=True, timeout=120, check=False, cwd=directory)


def bundle_file(directory: Path, name: str, content: bytes, mode: int = 0o644) -> BundleFile:
    source = directory / name
    source.write_bytes(content)
    return BundleFile(
        path=PurePosixPath(name), source=source, sha256=file_sha256(source), size_bytes=len(content), mode=mode
    )


def stream_of(*items: Outgoing) -> bytes:
    return b"".join(write_stream(items, lambda *_: None))


def test_files_arrive_as_they_are(runner: Runner, tmp_path: Path) -> None:
    old, text = bundle_file(tmp_path, "old", OLD), bundle_file(tmp_path, "text", TEXT, 0o755)
    new, empty = bundle_file(tmp_path, "new", NEW), bundle_file(tmp_path, "empty", b"")
    (tmp_path / f"in-{text.sha256}").write_bytes(TEXT[:1234])
    base = Base(on_board=PurePosixPath("old"), source=old.source)
    stream = stream_of(
        Outgoing(file=new, base=base), Outgoing(file=text, offset=1234), Outgoing(file=empty), Outgoing(file=old)
    )
    assert len(stream) < 0.92 * len(OLD) + 6000 + 0.25 * len(TEXT)
    done = receive(runner, tmp_path, stream)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"files":4' in done.stdout
    for file in (new, text, empty, old):
        path = tmp_path / f"in-{file.sha256}"
        assert file_sha256(path) == file.sha256
        assert path.stat().st_mode & 0o777 == file.mode


def test_program_says_what_it_receives(runner: Runner, tmp_path: Path) -> None:
    assert runner.document("version")["receives"] == NAME.decode()
    assert can_receive(runner.program)
    assert not can_receive(bundle_file(tmp_path, "script", runner_script().encode()).source)


def test_damaged_streams_end_in_an_error(runner: Runner, tmp_path: Path) -> None:
    old, new = bundle_file(tmp_path, "old", OLD[:5000]), bundle_file(tmp_path, "new", OLD[:4000] + b"changed" * 99)
    base = Base(on_board=PurePosixPath("old"), source=old.source)
    text = bundle_file(tmp_path, "text", TEXT[:3000])
    valid = stream_of(Outgoing(file=new, base=base), Outgoing(file=text))
    assert receive(runner, tmp_path, valid).returncode == 0

    @settings(derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
    @given(damaged((valid,)))
    def holds(stream: bytes) -> None:
        done = receive(runner, tmp_path, stream)
        assert done.returncode in {0, FILE_ERROR, STREAM_ERROR}, done.stderr[-500:]
        assert (done.returncode == 0) != done.stderr.startswith(b"error: ")
        assert done.stderr.count(b"\n") == (done.returncode != 0)

    holds()


HEADER = struct.Struct("<QQHH32s")
FRAME = struct.Struct("<BBIIQI")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (b"", b"ends too early"),
        (b"\x07", b"a file is expected"),
        (b"\x01" + HEADER.pack(0, 1 << 63, 0o644, 0, bytes(32)), b"a file of this size"),
        (b"\x01" + HEADER.pack(2, 1, 0o644, 0, bytes(32)), b"a file of this size"),
        (b"\x01" + HEADER.pack(0, 9, 0o666, 0, bytes(32)), b"a file of this mode"),
        (b"\x01" + HEADER.pack(0, 9, 0o644, 65535, bytes(32)), b"a name of this length"),
        (b"\x01" + HEADER.pack(5, 9, 0o644, 0, bytes(32)), b"No such file"),
        (b"\x01" + HEADER.pack(0, 9, 0o644, 4, bytes(32)) + b"gone", b"gone: No such file"),
        (b"\x01" + HEADER.pack(0, 9, 0o644, 0, bytes(32)) + b"\x00", b"a frame is expected"),
        *(
            (b"\x01" + HEADER.pack(0, 9, 0o644, 0, bytes(32)) + b"\x02" + FRAME.pack(*numbers) + bytes(9), message)
            for numbers, message in [
                ((3, 0, 9, 9, 0, 0), b"byte planes"),
                ((1, 4, 9, 9, 0, 0), b"kind of reference"),
                ((1, 0, 0, 9, 0, 0), b"a frame of this size"),
                ((1, 0, FRAME_BYTES + 1, 9, 0, 0), b"a frame of this size"),
                ((1, 0, 9, 1 << 31, 0, 0), b"packed to this size"),
                ((1, 2, 9, 9, 0, (4 << 20) + 1), b"a reference of this size"),
                ((1, 0, 9, 9, 0, 1), b"a reference where none is expected"),
                ((1, 1, 9, 9, 0, 0), b"a reference where none is expected"),
                ((1, 3, 9, 9, 0, 8), b"of another size"),
                ((1, 0, 10, 9, 0, 0), b"beyond the end of its file"),
                ((1, 1, 9, 9, 0, 1), b"bytes that have not come"),
                ((1, 2, 9, 9, 0, 1), b"there is none"),
                ((1, 0, 9, 9, 0, 0), b"damaged stream"),
            ]
        ),
    ],
)
def test_what_no_stream_holds_is_named(runner: Runner, tmp_path: Path, records: bytes, message: bytes) -> None:
    done = receive(runner, tmp_path, NAME + records)
    assert done.returncode in {FILE_ERROR, STREAM_ERROR}
    assert message in done.stderr and done.stderr.count(b"\n") == 1


def test_reference_beyond_the_base_is_an_error(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(b"short")
    numbers = FRAME.pack(1, 2, 9, 9, 1 << 62, 100)
    done = receive(
        runner, tmp_path, NAME + b"\x01" + HEADER.pack(0, 9, 0o644, 4, bytes(32)) + b"base\x02" + numbers + bytes(9)
    )
    assert done.returncode == STREAM_ERROR and b"beyond the end of base" in done.stderr


def test_full_disk_is_a_file_error(runner: Runner, tmp_path: Path) -> None:
    file = bundle_file(tmp_path, "text", TEXT)
    words = [QEMU, str(runner.program), "receive", "--into", f"{tmp_path}/in-"]
    limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "sh", *words]
    done = subprocess.run(limited, input=stream_of(Outgoing(file=file)), capture_output=True, timeout=120, check=False)
    assert done.returncode == FILE_ERROR
    assert b"cannot be written: File too large" in done.stderr


# Flashes on this machine as the board, whose runner hands receiving to the real one.


@pytest.fixture(params=["system", "busybox"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    return make_workbench(request.param, tmp_path)


@pytest.fixture(params=["receiver", "installer"])
def program(request: pytest.FixtureRequest, runner: Runner) -> str:
    """A runner of releases that receives; one of an earlier version does no more."""
    first, rest = runner_script().split("\n", 1)
    real = f'exec "{QEMU}" "{runner.program}" "$@"'
    names, handed = [NAME.decode(), INSTALLER_NAME], f"case $1 in receive | survey | install | version) {real} ;; esac"
    if request.param == "receiver":
        said = json.dumps({"schema": 1, "receives": NAME.decode()}, separators=(",", ":"))
        names = [NAME.decode()]
        version = f"if [ $1 = version ]; then ({real}) > /dev/null && echo '{said}'; exit; fi"
        handed = f"case $1 in receive | version) {version}; {real} ;; esac"
    return "\n".join([first, *(f"# {name}" for name in names), handed, rest])


def pushed(result: FlashResult) -> StepRecord:
    return [step for step in result.steps if step.name == "push"][-1]


def test_first_flash_takes_the_runner_and_one_stream(bench: Workbench, program: str) -> None:
    bundle = bench.bundle(runner=program, extra={"large": TEXT})
    result = bench.flash(bundle)
    assert result.verified
    assert pushed(result).round_trips == 2
    assert pushed(result).bytes < bundle.size_bytes / 3
    bench.check_whole()


def test_changed_file_travels_as_its_change(bench: Workbench, program: str) -> None:
    bench.flash(bench.bundle(runner=program, extra={"large": OLD}))
    result = bench.flash(bench.bundle(runner=program, extra={"large": NEW}))
    assert (pushed(result).round_trips, pushed(result).note) == (1, "2 files, 2 as changes of what was there")
    assert pushed(result).bytes < 8000
    bench.check_whole()
    again = bench.flash(bench.bundle(runner=program, extra={"large": NEW}))
    assert again.unchanged and sum(step.round_trips for step in again.steps) == 2


def test_host_that_remembers_nothing_sends_whole_files(
    bench: Workbench, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.flash(bench.bundle(runner=program, extra={"large": OLD}))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other host"))
    result = bench.flash(bench.bundle(runner=program, extra={"large": NEW}))
    assert (pushed(result).round_trips, pushed(result).note) == (1, "2 files")
    assert len(NEW) * 0.8 < pushed(result).bytes < len(NEW) * 0.95


def test_file_of_the_board_that_is_not_what_it_was(bench: Workbench, program: str) -> None:
    """What was packed against it comes out wrong, is found, and travels again, whole."""
    first = bench.bundle(runner=program, extra={"large": OLD})
    bench.flash(first)
    (bench.root / "releases" / first.digest / "large").write_bytes(bytes(len(OLD)))
    result = bench.flash(bench.bundle(runner=program, extra={"large": NEW}), keep=1)
    assert [step.name for step in result.steps].count("push") == 2
    assert pushed(result).note == "1 files"
    assert len(NEW) * 0.8 < pushed(result).bytes < len(NEW) * 0.95


@pytest.mark.parametrize("content", [None, b"short"])
def test_file_of_the_board_that_is_gone(bench: Workbench, program: str, content: bytes | None) -> None:
    first = bench.bundle(runner=program, extra={"large": OLD})
    bench.flash(first)
    path = bench.root / "releases" / first.digest / "large"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert bench.flash(bench.bundle(runner=program, extra={"large": NEW})).verified


class CutStream(FaultyTransport):
    """The connection is lost once a file's first frames have arrived."""

    def __init__(self, inner: Transport, store: Path, arrived_bytes: int) -> None:
        super().__init__(inner)
        self._store = store
        self._arrived_bytes = arrived_bytes

    def stream(self, command: Sequence[str] | str, chunks: Iterable[bytes], **options: Any) -> CommandResult:
        def cut() -> Iterator[bytes]:
            sent = 0
            for chunk in chunks:
                yield chunk
                sent += len(chunk)
                if sent > self._arrived_bytes:
                    break
            end = time.monotonic() + 60
            while not any(path.stat().st_size >= self._arrived_bytes for path in self._store.glob(".incoming-*")):
                assert time.monotonic() < end
                time.sleep(0.05)
            self._lost = True
            raise ConnectionLostError("gone", hint="")

        return super().stream(command, cut(), **options)


def test_what_arrived_of_a_stream_is_not_sent_again(bench: Workbench, program: str) -> None:
    bench.flash(bench.bundle(runner=program))
    large = RNG.bytes(FRAME_BYTES * 2 + 5000)
    bundle = bench.bundle(runner=program, extra={"large": large})
    with pytest.raises(ConnectionLostError):
        bench.flash(bundle, CutStream(bench.transport(), bench.root / "store", FRAME_BYTES))
    result = bench.flash(bundle, break_lock=True)
    assert "bytes were there already" in pushed(result).note
    assert pushed(result).bytes < len(large) - FRAME_BYTES + 5000
    bench.check_whole()


class Overtaken(FaultyTransport):
    """Somebody else takes the lock over while files arrive."""

    def __init__(self, inner: Transport, lock: Path) -> None:
        super().__init__(inner)
        self._lock = lock

    def stream(self, command: Sequence[str] | str, chunks: Iterable[bytes], **options: Any) -> CommandResult:
        def taking() -> Iterator[bytes]:
            yield from chunks
            (self._lock / "token").write_text("somebody else\n", encoding="ascii")

        return super().stream(command, taking(), **options)


def test_lock_that_is_lost_while_files_arrive(bench: Workbench, program: str) -> None:
    """Nothing gets its name then, and the lock that is there stays as it is."""
    first = bench.bundle(runner=program)
    bench.flash(first)
    before = sorted(path.name for path in (bench.root / "store").glob("[!.]*"))
    with pytest.raises(BoardBusyError, match="step push"):
        bench.flash(bench.bundle("weights 2", runner=program), Overtaken(bench.transport(), bench.root / "lock"))
    assert sorted(path.name for path in (bench.root / "store").glob("[!.]*")) == before
    assert [path.name for path in (bench.root / "releases").iterdir()] == [first.digest]
    assert not (bench.root / "lock" / "files").exists()
    assert bench.current == first.digest


def test_receiver_that_does_not_run_there_is_done_without(bench: Workbench, program: str) -> None:
    """The release's own runner says so itself; its files travel one by one."""
    broken = program.replace(f'exec "{QEMU}"', 'exec "/gone"')
    result = bench.flash(bench.bundle(runner=broken))
    assert pushed(result).round_trips == 2 + 4
    bench.check_whole()


def test_release_without_a_receiver_on_the_board(bench: Workbench, program: str) -> None:
    bench.flash(bench.bundle())
    result = bench.flash(bench.bundle(runner=program))
    assert pushed(result).round_trips == 2
    back = bench.flash(bench.bundle("weights 3"))
    assert pushed(back).round_trips == 1
    bench.check_whole()


@pytest.mark.parametrize("bench", ["system"], indirect=True)
def test_board_without_gzip(bench: Workbench, program: str, tmp_path: Path) -> None:
    bench.take_away("gzip", tmp_path / "tools")
    result = bench.flash(bench.bundle(runner=program))
    assert pushed(result).round_trips == 2
    assert pushed(result).bytes > len(program)


@pytest.mark.parametrize(
    ("status", "says", "expected"),
    [
        (11, "error: damaged stream: it is none", TransferError),
        (4, "error: x: cannot be written: No space left on device", DiskFullError),
        (139, "", TransferError),
    ],
)
def test_receiver_that_fails_ends_the_flash(
    bench: Workbench, program: str, status: int, says: str, expected: type[Exception]
) -> None:
    failing = program.replace("version) ", f"version) [ $1 = version ] || {{ echo '{says}' >&2; exit {status}; }}; ")
    first = bench.bundle(runner=failing)
    with pytest.raises(expected, match="step push"):
        bench.flash(first)
    assert bench.current is None
    bench.check_whole()
