"""One SSH connection to a board, on paramiko.

A shell on the board runs one command after the other (``shell.py``). It says its process id on the first line of
stderr and leads a process group, so that a command past its deadline can be killed with all its children; the next
command gets a new shell. Files travel through ``cat``: one round trip each, no SFTP server needed, and faster than SFTP
on small cores.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import paramiko

from edgedeploy.artifacts import SshEndpoint
from edgedeploy.errors import ConnectionLostError, DeadlineError, TransferError, UnreachableHostError
from edgedeploy.transport.authentication import PasswordPrompt, authenticate
from edgedeploy.transport.channel import Feeder, cut_chunks, hang_up, read_chunks
from edgedeploy.transport.compression import SparingSession
from edgedeploy.transport.exchange import Counter, Deadline, Output, changed_error, deadline_error, write_error
from edgedeploy.transport.host_keys import HostKey, HostKeyPrompt, KnownKey, host_name, known_keys, verify
from edgedeploy.transport.protocol import (
    DEFAULT_DEADLINE_S,
    TRANSFER_STALL_S,
    CommandResult,
    Traffic,
    command_line,
)
from edgedeploy.transport.shell import START, Outputs, Shell, is_text

KEEPALIVE_S = 10
# Unanswered for this long, the kernel gives the connection up (with keepalives there is always something to answer).
UNANSWERED_MS = 30_000
CONNECT_DEADLINE_S = 20.0
KILL_DEADLINE_S = 20.0
OPEN_DEADLINE_S = 30.0
CHANGED_STATUS = 76
# What the library offers for servers of the last century, or beside what every server has: it lengthens the greeting.
UNWANTED_CIPHERS = ("cbc", "192")
WEAK_DIGESTS = ("-md5", "-96")
RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")

# The library logs failures that are raised here as typed errors anyway; without a handler they would reach stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SshTransport:
    """The protocol over one SSH connection; made by ``connect``."""

    def __init__(self, session: paramiko.Transport, endpoint: SshEndpoint) -> None:
        self._session = session
        self._endpoint = endpoint
        self._counter = Counter()
        self._idle: Shell | None = None

    @property
    def description(self) -> str:
        return str(self._endpoint)

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
        text = command_line(command)
        output = Output(on_stderr_line)
        deadline = Deadline(deadline_s)
        if stdin and not is_text(stdin):
            status = self._feed(text, [stdin], output.add_stdout, output.add_stderr, deadline)
        else:
            status = self._execute(text, stdin, output.add_stdout, output.add_stderr, deadline)
        return output.result(text, status, check=check)

    def stream(
        self, command: Sequence[str] | str, chunks: Iterable[bytes], *, stall_s: float = TRANSFER_STALL_S
    ) -> CommandResult:
        """Feed a command; see the protocol."""
        text = command_line(command)
        output = Output()
        deadline = Deadline(stall_s)
        pieces = cut_chunks(chunks, deadline)
        status = self._feed(text, pieces, output.add_stdout, output.add_stderr, deadline)
        return output.result(text, status, check=False)

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
        deadline = Deadline(TRANSFER_STALL_S)
        target = shlex.quote(str(destination))
        # LC_ALL: the full disk is recognised by its message.
        write = f"cat > {target}"
        if offset:
            write = f'[ "$(wc -c < {target})" -eq {offset} ] || exit {CHANGED_STATUS}; cat >> {target}'
        script = f"LC_ALL=C; export LC_ALL; umask 077; {write} && chmod {mode:o} {target}"
        output = Output()
        chunks = read_chunks(source, deadline, on_bytes, offset=offset)
        status = self._feed(script, chunks, output.add_stdout, output.add_stderr, deadline)
        if status == CHANGED_STATUS:
            raise changed_error(destination, self.description)
        if status != 0:
            raise write_error(destination, self.description, output.stderr.strip() or f"status {status}")

    def get(self, source: PurePosixPath, destination: Path) -> None:
        """Copy a file; see the protocol."""
        deadline = Deadline(TRANSFER_STALL_S)
        output = Output()
        temporary = destination.with_name(f".{destination.name}.part")
        try:
            with temporary.open("wb") as writer:

                def take(chunk: bytes) -> None:
                    writer.write(chunk)
                    deadline.touch()

                status = self._execute(f"cat < {shlex.quote(str(source))}", None, take, output.add_stderr, deadline)
            if status != 0:
                detail = output.stderr.strip() or f"status {status}"
                raise TransferError(
                    f"cannot read {source} on {self.description}: {detail}", hint="does it exist there?"
                )
            temporary.replace(destination)
        except OSError as error:
            raise TransferError(f"cannot write {destination}: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _execute(
        self,
        script: str,
        stdin: bytes | None,
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        deadline: Deadline,
    ) -> int:
        """Run a script in the idle shell, which waits for the next one afterwards; return its exit status."""
        shell = self._take_shell(deadline)
        outputs = Outputs(shell, on_stdout, on_stderr, self._counter)
        try:
            self._send(shell, shell.command(script, stdin), deadline)
            self._counter.add_sent(len(stdin or b""))
            if not outputs.drain_to_marks(deadline):
                raise self._given_up(script, shell.leader.pid, deadline)
            status = outputs.status
            if status is None:
                return self._ended(script, shell, deadline)
            self._idle = shell
            return status
        finally:
            if self._idle is not shell:
                hang_up(shell.channel)

    def _feed(
        self,
        script: str,
        chunks: Iterable[bytes],
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        deadline: Deadline,
    ) -> int:
        """Run a script that reads what the shell would read, which ends with it; return its exit status."""
        shell = self._take_shell(deadline)
        outputs = Outputs(shell, on_stdout, on_stderr, self._counter)
        feeder = Feeder(shell.channel, chunks, deadline, self._counter.add_sent)
        try:
            self._send(shell, shell.last_command(script), deadline)
            if not outputs.drain_to_ready(deadline):
                raise self._given_up(script, shell.leader.pid, deadline)
            threading.Thread(target=feeder, name="edgedeploy-stdin", daemon=True).start()
            if not outputs.drain(deadline):
                raise self._given_up(script, shell.leader.pid, deadline)
            if feeder.failure:
                raise feeder.failure
            return self._ended(script, shell, deadline)
        finally:
            hang_up(shell.channel)

    def _take_shell(self, deadline: Deadline) -> Shell:
        shell, self._idle = self._idle, None
        if shell is not None and shell.is_alive and self._session.is_active():
            return shell
        channel = self._open(deadline)
        self._start(channel, START)
        return Shell(channel)

    def _send(self, shell: Shell, text: bytes, deadline: Deadline) -> None:
        """Hand the shell what it is to run; one that ended meanwhile shows when its outputs are read."""
        self._counter.round_trips += 1
        shell.channel.settimeout(max(deadline.remaining_s, 0.001))
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            shell.channel.sendall(text)

    def _ended(self, script: str, shell: Shell, deadline: Deadline) -> int:
        """Return the exit status of a shell that has ended."""
        if not shell.channel.status_event.wait(deadline.remaining_s):
            raise self._given_up(script, shell.leader.pid, deadline)
        status = shell.channel.recv_exit_status()
        if status < 0:
            raise self._lost(script)
        return status

    def _open(self, deadline: Deadline) -> paramiko.Channel:
        if not self._session.is_active():
            raise self._lost("")
        try:
            return self._session.open_session(timeout=min(OPEN_DEADLINE_S, max(deadline.remaining_s, 1.0)))
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self._session.is_active():
                raise self._lost("") from None
            if not isinstance(error, paramiko.ChannelException):
                # No answer at all. A late one would belong to nobody, so this connection is of no more use.
                self.close()
            raise ConnectionLostError(
                f"{self.description} opened no channel: {error}", hint="the board may be overloaded; try again"
            ) from None

    def _start(self, channel: paramiko.Channel, command: str) -> None:
        try:
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError, OSError):
            raise self._lost(command) from None

    def _given_up(self, script: str, pid: int | None, deadline: Deadline) -> DeadlineError | ConnectionLostError:
        """Kill a command past its deadline; a board that answers not even that has lost its connection."""
        if not self._session.is_active():
            return self._lost(script)
        if self._kill(pid):
            return deadline_error(script, self.description, deadline.seconds)
        self.close()
        return ConnectionLostError(
            f"{self.description} does not answer any more; nothing moved for {deadline.seconds:g} s",
            hint="check the board's power and network, then run the command again",
        )

    def _kill(self, pid: int | None) -> bool:
        """Kill a command's process group, if it ever said its number; return whether the board answered."""
        # Without "--", which the kill of dash and busybox does not know.
        script = f"kill -TERM -{pid} 2>/dev/null; sleep 1; kill -KILL -{pid} 2>/dev/null" if pid else ":"
        deadline = Deadline(KILL_DEADLINE_S)
        try:
            channel = self._open(deadline)
            # The login shell may be any; all it gets to parse is quoted.
            self._start(channel, f"exec sh -c {shlex.quote(script)}")
        except ConnectionLostError:
            return False
        answered = channel.status_event.wait(deadline.remaining_s)
        hang_up(channel)
        return answered

    def _lost(self, script: str) -> ConnectionLostError:
        reason = self._session.get_exception()
        because = f" ({reason})" if reason and str(reason) else ""
        during = f" while it ran: {script.strip().splitlines()[0][:120]}" if script.strip() else ""
        return ConnectionLostError(
            f"the connection to {self.description} was lost{because}{during}",
            hint="check the board's power and network, then run the command again",
        )


def connect(
    endpoint: SshEndpoint,
    *,
    ask: HostKeyPrompt | None = None,
    password_prompt: PasswordPrompt | None = None,
    password: str | None = None,
    deadline_s: float = CONNECT_DEADLINE_S,
) -> SshTransport:
    """Connect, verify the host key, log in.

    Args:
        endpoint: Where and as whom.
        ask: Who accepts an unknown host key; None where nobody can be asked.
        password_prompt: Who knows passwords and passphrases; None where nobody can be asked.
        password: One that is known already, such as a lab's; tried before anybody is asked.
        deadline_s: For everything but the time people take to answer.

    Returns:
        The connection; close it, or use it as a context manager.

    Raises:
        UnreachableHostError: No such name, no route, refused, no answer, or no SSH server.
        UnknownHostKeyError, ChangedHostKeyError: The host key is not accepted.
        AuthenticationError: The login was refused.
        ConnectionLostError, DeadlineError: The board hung up or fell silent during the login.
    """
    deadline = Deadline(deadline_s)
    path = endpoint.known_hosts or Path.home() / ".ssh" / "known_hosts"
    name = host_name(endpoint.host, endpoint.port)
    known = known_keys(path, name)
    session = _negotiate(_dial(endpoint, deadline), endpoint, known, deadline)
    try:
        key = session.get_remote_server_key()
        shown = HostKey(name=name, key_type=key.get_name(), blob=key.asbytes())
        verify(shown, known, path=path, expected_fingerprint=endpoint.host_key_fingerprint, ask=ask)
        session.auth_timeout = deadline_s
        authenticate(session, endpoint, password_prompt, password=password)
    except BaseException:
        session.close()
        raise
    session.set_keepalive(KEEPALIVE_S)
    return SshTransport(session, endpoint)


def _dial(endpoint: SshEndpoint, deadline: Deadline) -> socket.socket:
    """Open the TCP connection, or say why it cannot be."""
    where = f"{endpoint.host} port {endpoint.port}"
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=max(deadline.remaining_s, 0.001))
    except (socket.gaierror, UnicodeError) as error:
        # UnicodeError: no host name at all, such as one with an empty part between two dots.
        raise UnreachableHostError(
            f"the name {endpoint.host} cannot be resolved: {getattr(error, 'strerror', error)}",
            hint="check the spelling, or use the board's IP address",
        ) from error
    except ConnectionRefusedError as error:
        raise UnreachableHostError(
            f"{where} refuses connections", hint="is the SSH server running there, and is this its port?"
        ) from error
    except TimeoutError as error:
        raise UnreachableHostError(
            f"{where} did not answer within {deadline.seconds:g} s",
            hint="is the board switched on and on this network? a firewall may swallow the packets too",
        ) from error
    except OSError as error:
        raise UnreachableHostError(
            f"{where} cannot be reached: {error.strerror or error}",
            hint="check the network between this machine and the board (ip route get ADDRESS)",
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _negotiate(
    sock: socket.socket, endpoint: SshEndpoint, known: tuple[KnownKey, ...], deadline: Deadline
) -> paramiko.Transport:
    """Agree on algorithms, preferring the types of host key already known: another type would look like a change."""
    session = SparingSession(sock)
    session.banner_timeout = deadline.remaining_s
    session.use_compression()
    options = session.get_security_options()
    options.ciphers = tuple(name for name in options.ciphers if not any(part in name for part in UNWANTED_CIPHERS))
    options.digests = tuple(name for name in options.digests if not name.endswith(WEAK_DIGESTS))
    options.kex = tuple(name for name in options.kex if "group-exchange" not in name)
    wanted = {kind for item in known if not item.revoked for kind in _signatures(item.key_type)}
    options.key_types = sorted(options.key_types, key=lambda kind: kind not in wanted)
    finished = threading.Event()
    session.start_client(event=finished)
    finished.wait(deadline.remaining_s)
    if finished.is_set() and session.is_active():
        return session
    reason = session.get_exception()
    session.close()
    detail = f": {reason}" if reason and str(reason) else ""
    raise UnreachableHostError(
        f"{endpoint.host} port {endpoint.port} accepted the connection but did not come to terms as an SSH server "
        f"within {deadline.seconds:g} s{detail}",
        hint="is this the port of an SSH server, and has the board finished booting?",
    )


def _signatures(key_type: str) -> tuple[str, ...]:
    return RSA_SIGNATURES if key_type == "ssh-rsa" else (key_type,)
