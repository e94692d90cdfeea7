"""The machine itself as the board: for running on a board, and for tests with real files and a real shell."""

from __future__ import annotations

import os
import select
import selectors
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Literal, Self

from edgedeploy.errors import TransferError
from edgedeploy.transport.exchange import (
    NO_SPACE_NUMBERS,
    Counter,
    Deadline,
    Output,
    changed_error,
    deadline_error,
    write_error,
)
from edgedeploy.transport.protocol import (
    DEFAULT_DEADLINE_S,
    TRANSFER_STALL_S,
    CommandResult,
    Traffic,
    command_line,
)

CHUNK_BYTES = 1 << 16
# epoll refuses waits of a month; any bound will do, for the loop asks the deadline again.
LONGEST_WAIT_S = 60.0


class LocalTransport:
    """Runs commands in a POSIX shell of this machine.

    Args:
        shell: The shell and its options; ``("busybox", "sh")`` tries scripts as a small board would.
        environment: The commands' environment; None takes this process's.
    """

    def __init__(self, *, shell: Sequence[str] = ("sh",), environment: Mapping[str, str] | None = None) -> None:
        self._shell = tuple(shell)
        self._environment = dict(environment) if environment is not None else None
        self._counter = Counter()

    @property
    def description(self) -> str:
        return "this machine"

    @property
    def traffic(self) -> Traffic:
        return self._counter.snapshot()

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        check: bool = True,
        on_stderr_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run a command; see the protocol."""
        return self._run(
            command, [stdin] if stdin else [], Output(on_stderr_line), Deadline(deadline_s), check=check, stalls=False
        )

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        """Feed a command; see the protocol."""
        return self._run(command, chunks, Output(), Deadline(stall_s), check=False, stalls=True)

    def _run(
        self,
        command: Sequence[str] | str,
        chunks: Iterable[bytes],
        output: Output,
        deadline: Deadline,
        *,
        check: bool,
        stalls: bool,
    ) -> CommandResult:
        """Run a command; where it ``stalls``, its deadline starts anew whenever it has read something."""
        text = command_line(command)
        self._counter.round_trips += 1
        process = subprocess.Popen(
            [*self._shell, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        try:
            status = self._converse(process, iter(chunks), output, deadline, stalls=stalls)
        finally:
            _end(process)
        if status is None:
            raise deadline_error(text, self.description, deadline.seconds)
        # A shell reports death by signal n as 128 + n, which is what comes over SSH too.
        return output.result(text, status if status >= 0 else 128 - status, check=check)

    def put(
        self,
        source: Path,
        destination: PurePosixPath,
        *,
        mode: int = 0o644,
        offset: int = 0,
        on_bytes: Callable[[int, int], None] | None = None,
    ) -> None:
        """Copy a file; see the protocol."""
        self._counter.round_trips += 1
        total = _size_of(source)
        done = offset
        if offset and _size_of(Path(destination)) != offset:
            raise changed_error(destination, self.description)
        try:
            with source.open("rb") as reader, _open_private(destination, "ab" if offset else "wb") as writer:
                reader.seek(offset)
                while chunk := reader.read(CHUNK_BYTES):
                    _write_all(writer, chunk)
                    done += len(chunk)
                    self._counter.sent_bytes += len(chunk)
                    if on_bytes:
                        on_bytes(done, total)
                os.fchmod(writer.fileno(), mode)
        except OSError as error:
            detail = error.strerror or str(error)
            no_space = error.errno in NO_SPACE_NUMBERS
            raise write_error(destination, self.description, detail, no_space=no_space) from error

    def get(self, source: PurePosixPath, destination: Path) -> None:
        """Copy a file; see the protocol."""
        self._counter.round_trips += 1
        temporary = destination.with_name(f".{destination.name}.part")
        try:
            shutil.copyfile(Path(source), temporary)
            self._counter.received_bytes += temporary.stat().st_size
            temporary.replace(destination)
        except OSError as error:
            raise TransferError(f"cannot copy {source} to {destination}: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _converse(
        self,
        process: subprocess.Popen[bytes],
        chunks: Iterator[bytes],
        output: Output,
        deadline: Deadline,
        *,
        stalls: bool,
    ) -> int | None:
        """Feed and drain the three pipes at once; return the exit status, None when the deadline passed."""
        assert process.stdin and process.stdout and process.stderr  # all three were asked for as pipes
        pending = memoryview(b"")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, output.add_stdout)
            selector.register(process.stderr, selectors.EVENT_READ, output.add_stderr)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            while selector.get_map():
                for key, _ in selector.select(min(deadline.remaining_s, LONGEST_WAIT_S)):
                    if key.data is None:
                        pending = self._feed(process.stdin, pending, chunks, selector)
                        if stalls:
                            deadline.touch()
                        continue
                    chunk = os.read(key.fd, CHUNK_BYTES)
                    self._counter.received_bytes += len(chunk)
                    key.data(chunk)
                    if not chunk:
                        selector.unregister(key.fileobj)
                if deadline.passed:
                    return None
        try:
            return process.wait(deadline.remaining_s)
        except subprocess.TimeoutExpired:
            return None

    def _feed(
        self, pipe: IO[bytes], pending: memoryview, chunks: Iterator[bytes], selector: selectors.BaseSelector
    ) -> memoryview:
        """Write what the pipe takes now; close it after the last byte or when nobody reads."""
        ended = False
        while not pending and not ended:
            chunk = next(chunks, None)
            pending, ended = memoryview(chunk or b""), chunk is None
        try:
            # PIPE_BUF bytes never block once the selector calls the pipe writable.
            written = os.write(pipe.fileno(), pending[: select.PIPE_BUF]) if pending else 0
        except BrokenPipeError:
            ended, written = True, len(pending)
        else:
            self._counter.sent_bytes += written
        if ended:
            selector.unregister(pipe)
            pipe.close()
        return pending[written:]


def _open_private(destination: PurePosixPath, mode: Literal["ab", "wb"]) -> IO[bytes]:
    """Open a file for writing that nobody else can open before it is whole and gets its mode."""
    return open(destination, mode, buffering=0, opener=lambda path, flags: os.open(path, flags, 0o600))


def _size_of(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise TransferError(f"cannot read {source}: {error.strerror}", hint="was it deleted meanwhile?") from error


def _write_all(writer: IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[writer.write(view) :]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes; kill the whole process group of a command that still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream and not stream.closed:
            stream.close()
