"""12x: many boards at once and boards of a lab; 13x: commands that were stopped."""

from __future__ import annotations

from typing import Any

from edgedeploy.errors.root import EdgedeployError


class FleetError(EdgedeployError):
    """Many boards at once, and boards that a lab lends."""


class BoardsFailedError(FleetError):
    """Boards of a fleet failed.

    Args:
        document: What ``--json`` prints beside the error: the state of every board.
    """

    slug = "boards-failed"
    exit_code = 120

    def __init__(self, message: str, *, hint: str = "", document: dict[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.document = document or {}

    def to_json(self) -> dict[str, object]:
        """Return the error with the document that says which boards are in which state."""
        return {**super().to_json(), **self.document}


class LabUnreachableError(FleetError):
    """The lab's coordinator does not answer, or answered with something else than was asked for."""

    slug = "lab-unreachable"
    exit_code = 121


class UnknownPlaceError(FleetError):
    slug = "unknown-place"
    exit_code = 122


class PlaceBusyError(FleetError):
    """Somebody else holds the place, or has reserved it."""

    slug = "place-busy"
    exit_code = 123


class PlaceResourceError(FleetError):
    """The place has no network service that can be used, or more than one."""

    slug = "place-resource"
    exit_code = 124


class InterruptionError(EdgedeployError):
    """A person or a script ended the command."""


class StoppedError(InterruptionError):
    """The flash was stopped before it was done, and cleaned up behind itself."""

    slug = "interrupted"
    exit_code = 130
