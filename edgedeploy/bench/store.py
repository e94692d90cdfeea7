"""The project's benchmark runs: ``PROJECT/.edgedeploy/runs/ID/run.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import RunFileError, close_matches
from edgedeploy.files import write_whole
from edgedeploy.runfile import RunRecord, dump_record, read_run

RUNS_DIRECTORY = Path(".edgedeploy") / "runs"
RUN_FILE = "run.json"
LATEST = "latest"


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run on disk, read."""

    path: Path
    record: RunRecord


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """A run in the list. A file that cannot be read has ``record`` None and says why in ``fault``."""

    id: str
    path: Path
    record: RunRecord | None
    fault: str = ""


def runs_dir(project: Path) -> Path:
    return project / RUNS_DIRECTORY


def save_run(project: Path, record: RunRecord) -> Path:
    """Write a record, whole or not at all.

    Returns:
        The file: ``PROJECT/.edgedeploy/runs/20260102T030405Z-81c8a12f/run.json``.

    Raises:
        RunFileError: It cannot be written.
    """
    path = runs_dir(project) / record.id / RUN_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, dump_record(record))
    except OSError as error:
        raise RunFileError(
            f"{path} cannot be written: {error.strerror}", hint="free some space or make the project directory writable"
        ) from None
    return path


def list_runs(project: Path) -> tuple[ListedRun, ...]:
    """Return the project's runs, newest first; damaged ones are listed with their fault."""
    paths = runs_dir(project).glob(f"*/{RUN_FILE}")
    return tuple(_listed(path) for path in sorted(paths, key=lambda path: path.parent.name, reverse=True))


def latest_run(project: Path) -> StoredRun:
    """Return the newest run.

    Raises:
        RunFileError: There is none, or the newest is damaged.
    """
    newest = max(runs_dir(project).glob(f"*/{RUN_FILE}"), key=lambda path: path.parent.name, default=None)
    if newest is None:
        raise RunFileError(f"{project} has no benchmark runs", hint="edgedeploy bench measures one")
    return StoredRun(path=newest, record=read_run(newest))


def find_run(project: Path, reference: str) -> StoredRun:
    """Return the run that ``reference`` names: ``latest``, a path to a run.json or its directory, an id, or its start.

    Raises:
        RunFileError: No such run, several, or a damaged one.
    """
    if reference == LATEST:
        return latest_run(project)
    ids = [path.parent.name for path in sorted(runs_dir(project).glob(f"*/{RUN_FILE}"))]
    # An id is looked up first: a stray file of that name in the working directory must not hide a run.
    matches = [known for known in ids if reference and known.startswith(reference)]
    if len(matches) > 1:
        raise RunFileError(f"{reference} names {len(matches)} runs: {', '.join(matches)}", hint="give more of the id")
    if matches:
        path = runs_dir(project) / matches[0] / RUN_FILE
        return StoredRun(path=path, record=read_run(path))
    path = Path(reference)
    if path.is_dir():
        path = path / RUN_FILE
    if not path.exists():
        near = close_matches(reference, ids) or "edgedeploy bench measures one"
        raise RunFileError(f"there is no run {reference!r}", hint=near)
    return StoredRun(path=path, record=read_run(path))


def _listed(path: Path) -> ListedRun:
    try:
        return ListedRun(id=path.parent.name, path=path, record=read_run(path))
    except RunFileError as error:
        return ListedRun(id=path.parent.name, path=path, record=None, fault=error.message)
