"""What is on the board, and going back to an earlier release."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgedeploy.artifacts import Clock, GoldenOutput, StepRecord
from edgedeploy.deploy import history, scripts, signature
from edgedeploy.deploy.activation import ActivationOrder, activate
from edgedeploy.deploy.activation_script import NOTHING
from edgedeploy.deploy.gate import Gate, limit_s
from edgedeploy.deploy.layout import DEFAULT_DIRECTORY, check_app, check_directory, is_digest
from edgedeploy.deploy.lock import describe_holder, new_owner, parse_age, parse_owner
from edgedeploy.deploy.remote import parse_count, report_lines, run_script, script_error
from edgedeploy.deploy.selftest import default_deadline_s
from edgedeploy.deploy.status import AUTOMATIC_ROLLBACK, Activation, BoardStatus, ReleaseInfo, Unfinished
from edgedeploy.deploy.steps import Steps
from edgedeploy.deploy.survey import Survey, current_release, read_health, take_survey
from edgedeploy.deploy.visit import Visit
from edgedeploy.errors import NoReleaseError
from edgedeploy.healthfile import NO_BUDGET, Budget, Health
from edgedeploy.progress import SILENT, Progress
from edgedeploy.reading import load_json
from edgedeploy.transport.protocol import CommandResult, Transport


@dataclass(frozen=True, kw_only=True)
class RollbackResult:
    """What ``rollback --json`` prints. ``verified``: the release passed its self-test before it became current."""

    app: str
    release: str
    previous_release: str | None
    verified: bool
    golden: tuple[GoldenOutput, ...]
    steps: tuple[StepRecord, ...]
    health: Health | None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "golden": [item.to_json() for item in self.golden]}


def status(transport: Transport, app: str, *, directory: str = DEFAULT_DIRECTORY) -> BoardStatus:
    """Return what the board has of an app, in one round trip; nothing flashed yet is an empty status.

    Raises:
        RemoteCommandError: The board's answer cannot be read.
    """
    check_app(app)
    check_directory(directory)
    return parse_status(transport, app, run_script(transport, "status", scripts.STATUS, directory, app))


def parse_status(transport: Transport, app: str, result: CommandResult) -> BoardStatus:
    """Read the status script's report.

    Raises:
        RemoteCommandError: It is cut short or damaged.
    """
    lines = report_lines(result)
    values = dict(lines)
    if "end" not in values or "root" not in values:
        raise script_error(transport, "status", result)
    records = history.parse_history(value for key, value in lines if key == "history")
    activated = history.last_activations(records)
    # By the lines' order and not by their times: a board's clock may have been wrong.
    order = {record.to: index for index, record in enumerate(records) if record.to is not None}
    current = current_release(values.get("current", ""))
    manifests = {
        digest: manifest for digest, _, manifest in (value.partition(" ") for key, value in lines if key == "manifest")
    }
    digests = [value for key, value in lines if key == "release" and is_digest(value)]
    try:
        store_bytes = parse_count(values.get("store-bytes", "0"))
    except ValueError:
        raise script_error(transport, "status", result) from None
    health = read_health(value for key, value in lines if key == "health")
    releases = [
        _release_info(
            digest,
            manifests.get(digest, ""),
            current=digest == current,
            activated_at=activated.get(digest),
            health=health.get(digest),
        )
        for digest in digests
    ]
    return BoardStatus(
        app=app,
        directory=values["root"],
        current=current if current in digests else None,
        releases=tuple(sorted(releases, key=lambda item: order.get(item.digest, -1), reverse=True)),
        store_bytes=store_bytes,
        history=records,
        unfinished=_unfinished(values, current),
        health=health.get(current or ""),
    )


def _unfinished(values: dict[str, str], current: str | None) -> Unfinished | None:
    """Return what the journal says; an empty one of a lock alone is a command that has just begun."""
    to, action = values.get("journal-to", ""), values.get("journal-action", history.FLASH)
    automatic = action == AUTOMATIC_ROLLBACK
    if not is_digest(to) and not (automatic and to == NOTHING):
        return None
    holder = None
    if "lock" in values:
        age, _, note = values["lock"].partition(" ")
        holder = describe_holder(parse_owner(note), parse_age(age))
    return Unfinished(
        action=action,
        to=None if to == NOTHING else to,
        since=values.get("journal-time", ""),
        remedy="finish" if automatic or current == to else "undo",
        holder=holder,
    )


def rollback(
    transport: Transport,
    app: str,
    *,
    directory: str = DEFAULT_DIRECTORY,
    to: str | None = None,
    progress: Progress = SILENT,
    clock: Clock | None = Clock.REAL,
    break_lock: bool = False,
    selftest_deadline_s: float | None = None,
    budget: Budget = NO_BUDGET,
    threads: int | None = None,
) -> RollbackResult:
    """Make an earlier release current again, after its self-test; it passes the same gate as a flash.

    Args:
        transport: An open connection.
        app: The app's name.
        directory: On the board, as given to the flash.
        to: A digest or its start; None means the release that was active before the current one, or the one that the
            board was to go back to where it could not at the time.
        progress: Where steps are announced.
        clock: Decides how long the self-test may take, and whether the latency counts; None is hardware.
        break_lock: Take over a lock that somebody holds.
        selftest_deadline_s: As of a flash; None takes what suits ``clock``.
        budget, threads: As of a flash.

    Raises:
        NoReleaseError: Nothing to go back to, or ``to`` names no release or several.
        SelfTestError: The release fails on the board; the current one stays.
        HealthError: The release was active and failed; the one before is active again.
    """
    check_app(app)
    check_directory(directory)
    owner = new_owner()
    steps = Steps(transport, progress, f"rollback of {app}")
    with steps.step("inspect", f"Inspecting {transport.description}"):
        survey = take_survey(transport, app, directory=directory, owner=owner, break_lock=break_lock)
    visit = Visit(steps=steps, survey=survey, owner=owner)
    with visit.abandoning():
        mended = _way_back(survey) if to is None else None
        digest = survey.current if mended and survey.current else _target(survey, app, to)
        signature.check_signature(visit, digest, app=app)
        deadline_s, emulated = selftest_deadline_s or default_deadline_s(clock), clock is not None
        golden = visit.prove(digest, deadline_s)
        limit = limit_s(deadline_s, selftest_s=steps.records[-1].seconds, emulated=emulated)
        gate = Gate(budget=budget, threads=threads, emulated=emulated, limit_s=limit)
        health = activate(ActivationOrder(visit=visit, digest=digest, action=history.ROLLBACK, gate=gate))
    return RollbackResult(
        app=app,
        release=digest,
        previous_release=mended.left if mended else survey.current,
        verified=True,
        golden=golden,
        steps=tuple(steps.records),
        health=health,
    )


def _way_back(survey: Survey) -> Activation | None:
    """Return the way back from a failed release that this survey carried out: nobody means to go further than that."""
    recovered = survey.recovered
    if recovered is None or (recovered.action, recovered.outcome) != (AUTOMATIC_ROLLBACK, "finished"):
        return None
    last = survey.history[-1] if survey.history else None
    return last if last is not None and last.to == survey.current else None


def _target(survey: Survey, app: str, to: str | None) -> str:
    """Return the digest that ``to`` means."""
    if to is None:
        previous = history.previous_release(survey.history, current=survey.current, present=survey.releases)
        if previous is None:
            raise NoReleaseError(
                f"{app} has no release on the board that was active before the current one",
                hint="edgedeploy status lists what there is; --to DIGEST chooses one",
            )
        return previous
    matches = [digest for digest in survey.releases if to and digest.startswith(to.lower())]
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(digest[:12] for digest in survey.releases) or "none"
    fault = "fits several releases" if matches else "is no release"
    raise NoReleaseError(f"{to!r} {fault} of {app} on the board", hint=f"the board has: {listed}")


def _release_info(
    digest: str, manifest: str, *, current: bool, activated_at: str | None, health: Health | None
) -> ReleaseInfo:
    """Read size and versions from a manifest; a damaged one gives 0 and nothing, for status has to list it still."""
    try:
        document = load_json(manifest)
        size_bytes = len(manifest.encode()) + 1 + sum(int(item["size_bytes"]) for item in document["files"])
        versions = {str(key): str(value) for key, value in document["versions"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        size_bytes, versions = 0, {}
    return ReleaseInfo(
        digest=digest,
        current=current,
        activated_at=activated_at,
        size_bytes=size_bytes,
        versions=versions,
        health=health.state if health else None,
    )
