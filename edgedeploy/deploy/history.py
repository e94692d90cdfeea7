"""What ``history.jsonl`` tells: which release was active when, which one a rollback means, which ones may go."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeGuard

from edgedeploy.deploy.layout import is_digest
from edgedeploy.deploy.status import AUTOMATIC_ROLLBACK, Activation
from edgedeploy.reading import load_json

ROLLBACK = "rollback"
FLASH = "flash"
BACKWARDS = (ROLLBACK, AUTOMATIC_ROLLBACK)


def parse_history(lines: Iterable[str]) -> tuple[Activation, ...]:
    """Return the activations, oldest first. A line that a power cut left half-written is passed over."""
    found = []
    for line in lines:
        try:
            document = load_json(line)
        except ValueError:
            continue
        if isinstance(document, dict) and (activation := _activation(document)) is not None:
            found.append(activation)
    return tuple(found)


def _activation(document: dict[str, Any]) -> Activation | None:
    action, to, left = str(document.get("action")), document.get("to"), document.get("from")
    if not _is_release(to) and not (to is None and action == AUTOMATIC_ROLLBACK):
        return None
    return Activation(
        time=str(document.get("time")),
        action=action,
        to=to,
        left=left if _is_release(left) else None,
        reason=str(document.get("reason", "")),
    )


def _is_release(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and is_digest(value)


def succession(history: Iterable[Activation], *, current: str | None, present: Collection[str]) -> tuple[str, ...]:
    """Return the releases that were active in their turn, oldest first, ending with the current one.

    A rollback, automatic or not, takes what it left out of the line, so that the next one goes further back instead of
    forward again.

    Example:
        Flashed A, B, C, rolled back to B: ``("A", "B")``, and the next rollback means A.
    """
    line: list[str] = []
    for activation in history:
        if activation.to is None:
            line.clear()
        elif activation.action in BACKWARDS and activation.to in line:
            del line[line.index(activation.to) + 1 :]
        elif activation.to in line:
            line.remove(activation.to)
            line.append(activation.to)
        else:
            line.append(activation.to)
    if current is not None:
        # The symlink has the last word: a power cut may have kept the switch and lost the line.
        line = [*line[: line.index(current)], current] if current in line else [*line, current]
    return tuple(digest for digest in line if digest in present)


def previous_release(history: Iterable[Activation], *, current: str | None, present: Collection[str]) -> str | None:
    """Return the release that a rollback means, None where there is none."""
    earlier = [digest for digest in succession(history, current=current, present=present) if digest != current]
    return earlier[-1] if earlier else None


def last_activations(history: Iterable[Activation]) -> dict[str, str]:
    """Return for each release when it last became current."""
    return {activation.to: activation.time for activation in history if activation.to is not None}


def kept_releases(history: Iterable[Activation]) -> frozenset[str]:
    """Return the releases that were active and did not fail the health gate at once."""
    kept: set[str] = set()
    for activation in history:
        if activation.action == AUTOMATIC_ROLLBACK and activation.left is not None:
            kept.discard(activation.left)
        if activation.to is not None:
            kept.add(activation.to)
    return frozenset(kept)


def releases_to_drop(
    history: tuple[Activation, ...], *, becoming: str, current: str | None, present: Collection[str], keep: int
) -> tuple[str, ...]:
    """Return the releases beyond the last ``keep``, once ``becoming`` is current.

    The current release and the one before it are never among them, however small ``keep``.
    """
    line = [digest for digest in succession(history, current=current, present=present) if digest != becoming]
    recent = list(dict.fromkeys(activation.to for activation in reversed(history) if activation.to is not None))
    ranked = list(dict.fromkeys([becoming, *reversed(line), *recent, *sorted(present)]))
    ranked = [digest for digest in ranked if digest in present or digest == becoming]
    return tuple(ranked[max(keep, 2) :])
