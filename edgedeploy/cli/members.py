"""Which boards a fleet has and where each is, from a fleet file or from several ``--board``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from edgedeploy.boards.load import SUFFIX, load_board
from edgedeploy.boards.model import Board
from edgedeploy.cli.options import TargetOptions
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.target import require_target
from edgedeploy.errors import BoardError, FleetFileError, UsageError
from edgedeploy.fleet.run import Rules
from edgedeploy.fleetfile import MOST_BOARDS, MOST_PARALLEL, BoardEntry, Fleet, WavesSection, check_sizes, wave_size

BOARDS_AT_A_TIME = 8
TWINS_AT_A_TIME = 2

BoardsOption = Annotated[
    list[str] | None,
    typer.Option("--board", "-b", help="Board name, or a path to your own board .toml; several times for a fleet."),
]
FleetOption = Annotated[
    Path | None,
    typer.Option("--fleet", help="A fleet file in place of --board: many boards, their hosts and waves."),
]
WavesOption = Annotated[
    str | None,
    typer.Option("--waves", metavar="SIZES", help="Of a fleet, such as 1,25%,rest; the last is repeated."),
]
MaxFailuresOption = Annotated[
    int | None,
    typer.Option("--max-failures", min=0, max=MOST_BOARDS, help="Boards of a wave that may fail before it stops."),
]
ParallelOption = Annotated[
    int | None,
    typer.Option("--parallel", min=1, max=MOST_PARALLEL, help="Boards at a time."),
]
RollBackOption = Annotated[
    bool, typer.Option("--roll-back-wave", help="Give the boards of a failed wave their former release back.")
]


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """What the command line says about waves; None leaves it to the fleet file."""

    waves: str | None = None
    max_failures: int | None = None
    parallel: int | None = None
    roll_back_wave: bool = False

    @property
    def named(self) -> str:
        """Return the first option that was given, empty where none was."""
        given = {
            "--waves": self.waves is not None,
            "--max-failures": self.max_failures is not None,
            "--parallel": self.parallel is not None,
            "--roll-back-wave": self.roll_back_wave,
        }
        return next((name for name, is_given in given.items() if is_given), "")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One board of a fleet.

    Args:
        name: In the fleet, and of its twin.
        board: The definition.
        options: As ``flash`` would get them for this board alone.
        place: The labgrid place that lends it; None: the options say where it is.
    """

    name: str
    board: Board
    options: TargetOptions
    place: str | None = None

    @property
    def where(self) -> str:
        """Return where it is, for people."""
        if self.place is not None:
            return f"place {self.place}"
        return "twin" if self.options.emulated else str(self.options.host)


def members_of_boards(boards: list[str], options: TargetOptions, opened: OpenProject) -> tuple[Member, ...]:
    """Return a fleet of several ``--board``: the twin of each, or where the project says that it is.

    Raises:
        UsageError: A board twice, or an option that can be of one board only.
    """
    if options.host or options.host_key_fingerprint:
        raise UsageError(
            "--host and --host-key-fingerprint are of one board, but several were named",
            hint="write a fleet file (docs/guide.md), or [targets.BOARD] tables in edgedeploy.toml",
        )
    definitions = [load_board(name, project_dir=opened.directory) for name in boards]
    twice = [name for name, count in Counter(board.name for board in definitions).items() if count > 1]
    if twice:
        raise UsageError(f"--board {twice[0]} was given twice", hint="a fleet file can have many boards of one kind")
    members = []
    for name, board in zip(boards, definitions, strict=True):
        own = replace(options, board=name)
        require_target(own, board, opened.project)
        section = opened.project.targets.get(board.name)
        where = (
            own if own.emulated or section is None else replace(own, host=section.host, key=_key(own, opened, board))
        )
        members.append(Member(name=board.name, board=board, options=where))
    return tuple(members)


def members_of_file(fleet: Fleet, path: Path, options: TargetOptions, opened: OpenProject) -> tuple[Member, ...]:
    """Return the fleet of a file; ``--key``, ``--directory``, ``--clock`` and ``--fresh`` hold where it says nothing.

    Raises:
        FleetFileError: A board that there is no definition of, or a host that cannot be one.
        UsageError: Options that say where one board is.
    """
    if options.host or options.emulated or options.host_key_fingerprint:
        raise UsageError(
            "--host, --emulated and --host-key-fingerprint do not go with --fleet",
            hint="the file says it of each board: host, emulated = true, host_key",
        )
    return tuple(_member(entry, path.absolute().parent, options, opened) for entry in fleet.boards)


def rules_for(
    chosen: FleetOptions, fleet: Fleet | None, members: tuple[Member, ...]
) -> tuple[tuple[int | str, ...], Rules]:
    """Return the sizes of the waves and the rules: the command line's, else the file's, else the usual ones."""
    section = fleet.waves if fleet else WavesSection()
    sizes = parse_waves(chosen.waves) if chosen.waves is not None else section.sizes
    twins = any(member.options.emulated for member in members)
    parallel = chosen.parallel or (fleet.parallel if fleet else None)
    return sizes, Rules(
        parallel=parallel or (TWINS_AT_A_TIME if twins else BOARDS_AT_A_TIME),
        max_failures=section.max_failures if chosen.max_failures is None else chosen.max_failures,
        roll_back=chosen.roll_back_wave or section.roll_back,
    )


def parse_waves(text: str) -> tuple[int | str, ...]:
    """Return the sizes in ``--waves``.

    Example:
        >>> parse_waves("1,25%,rest")
        (1, '25%', 'rest')

    Raises:
        UsageError: They are none.
    """
    try:
        sizes = tuple(wave_size(int(word) if word.isascii() and word.isdecimal() else word) for word in text.split(","))
        check_sizes(sizes)
    except ValueError as error:
        raise UsageError(f"--waves {text}: {error}", hint="for example --waves 1,25%,rest") from None
    return sizes


def _member(entry: BoardEntry, directory: Path, options: TargetOptions, opened: OpenProject) -> Member:
    board = str(directory / Path(entry.board).expanduser()) if entry.board.endswith(SUFFIX) else entry.board
    key = (directory / Path(entry.key_file).expanduser()).absolute() if entry.key_file else options.key
    own = replace(
        options,
        board=board,
        host=entry.host,
        emulated=entry.emulated,
        key=key,
        host_key_fingerprint=entry.host_key,
        directory=entry.directory or options.directory,
        clock=options.clock if entry.emulated else None,
        fresh=options.fresh and entry.emulated,
    )
    try:
        definition = load_board(board, project_dir=opened.directory)
        if entry.place is None:
            require_target(own, definition, opened.project)
    except (BoardError, UsageError) as error:
        raise FleetFileError(f"the board {entry.name} of the fleet: {error.message}", hint=error.hint) from None
    return Member(name=entry.name, board=definition, options=own, place=entry.place)


def _key(options: TargetOptions, opened: OpenProject, board: Board) -> Path | None:
    section = opened.project.targets.get(board.name)
    if options.key is None and section is not None and section.key_file:
        return (opened.directory / Path(section.key_file).expanduser()).absolute()
    return options.key
