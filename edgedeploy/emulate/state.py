"""A twin's directory under the state directory: its disk, keys, logs, and who runs it now."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedeploy.artifacts import Clock, SshEndpoint, TwinEndpoint
from edgedeploy.emulate.keys import KNOWN_HOSTS, USER, USER_KEY
from edgedeploy.emulate.processes import ProcessIdentity, is_alive
from edgedeploy.errors import UsageError
from edgedeploy.files import write_whole
from edgedeploy.paths import state_dir
from edgedeploy.reading import load_json

STATE_FILE = "state.json"
LOCK_FILE = "lock"
SCHEMA = 1
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class TwinState:
    """A running twin as written down: enough to reach it, to stop it, and to tell it from a later process."""

    name: str
    board: str
    cpu: str
    vcpus: int
    memory_mib: int
    clock: Clock
    port: int
    boot_s: float
    process: ProcessIdentity

    def to_endpoint(self, directory: Path) -> TwinEndpoint:
        ssh = SshEndpoint(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            key_file=directory / USER_KEY,
            known_hosts=directory / KNOWN_HOSTS,
        )
        return TwinEndpoint(
            name=self.name,
            board=self.board,
            ssh=ssh,
            clock=self.clock,
            core=self.cpu,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            pid=self.process.pid,
            boot_s=self.boot_s,
        )


def twins_dir() -> Path:
    """Return the directory that holds one directory a twin."""
    return state_dir() / "emulator"


def twin_dir(name: str) -> Path:
    """Return a twin's directory, which need not exist yet.

    Raises:
        UsageError: The name cannot be a directory's.
    """
    if NAME_PATTERN.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be a twin's name", hint="use a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
        )
    return twins_dir() / name


def read_state(directory: Path) -> TwinState | None:
    """Return what runs in a twin's directory, or None.

    Nothing is removed here: who only looks holds no lock, and the file may be another process's new one by now.
    """
    try:
        state = parse_state(load_json((directory / STATE_FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None
    return state if state is not None and is_alive(state.process) else None


def write_state(directory: Path, state: TwinState) -> None:
    """Write the state file, whole or not at all."""
    document = {"schema": SCHEMA, **asdict(state)}
    write_whole(directory / STATE_FILE, json.dumps(document, indent=1).encode())


def parse_state(document: Any) -> TwinState | None:
    """Return the state in a JSON document, or None if it is of another version or damaged."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return None
    fields = {key: value for key, value in document.items() if key != "schema"}
    try:
        process = ProcessIdentity(**fields.pop("process"))
        clock = Clock(fields.pop("clock"))
        return TwinState(process=process, clock=clock, **fields)
    except (KeyError, TypeError, ValueError):
        return None
