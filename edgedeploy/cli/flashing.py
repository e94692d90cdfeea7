"""One flash, as the commands for one board and for many have it done."""

from __future__ import annotations

from edgedeploy.artifacts import BoardFacts, Bundle, FlashResult, StepRecord
from edgedeploy.boards.probe import probe
from edgedeploy.cli.target import Connection
from edgedeploy.deploy.flash import flash
from edgedeploy.deploy.release import RollbackResult, rollback
from edgedeploy.deploy.steps import recorded
from edgedeploy.progress import Progress
from edgedeploy.project import Project
from edgedeploy.transport.protocol import Transport


def probe_target(transport: Transport, records: list[StepRecord], *, progress: Progress) -> BoardFacts:
    """Probe a board as the step before those of its flash."""
    with recorded(transport, records, "probe", progress=progress, title=f"Probing {transport.description}"):
        return probe(transport)


def flash_target(
    target: Connection,
    bundle: Bundle,
    facts: BoardFacts,
    *,
    project: Project,
    break_lock: bool,
    progress: Progress,
    records: list[StepRecord] | None = None,
) -> FlashResult:
    """Put a release on the board at the other end of a connection; see ``deploy.flash``."""
    return flash(
        target.transport,
        bundle,
        board_name=target.board.name,
        facts=facts,
        provenance=target.provenance,
        clock=target.clock,
        directory=target.directory,
        progress=progress,
        break_lock=break_lock,
        budget=project.budget.to_budget(),
        threads=project.bench.threads,
        records=records,
    )


def roll_back_target(
    target: Connection, app: str, *, project: Project, to: str | None, break_lock: bool, progress: Progress
) -> RollbackResult:
    """Make an earlier release of an app active again; see ``deploy.release``."""
    return rollback(
        target.transport,
        app,
        directory=target.directory,
        to=to,
        progress=progress,
        clock=target.clock,
        break_lock=break_lock,
        budget=project.budget.to_budget(),
        threads=project.bench.threads,
    )
