"""Which board a command works on, where it answers, and the open connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edgedeploy.artifacts import BoardFacts, Clock, Provenance, SshEndpoint, TwinEndpoint
from edgedeploy.boards.load import load_board
from edgedeploy.boards.model import Board
from edgedeploy.cli.options import TargetOptions
from edgedeploy.cli.people import People, at_terminal
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.twins import counting_twin, running_twin, twin_at
from edgedeploy.errors import NoTargetError, UsageError
from edgedeploy.lab.resources import NetworkService
from edgedeploy.progress import Progress
from edgedeploy.project import Project
from edgedeploy.transport import ssh
from edgedeploy.transport.protocol import Transport

QEMU_MODEL = "linux,dummy-virt"
"""What the device tree of QEMU's virtual machine, and of no board, says that it is."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A board that answers. ``twin`` is set for an emulated one that this machine knows of."""

    board: Board
    transport: Transport
    provenance: Provenance
    directory: str
    twin: TwinEndpoint | None

    @property
    def clock(self) -> Clock | None:
        if self.twin is not None:
            return self.twin.clock
        return None if self.provenance is Provenance.HARDWARE else Clock.REAL

    def as_probed(self, facts: BoardFacts) -> Connection:
        """Return the connection with what the board says it is: a twin of another machine is no hardware.

        Nobody says on which clock that one runs: the real one is taken, which is the usual.
        """
        if self.provenance is Provenance.HARDWARE and facts.model == QEMU_MODEL:
            return replace(self, provenance=Provenance.QEMU_SYSTEM)
        return self


@contextmanager
def connection(
    options: TargetOptions,
    opened: OpenProject,
    *,
    progress: Progress,
    twin_name: str | None = None,
    people: People | None = None,
) -> Iterator[Connection]:
    """Open the connection that the options ask for; a twin that this started is stopped at the end.

    Args:
        twin_name: Of the twin; the board's otherwise.
        people: Who is asked; None: whoever sits at the terminal.

    Raises:
        NoTargetError, UsageError: As ``require_target``.
    """
    board = load_board(options.board, project_dir=opened.directory)
    require_target(options, board, opened.project)
    people = people or at_terminal()
    if options.emulated:
        with (
            running_twin(board, name=twin_name, clock=options.clock, fresh=options.fresh, progress=progress) as twin,
            _on_twin(options, board, twin, people) as target,
        ):
            yield target
    else:
        with _on_board(options, board, _endpoint(options, board, opened), people) as target:
            yield target


@contextmanager
def lent_connection(
    options: TargetOptions, board: Board, service: NetworkService, *, people: People | None = None
) -> Iterator[Connection]:
    """Open the connection to a board that a lab lends; a twin of this machine is known as one by its port."""
    people = people or at_terminal()
    twin = twin_at(service.address, service.port)
    if twin is not None:
        with _on_twin(options, board, twin, people) as target:
            yield target
        return
    endpoint = SshEndpoint(
        host=service.address,
        port=service.port,
        user=service.user,
        key_file=options.key,
        host_key_fingerprint=options.host_key_fingerprint,
    )
    with _on_board(options, board, endpoint, people, password=service.password) as target:
        yield target


@contextmanager
def counting_connection(options: TargetOptions, opened: OpenProject, *, progress: Progress) -> Iterator[Connection]:
    """As ``connection``, but a twin counts instructions: beside one that is kept running on the other clock.

    Raises:
        NoTargetError, UsageError: As ``require_target``.
    """
    board = load_board(options.board, project_dir=opened.directory)
    require_target(options, board, opened.project)
    if options.emulated:
        with counting_twin(board, progress=progress) as twin, _on_twin(options, board, twin, at_terminal()) as target:
            yield target
    else:
        with _on_board(options, board, _endpoint(options, board, opened), at_terminal()) as target:
            yield target


@contextmanager
def _on_twin(options: TargetOptions, board: Board, twin: TwinEndpoint, people: People) -> Iterator[Connection]:
    with _connect(twin.ssh, people) as transport:
        yield Connection(
            board=board,
            transport=transport,
            provenance=Provenance.QEMU_SYSTEM,
            directory=options.directory or board.default_directory,
            twin=twin,
        )


@contextmanager
def _on_board(
    options: TargetOptions, board: Board, endpoint: SshEndpoint, people: People, *, password: str | None = None
) -> Iterator[Connection]:
    with _connect(endpoint, people, password=password) as transport:
        yield Connection(
            board=board,
            transport=transport,
            provenance=Provenance.HARDWARE,
            directory=options.directory or board.default_directory,
            twin=None,
        )


def require_target(options: TargetOptions, board: Board, project: Project) -> None:
    """Check that it is said where the board is, before anything takes time.

    Raises:
        NoTargetError: Neither host nor ``--emulated``, and the project names no host for the board.
        UsageError: Both, or a host that cannot be one.
    """
    if options.emulated and options.host:
        raise UsageError("--host and --emulated exclude each other", hint="leave one of them out")
    if not options.emulated and (options.clock or options.fresh):
        raise UsageError("--clock and --fresh are for twins", hint="add --emulated, or leave them out")
    where = _configured_host(options, board, project)
    if options.emulated:
        return
    if where is None:
        raise NoTargetError(
            f"nothing says where the board {board.name} is",
            hint=f"give --host USER@ADDRESS, or [targets.{board.name}] in edgedeploy.toml, or --emulated for its twin",
        )
    parse_host(where, default_user=board.default_user)


def parse_host(text: str, *, default_user: str) -> tuple[str, str, int]:
    """Return user, host and port of ``[USER@]ADDRESS[:PORT]``; an IPv6 address with a port stands in brackets.

    Example:
        >>> parse_host("pi@[fe80::1]:2222", default_user="root")
        ('pi', 'fe80::1', 2222)

    Raises:
        UsageError: It is none.
    """
    user, at, address = text.rpartition("@")
    if ":" in user:
        # Whoever sees the process list has read it by now; at least it is not repeated.
        raise UsageError(
            "what stands before the @ of a host is a user's name, which has no colon",
            hint="a password is asked for in the terminal and taken from nowhere else; use a key for scripts",
        )
    port = "22"
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    else:
        host = address
    if not host or (at and not user) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is not USER@ADDRESS[:PORT]", hint="for example --host rock@192.0.2.7:22")
    return user or default_user, host, int(port)


def _configured_host(options: TargetOptions, board: Board, project: Project) -> str | None:
    section = project.targets.get(board.name)
    return options.host or (section.host if section else None)


def _endpoint(options: TargetOptions, board: Board, opened: OpenProject) -> SshEndpoint:
    where = _configured_host(options, board, opened.project) or ""
    user, host, port = parse_host(where, default_user=board.default_user)
    section = opened.project.targets.get(board.name)
    key = options.key
    if key is None and section and section.key_file:
        key = (opened.directory / Path(section.key_file).expanduser()).absolute()
    return SshEndpoint(host=host, port=port, user=user, key_file=key, host_key_fingerprint=options.host_key_fingerprint)


def _connect(endpoint: SshEndpoint, people: People, *, password: str | None = None) -> ssh.SshTransport:
    return ssh.connect(endpoint, ask=people.accept_host_key, password_prompt=people.tell_secret, password=password)
