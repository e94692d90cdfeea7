"""Places of a lab, held for as long as a command needs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from edgedeploy.lab.coordinator import Coordinator, Lease
from edgedeploy.progress import Progress

COORDINATOR_VARIABLE = "LG_COORDINATOR"
DEFAULT_COORDINATOR = "127.0.0.1:20408"

PlaceOption = Annotated[
    str | None,
    typer.Option("--place", help="A labgrid place that lends the board: acquired, used, released."),
]
CoordinatorOption = Annotated[
    str | None,
    typer.Option(
        "--coordinator", metavar="ADDRESS[:PORT]", help="Of the lab; the fleet file's, else LG_COORDINATOR otherwise."
    ),
]


def coordinator_address(given: str | None, configured: str | None) -> str:
    """Return where the coordinator is: the command line's, else the file's, else the environment's, else labgrid's."""
    return given or configured or os.environ.get(COORDINATOR_VARIABLE) or DEFAULT_COORDINATOR


@contextmanager
def held_places(names: tuple[str, ...], address: str, *, progress: Progress) -> Iterator[dict[str, Lease]]:
    """Acquire places and release them at the end, also after Ctrl-C and SIGTERM; without names nothing is done.

    What an earlier command left acquired because it was killed is released first.

    Raises:
        FleetError: A leaf of it: one of them cannot be had; those acquired before are released.
        MissingToolError: labgrid is not installed.
    """
    if not names:
        yield {}
        return
    with _ended_in_order(), Coordinator(address) as lab, ExitStack() as stack:
        lab.release_left_behind(progress)
        leases = {}
        for name in names:
            with progress.task(f"Acquiring the place {name}"):
                leases[name] = stack.enter_context(lab.place(name, progress=progress))
        yield leases


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does: a place stays acquired where nobody releases it."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
