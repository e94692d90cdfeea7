"""The system's ``ssh`` on a twin, with the twin's own key and known_hosts."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgedeploy.artifacts import TwinEndpoint
from edgedeploy.errors import MissingToolError


def ssh_command(endpoint: TwinEndpoint, command: Sequence[str]) -> list[str]:
    """Return the command line of ``ssh`` for a twin.

    Args:
        endpoint: The running twin.
        command: Words, quoted for the guest's shell one by one; empty for an interactive shell. A single word is a
            script for the guest's shell, as with ``ssh`` itself.
    """
    ssh = endpoint.ssh
    remote = list(command) if len(command) <= 1 else [shlex.join(command)]
    options = {
        "IdentityFile": _file(ssh.key_file),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": _file(ssh.known_hosts),
        "StrictHostKeyChecking": "yes",
        "LogLevel": "ERROR",
    }
    listed = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", "-p", str(ssh.port), *listed, f"{ssh.user}@{ssh.host}", *remote]


def _file(path: Path | None) -> str:
    """Return a path as a line of ssh's configuration has it: a blank ends a name, a percent sign begins a token."""
    escaped = str(path).replace("%", "%%")
    return f'"{escaped}"'


def run_shell(endpoint: TwinEndpoint, command: Sequence[str]) -> int:
    """Run a command or a shell on the twin with this process's own input and output.

    Returns:
        The command's exit code; 255 where ssh itself failed.
    """
    try:
        return subprocess.run(ssh_command(endpoint, command), check=False).returncode
    except FileNotFoundError:
        raise MissingToolError("the program ssh is missing", hint="sudo apt-get install openssh-client") from None
