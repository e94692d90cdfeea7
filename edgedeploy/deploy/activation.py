"""Making a release active and having it prove itself there: one command on the board, told as three steps.

The gate's seconds are counted with the activation, which it travels with."""

from __future__ import annotations

import json
import math
import socket

from edgedeploy.artifacts import StepRecord
from edgedeploy.deploy.activation_script import ACTIVATE, NOTHING, STAY
from edgedeploy.deploy.gate import Gate, describe, health_error, way_back
from edgedeploy.deploy.remote import SCRIPT_DEADLINE_S, report_lines, script_error
from edgedeploy.deploy.survey import current_release
from edgedeploy.deploy.visit import Visit
from edgedeploy.errors import RemoteCommandError, TrustError
from edgedeploy.healthfile import Health, parse_health
from edgedeploy.transport.protocol import CommandResult


def activate(
    visit: Visit, digest: str, *, action: str, gate: Gate, created: bool = False, dropped: tuple[str, ...] = ()
) -> Health | None:
    """Switch ``current``, have the active release pass the health gate or switch back, clean up, unlock.

    A release that is active already and was proven on the same terms is not asked again: the self-test of this visit
    has just shown that it still works.

    Args:
        created: The release goes again where it fails.
        dropped: Old releases that go once it has passed.

    Returns:
        What was found out, now or before; None where the gate is open.

    Raises:
        HealthError: It failed; the message says by what, and what is active now.
    """
    known = visit.survey.health.get(digest)
    proven = known if visit.survey.current == digest and gate.is_held(known) else None
    limit_s = 0 if proven or gate.is_open else math.ceil(gate.limit_s)
    back = way_back(visit.survey, digest)
    with visit.steps.step("activate", f"Activating {digest[:12]}" + (" and proving it" if limit_s else "")) as step:
        # Should the connection break now, nobody knows which one it is.
        visit.steps.active = None
        result = visit.run_script(
            "activate",
            ACTIVATE,
            digest,
            action,
            json.dumps(socket.gethostname()),
            visit.survey.trusted_list,
            back,
            "yes" if created and visit.survey.current != digest else "no",
            str(limit_s),
            gate.words(),
            gate.terms(),
            *dropped,
            deadline_s=SCRIPT_DEADLINE_S + 2 * limit_s,
            check=False,
        )
        said = dict(report_lines(result))
        if "trust-changed" in said:
            visit.steps.active = visit.survey.current or ""
            raise TrustError("the board's trusted keys changed during this command", hint="run it again")
        if "switched" not in said:
            raise script_error(visit.transport, "activate", result)
        step.note = "already current" if visit.survey.current == digest else ""
    with visit.steps.step("health", "Judging its health by what it did on the board") as step:
        health = proven
        step.note = f"proven {proven.time}" if proven else "a trial: not asked"
        if limit_s:
            health = _verdict(visit, digest, said, result)
            step.note = describe(health)
            if health.state == "failed":
                raise health_error(health, now=_active_now(back, said, result))
    note = f"dropped {len(dropped)}" if dropped else ""
    if "cleaned" not in said:
        # The new release is active and proven: leftovers are no reason to call it failed.
        note = "not everything old could be removed"
        visit.steps.progress.say(f"warning: {note}: {result.stderr.strip()}")
    visit.steps.records.append(StepRecord(name="clean", seconds=0.0, note=note))
    return health


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
