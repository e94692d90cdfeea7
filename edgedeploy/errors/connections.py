"""6x: reaching the board and running commands there."""

from __future__ import annotations

from edgedeploy.errors.root import EdgedeployError


class ConnectionFailedError(EdgedeployError):
    """Reaching the board and running commands there."""


class UnreachableHostError(ConnectionFailedError):
    slug = "unreachable-host"
    exit_code = 60


class AuthenticationError(ConnectionFailedError):
    slug = "authentication"
    exit_code = 61


class UnknownHostKeyError(ConnectionFailedError):
    """First contact without anybody to ask and without ``--host-key-fingerprint``."""

    slug = "unknown-host-key"
    exit_code = 62


class ChangedHostKeyError(ConnectionFailedError):
    slug = "changed-host-key"
    exit_code = 63


class RemoteCommandError(ConnectionFailedError):
    """A command on the board failed.

    Args:
        command: The command line as it was sent.
        exit_status: What it returned.
        stderr: What it wrote to stderr; the message quotes the last lines.
    """

    slug = "remote-command"
    exit_code = 64

    def __init__(self, *, command: str, exit_status: int, stderr: str, hint: str = "") -> None:
        tail = "\n".join(stderr.strip().splitlines()[-10:])
        message = f"the command failed on the board with status {exit_status}: {command}"
        super().__init__(f"{message}\n{tail}" if tail else message, hint=hint)
        self.command = command
        self.exit_status = exit_status
        self.stderr = stderr


class DeadlineError(ConnectionFailedError):
    slug = "deadline"
    exit_code = 65


class ConnectionLostError(ConnectionFailedError):
    slug = "connection-lost"
    exit_code = 66


class TransferError(ConnectionFailedError):
    """A file did not arrive on the board, or not from it."""

    slug = "transfer"
    exit_code = 67
