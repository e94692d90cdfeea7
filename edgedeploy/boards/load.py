"""Finds and reads board files: the project's own, the user's own, then those shipped with edgedeploy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from edgedeploy.boards.model import Board
from edgedeploy.errors import BoardFileError, UnknownBoardError, close_matches
from edgedeploy.paths import config_dir, resource_dir
from edgedeploy.reading import describe_faults, key_of, read_toml, shown

BOARDS_DIRECTORY = "boards"
SUFFIX = ".toml"


class Origin(str, Enum):
    """Whose a board file is. Earlier ones hide later ones of the same name."""

    PROJECT = "project"
    USER = "user"
    SHIPPED = "shipped"


@dataclass(frozen=True, kw_only=True)
class BoardEntry:
    """One line of ``boards list``. ``board`` is None, and ``fault`` says why, where the file cannot be used."""

    name: str
    path: Path
    origin: Origin
    board: Board | None
    fault: BoardFileError | None


def load_board(name_or_path: str | Path, *, project_dir: Path | None) -> Board:
    """Return a board by name, or from the file where a path ending in ``.toml`` is given.

    Args:
        name_or_path: ``rk3399``, or ``./my-boards/camera.toml``.
        project_dir: The project's directory, whose ``boards/`` has precedence; None outside of a project.

    Raises:
        UnknownBoardError: No file of that name; the hint has the close matches.
        BoardFileError: The file breaks the schema.
    """
    text = str(name_or_path)
    if text.endswith(SUFFIX):
        return read_board_file(Path(text).expanduser())
    for found in _board_files(project_dir):
        if found.path.stem == text:
            return read_board_file(found.path)
    known = {found.path.stem for found in _board_files(project_dir)}
    looked = ", ".join(str(directory) for directory, _ in _directories(project_dir))
    raise UnknownBoardError(f"there is no board called {text!r}; looked in {looked}", hint=close_matches(text, known))


def list_boards(*, project_dir: Path | None) -> tuple[BoardEntry, ...]:
    """Return every board that ``load_board`` finds by name, sorted; a broken file is listed with its fault."""
    entries: dict[str, BoardEntry] = {}
    for found in _board_files(project_dir):
        if found.path.stem not in entries:
            entries[found.path.stem] = _entry(found)
    return tuple(entries[name] for name in sorted(entries))


def read_board_file(path: Path) -> Board:
    """Read and validate one board file.

    Raises:
        BoardFileError: Missing, not TOML, or against the schema; the first fifty faults are listed with key, value and
            what is allowed.
    """
    try:
        document = read_toml(path)
    except OSError as error:
        raise BoardFileError(f"{path} cannot be read: {error.strerror}", hint="edgedeploy boards list") from None
    except ValueError as error:
        raise BoardFileError(f"{path} is not valid TOML: {error}", hint=_schema_hint()) from None
    try:
        board = Board.model_validate(document)
    except ValidationError as error:
        faults = describe_faults(error, _describe)
        raise BoardFileError(f"{path} is not a valid board:\n{faults}", hint=_schema_hint()) from None
    if board.name != path.stem:
        raise BoardFileError(
            f"{path}: name is {board.name!r}, but the file is called {path.name}; the two must be the same",
            hint=f"rename the file to {board.name}{SUFFIX}, or write name = {path.stem!r}",
        )
    return board


@dataclass(frozen=True, kw_only=True)
class _Found:
    path: Path
    origin: Origin


def _directories(project_dir: Path | None) -> Iterator[tuple[Path, Origin]]:
    if project_dir is not None:
        yield project_dir / BOARDS_DIRECTORY, Origin.PROJECT
    yield config_dir() / BOARDS_DIRECTORY, Origin.USER
    yield resource_dir() / BOARDS_DIRECTORY, Origin.SHIPPED


def _board_files(project_dir: Path | None) -> Iterator[_Found]:
    for directory, origin in _directories(project_dir):
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            if path.is_file():
                yield _Found(path=path, origin=origin)


def _entry(found: _Found) -> BoardEntry:
    board, fault = None, None
    try:
        board = read_board_file(found.path)
    except BoardFileError as error:
        fault = error
    return BoardEntry(name=found.path.stem, path=found.path, origin=found.origin, board=board, fault=fault)


def _schema_hint() -> str:
    schema = resource_dir() / BOARDS_DIRECTORY / "schema.json"
    return f"{schema} lists every key, and the other files there are examples"


def _describe(fault: Any) -> str:
    """Return one line of the fault list: key, what is allowed, the value."""
    location: Sequence[str | int] = fault["loc"]
    key = key_of(location) or "the file"
    if fault["type"] == "extra_forbidden":
        allowed = _allowed_keys(location[:-1])
        near = close_matches(str(location[-1])[:100], allowed)
        suffix = f" ({near})" if near.startswith("did") else ""
        return f"  {key}: there is no such key{suffix}; allowed: {', '.join(allowed)}"
    if fault["type"] == "missing":
        return f"  {key}: is missing"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    value = fault.get("input")
    found = "" if isinstance(value, dict) else f" (is {shown(value)})"
    return f"  {key}: {message}{found}"


def _allowed_keys(location: Sequence[str | int]) -> list[str]:
    """Return the keys of the table at ``location`` by walking the models."""
    model: type[BaseModel] = Board
    for part in location:
        field = _field(model, str(part))
        inner = field and _model_in(field)
        model = inner or model
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _field(model: type[BaseModel], key: str) -> Any:
    info = model.model_fields.get(key)
    return info.annotation if info else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
