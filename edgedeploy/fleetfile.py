"""A fleet file: which boards, where each one answers, and in which waves they get a release.

The schema is this file's models; ``docs/guide.md`` lists the keys.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edgedeploy.errors import FleetFileError, close_matches
from edgedeploy.reading import can_be_detailed, describe_faults, key_of, read_toml, shown

REST = "rest"
MOST_BOARDS = 1000
MOST_PARALLEL = 64
_SHARE = re.compile(r"(?:100|[1-9][0-9]?)%")
_SIZE_FAULT = f'a wave is a number of boards from 1 to {MOST_BOARDS}, a share from "1%" to "100%", or "{REST}"'


def wave_size(value: object) -> int | str:
    """Return a wave's size as it stands in ``waves.sizes``.

    Example:
        >>> wave_size("25%")
        '25%'

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_BOARDS:
        return value
    if isinstance(value, str) and (value == REST or _SHARE.fullmatch(value)):
        return value
    raise ValueError(_SIZE_FAULT)


def check_sizes(sizes: tuple[int | str, ...]) -> None:
    """Check a list of waves.

    Raises:
        ValueError: It is empty, or something follows ``"rest"``.
    """
    if not sizes:
        raise ValueError("at least one wave is needed")
    if REST in sizes[:-1]:
        raise ValueError(f'nothing can follow "{REST}"')


class Section(BaseModel):
    """A table of the file: unknown keys are errors, numbers are never read out of strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WavesSection(Section):
    """Sizes in their order; the last one is repeated until no board is left.

    Args:
        max_failures: Boards of a wave that may fail before no more are begun.
        roll_back: Give the boards of a failed wave their former release back.
    """

    sizes: tuple[Annotated[int | str, BeforeValidator(wave_size)], ...] = (1, REST)
    max_failures: Annotated[int, Field(ge=0, le=MOST_BOARDS, strict=True)] = 0
    roll_back: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _sizes_fit(self) -> WavesSection:
        check_sizes(self.sizes)
        return self


class LabgridSection(Section):
    """The coordinator's ``ADDRESS[:PORT]``."""

    coordinator: Annotated[str, Field(min_length=1, max_length=300)]


class BoardEntry(Section):
    """One board. Exactly one of ``host``, ``place`` and ``emulated`` says where it is.

    Args:
        board: The definition's name, or a path to a board file, relative to the fleet file.
        host: ``USER@ADDRESS[:PORT]``.
        place: A labgrid place that lends it.
        emulated: A twin of its own, which has the entry's name.
        key_file: A private key, relative to the fleet file.
        host_key: ``SHA256:...``, accepted at first contact.
        directory: On the board; the definition's otherwise.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    board: Annotated[str, Field(min_length=1, max_length=300)]
    host: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    place: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    emulated: Annotated[bool, Field(strict=True)] = False
    key_file: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    host_key: Annotated[str, Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}=?$")] | None = None
    directory: Annotated[str, Field(pattern=r"^(~/|/)[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)*$")] | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> BoardEntry:
        ways = [self.host is not None, self.place is not None, self.emulated]
        if sum(ways) != 1:
            raise ValueError("say where the board is: one of host, place and emulated = true")
        if self.emulated and (self.key_file or self.host_key):
            raise ValueError("a twin has keys of its own: leave key_file and host_key out")
        return self


class Fleet(Section):
    """The whole file. ``parallel`` None leaves the number of boards at a time to the command."""

    parallel: Annotated[int, Field(ge=1, le=MOST_PARALLEL, strict=True)] | None = None
    waves: WavesSection = WavesSection()
    labgrid: LabgridSection | None = None
    boards: Annotated[tuple[BoardEntry, ...], Field(min_length=1, max_length=MOST_BOARDS)]

    @model_validator(mode="after")
    def _boards_differ(self) -> Fleet:
        _refuse_twice((item.name for item in self.boards), "the name {}")
        _refuse_twice((item.place for item in self.boards if item.place), "the place {}")
        _refuse_twice((f"{item.host} {item.directory or ''}".strip() for item in self.boards if item.host), "{}")
        return self


def load_fleet(path: Path) -> Fleet:
    """Read and validate a fleet file.

    Raises:
        FleetFileError: Not there, not TOML, an unknown key, or a value that is not allowed; the first fifty faults are
            listed.
    """
    try:
        document = read_toml(path)
    except OSError as error:
        raise FleetFileError(f"{path} cannot be read: {error.strerror}", hint=_GUIDE) from None
    except ValueError as error:
        raise FleetFileError(f"{path} is not valid TOML: {error}", hint=_GUIDE) from None
    try:
        return Fleet.model_validate(document)
    except ValidationError as error:
        faults = describe_faults(error, _describe)
        raise FleetFileError(f"{path} is not valid:\n{faults}", hint=_key_hint(error)) from None


_GUIDE = "docs/guide.md has an example and lists every key of a fleet file"


def _refuse_twice(values: Any, what: str) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"{what.format(shown(twice[0]))} stands for two boards")


def _describe(fault: Any) -> str:
    key = key_of(fault["loc"]) or "the file"
    value = fault.get("input")
    found = "" if isinstance(value, dict) else f" (is {shown(value)})"
    return f"  {key}: {fault['msg'].removeprefix('Value error, ')}{found}"


def _key_hint(error: ValidationError) -> str:
    for fault in error.errors() if can_be_detailed(error.error_count()) else ():
        if fault["type"] == "extra_forbidden":
            fields = {name for section in Section.__subclasses__() for name in section.model_fields}
            return close_matches(str(fault["loc"][-1])[:100], fields)
    return _GUIDE
