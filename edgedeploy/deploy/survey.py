"""The first step of a flash: take the lock and learn in one round trip all that the later steps need."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from edgedeploy.artifacts import BundleFile
from edgedeploy.deploy import scripts
from edgedeploy.deploy.history import parse_history
from edgedeploy.deploy.layout import RUNNER, is_digest
from edgedeploy.deploy.lock import BREAK_ANY, Owner, busy_error, is_dead, parse_age, parse_owner
from edgedeploy.deploy.remote import parse_count, read_report, report_lines, run_script, script_deadline_s
from edgedeploy.deploy.status import Activation, describe_change
from edgedeploy.deploy.stream import can_install
from edgedeploy.errors import RemoteCommandError
from edgedeploy.healthfile import Health, parse_health
from edgedeploy.transport.protocol import CommandResult, Transport

KIB = 1024
NO_DIGEST = "-"
NO_LIST = "-"
_UNREADABLE_LIST = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the board has.

    Args:
        root: The app's directory, ``~`` resolved.
        trusted_list: SHA-256 of the board's list of trusted keys, ``unreadable``, or ``-`` where there is none.
        have: SHA-256 of the release's files that the store holds, each hashed just now.
        complete: It holds all of them; the report then names none.
        intact: The release is there already, every file linked to a store file of the right hash and mode.
        partial: By SHA-256, what a flash that was cut off left of files that the store lacks.
        has_gzip: Asked where files are missing, as is ``receiver``.
        receiver: The command that unpacks a stream of files there, if there is one.
        installs: It makes the release of them too.
        recovered: What was found cut off and put in order, None where nothing was.
        health: By release, what the health gate found out about it, as far as it can be read.
    """

    root: PurePosixPath
    trusted_list: str = NO_LIST
    current: str | None
    releases: tuple[str, ...]
    have: frozenset[str]
    complete: bool = False
    intact: bool
    free_disk_bytes: int
    free_memory_bytes: int
    history: tuple[Activation, ...]
    partial: Mapping[str, Partial] = field(default_factory=dict)
    has_gzip: bool = False
    receiver: str | None = None
    installs: bool = False
    recovered: Recovered | None = None
    health: Mapping[str, Health] = field(default_factory=dict)

    @property
    def has_trusted_keys(self) -> bool:
        """The board checks signatures, as far as it can read its list."""
        return self.trusted_list != NO_LIST


@dataclass(frozen=True, kw_only=True)
class Partial:
    """The start of a file, as the board has it now: its size and SHA-256."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """``outcome``: ``finished``, ``undone``, ``resumed`` (by this very command) or ``unreadable``.

    ``to`` is a release, or ``-`` for none.
    """

    outcome: str
    action: str
    to: str

    def describe(self) -> str:
        """Return a sentence for people."""
        if self.outcome == "unreadable":
            return "something was cut off on the board before; its journal is not readable"
        doing = {"resumed": "is taken up again"}.get(self.outcome, f"was {self.outcome}")
        return f"{describe_change(self.action, None if self.to == NO_DIGEST else self.to)} had been cut off; it {doing}"


@dataclass(frozen=True, kw_only=True)
class Busy:
    """The lock is held: by the owner given, or by one who left no readable note; ``age_s`` seconds, where known."""

    owner: Owner | None
    age_s: int | None


def take_survey(
    transport: Transport,
    app: str,
    *,
    directory: str,
    owner: Owner,
    break_lock: bool,
    digest: str = NO_DIGEST,
    files: tuple[BundleFile, ...] = (),
) -> Survey:
    """Lock the app's directory, put in order what was cut off there, and look around.

    A lock is replaced when its owner is a dead process of this machine, or when the board was started after it.

    Raises:
        BoardBusyError: Somebody else holds the lock.
        DiskFullError: There is not even room for the lock.
    """
    arguments = (directory, app, owner.token, owner.to_json())
    listing = "".join(f"{file.sha256} {'x' if file.mode & 0o111 else '-'} {file.path}\n" for file in files)
    deadline_s = script_deadline_s(sum(file.size_bytes for file in files))

    def ask(breaking: str) -> Survey | Busy:
        tail = (breaking, digest, str(len(files)), json.dumps(socket.gethostname()))
        result = run_script(
            transport, "survey", scripts.SURVEY, *arguments, *tail, stdin=listing, deadline_s=deadline_s
        )
        return parse_survey(result)

    def ask_program() -> Survey | None:
        """Ask the active release's program, which can do it where nothing needs mending; None where it did not."""
        tail = (digest, str(len(files)), json.dumps(socket.gethostname()))
        result = run_script(
            transport,
            "survey",
            scripts.FAST_SURVEY,
            *arguments,
            *tail,
            stdin=listing,
            deadline_s=deadline_s,
            check=False,
        )
        try:
            answer = parse_survey(read_report(result)) if result.exit_status == 0 else None
        except RemoteCommandError:
            return None
        return answer if isinstance(answer, Survey) else None

    answer: Survey | Busy | None = ask_program() if any(is_installer(file) for file in files) else None
    if answer is None:
        # A program that took the lock and failed then left one of this very visit.
        answer = ask(BREAK_ANY if break_lock else owner.token)
    if isinstance(answer, Busy) and answer.owner is not None and is_dead(answer.owner):
        answer = ask(answer.owner.token)
    if isinstance(answer, Busy):
        raise busy_error(answer.owner, answer.age_s, transport.description)
    if answer.complete:
        return replace(answer, have=frozenset(file.sha256 for file in files))
    return answer


def is_installer(file: BundleFile) -> bool:
    """Return whether a file is an on-board program that can survey: the board's active one probably can, too."""
    return file.path == PurePosixPath(RUNNER) and can_install(file.source)


def parse_survey(result: CommandResult) -> Survey | Busy:
    """Read the script's report.

    Raises:
        RemoteCommandError: The report is cut short or damaged.
    """
    lines = report_lines(result)
    values = dict(lines)
    if "busy" in values:
        age, _, note = values["busy"].partition(" ")
        return Busy(owner=parse_owner(note), age_s=parse_age(age))
    try:
        if "end" not in values:
            raise ValueError("no end")
        return Survey(
            root=PurePosixPath(values["root"]),
            trusted_list=_trusted_list(values["trust"]),
            current=current_release(values["current"]),
            releases=tuple(value for key, value in lines if key == "release" and is_digest(value)),
            have=frozenset(value for key, value in lines if key == "have"),
            complete="complete" in values,
            intact=values["intact"] == "yes",
            free_disk_bytes=_free_disk_bytes(values["disk-free-kib"]),
            free_memory_bytes=_free_memory_bytes(value for key, value in lines if key == "memory"),
            history=parse_history(value for key, value in lines if key == "history"),
            partial=dict(_partial(value) for key, value in lines if key == "partial"),
            has_gzip="gzip" in values,
            receiver=values.get("receiver"),
            installs="installs" in values,
            recovered=_recovered(values["recovered"]) if "recovered" in values else None,
            health=read_health(value for key, value in lines if key == "health"),
        )
    except (KeyError, ValueError) as error:
        raise RemoteCommandError(
            command="edgedeploy's script 'survey'",
            exit_status=result.exit_status,
            stderr=result.stderr or f"unreadable report ({error}): {result.stdout[-300:]}",
            hint="does the board's login shell print text of its own? it must be silent for commands",
        ) from error


def current_release(link: str) -> str | None:
    """Return the digest that ``current`` points to; None where it is missing or points elsewhere."""
    digest = link.removeprefix("releases/")
    return digest if link.startswith("releases/") and is_digest(digest) else None


def read_health(lines: Iterable[str]) -> dict[str, Health]:
    """Return what the board keeps of its releases' health; what cannot be read is left out.

    Args:
        lines: ``DIGEST DOCUMENT`` each.
    """
    found = {}
    for line in lines:
        digest, _, document = line.partition(" ")
        health = parse_health(document)
        if health is not None and health.release == digest:
            found[digest] = health
    return found


def _trusted_list(value: str) -> str:
    if value not in (NO_LIST, _UNREADABLE_LIST) and not is_digest(value):
        raise ValueError("no list of trusted keys is named so")
    return value


def _partial(value: str) -> tuple[str, Partial]:
    name, size, sha256 = value.split()
    return name, Partial(size_bytes=parse_count(size), sha256=sha256)


def _recovered(value: str) -> Recovered:
    outcome, action, to = value.split(" ")
    return Recovered(outcome=outcome, action=action, to=to)


def _free_disk_bytes(kib: str) -> int:
    """Return what is free; some file systems have less than nothing where their reserve is in use."""
    size = parse_count(kib.removeprefix("-")) * KIB
    return 0 if kib.startswith("-") else size


def _free_memory_bytes(lines: Iterable[str]) -> int:
    """Return what the kernel calls available; kernels before 3.14 only say what is free and what is cache."""
    values = {name.rstrip(":"): parse_count(kib) * KIB for name, kib in (line.split() for line in lines)}
    if "MemAvailable" in values:
        return values["MemAvailable"]
    return values["MemFree"] + values.get("Cached", 0)
