"""Making a release active and having it prove itself there: one command on the board, told as three steps.

The gate's seconds are counted with the activation, which it travels with."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass

from edgedeploy.artifacts import StepRecord
from edgedeploy.deploy.activation_script import ACTIVATE, NOTHING, STAY
from edgedeploy.deploy.gate import Gate, describe, health_error, way_back
from edgedeploy.deploy.remote import SCRIPT_DEADLINE_S, report_lines, script_error
from edgedeploy.deploy.scripts import command
from edgedeploy.deploy.survey import current_release
from edgedeploy.deploy.visit import Visit
from edgedeploy.errors import RemoteCommandError, TrustError
from edgedeploy.healthfile import Health, parse_health
from edgedeploy.transport.protocol import CommandResult


@dataclass(frozen=True, kw_only=True)
class ActivationOrder:
    """What the board is told.

    Args:
        created: The release goes again where it fails.
        dropped: Old releases that go once it has passed.
    """

    visit: Visit
    digest: str
    action: str
    gate: Gate
    created: bool = False
    dropped: tuple[str, ...] = ()

    @property
    def is_active(self) -> bool:
        """The release is active already."""
        return self.visit.survey.current == self.digest

    @property
    def proven(self) -> Health | None:
        """What the board found out about it on the same terms, where it was active then and since."""
        known = self.visit.survey.health.get(self.digest)
        return known if self.is_active and self.gate.is_held(known) else None

    @property
    def limit_s(self) -> int:
        """What the gate may take; 0 where it is not asked."""
        return 0 if self.proven or self.gate.is_open else math.ceil(self.gate.limit_s)

    @property
    def deadline_s(self) -> float:
        return SCRIPT_DEADLINE_S + 2 * self.limit_s

    def command(self) -> str:
        """Return what switches, asks the gate, and cleans up."""
        return command(
            "activate",
            ACTIVATE,
            str(self.visit.survey.root),
            self.visit.owner.token,
            self.digest,
            self.action,
            json.dumps(socket.gethostname()),
            self.visit.survey.trusted_list,
            way_back(self.visit.survey, self.digest),
            "yes" if self.created and not self.is_active else "no",
            str(self.limit_s),
            self.gate.words(),
            self.gate.terms(),
            *self.dropped,
        )


def activate(activation: ActivationOrder, *, ask: Callable[[], CommandResult] | None = None) -> Health | None:
    """Switch ``current``, have the active release pass the health gate or switch back, clean up, unlock.

    A release that is active already and was proven on the same terms is not asked again: the self-test of this visit
    has just shown that it still works.

    Args:
        activation: What the board is told.
        ask: Runs its command in place of this, and returns what it gave.

    Returns:
        What was found out, now or before; None where the gate is open.

    Raises:
        HealthError: It failed; the message says by what, and what is active now.
    """
    visit, digest, limit_s = activation.visit, activation.digest, activation.limit_s
    with visit.steps.step("activate", f"Activating {digest[:12]}" + (" and proving it" if limit_s else "")) as step:
        # Should the connection break now, nobody knows which one it is.
        visit.steps.active = None
        result = ask() if ask else _run(activation)
        said = dict(report_lines(result))
        if "trust-changed" in said:
            visit.steps.active = visit.survey.current or ""
            raise TrustError("the board's trusted keys changed during this command", hint="run it again")
        if "switched" not in said:
            raise script_error(visit.transport, "activate", result)
        step.note = "already current" if activation.is_active else ""
    with visit.steps.step("health", "Judging its health by what it did on the board") as step:
        health = activation.proven
        step.note = f"proven {health.time}" if health else "a trial: not asked"
        if limit_s:
            health = _verdict(visit, digest, said, result)
            step.note = describe(health)
            if health.state == "failed":
                raise health_error(health, now=_active_now(way_back(visit.survey, digest), said, result))
    note = f"dropped {len(activation.dropped)}" if activation.dropped else ""
    if "cleaned" not in said:
        # The new release is active and proven: leftovers are no reason to call it failed.
        note = "not everything old could be removed"
        visit.steps.progress.say(f"warning: {note}: {result.stderr.strip()}")
    visit.steps.records.append(StepRecord(name="clean", seconds=0.0, note=note))
    return health


def _run(activation: ActivationOrder) -> CommandResult:
    transport = activation.visit.transport
    return transport.run(activation.command(), deadline_s=activation.deadline_s, check=False)


def _verdict(visit: Visit, digest: str, said: dict[str, str], result: CommandResult) -> Health:
    health = parse_health(said.get("health", ""))
    if "health" not in said:
        raise script_error(visit.transport, "activate", result)
    if health is None or health.release != digest:
        raise RemoteCommandError(
            command="edgedeploy's script 'activate'",
            exit_status=result.exit_status,
            stderr=f"unreadable verdict: {said['health'][:300]}",
            hint="the release is active, and whether it is healthy is not known; edgedeploy rollback leaves it",
        )
    return health


def _active_now(back: str, said: dict[str, str], result: CommandResult) -> str:
    if back == STAY:
        return "it was active before this command and stays active"
    if "back" not in said:
        complaint = result.stderr.strip()
        if "now" in said and current_release(said["now"]) == (None if back == NOTHING else back):
            now = "nothing is active now" if back == NOTHING else f"release {back[:12]} is active again"
            return f"rolled back automatically: {now}, though the disk has not settled it ({complaint})"
        return f"it is still active, because the board could not go back ({complaint}): edgedeploy rollback tries again"
    if back == NOTHING:
        return "rolled back automatically: nothing was active before, so nothing is active now"
    return f"rolled back automatically: release {back[:12]} is active again"
