"""Putting a release on a board: inspect, preflight, push, verify, self-test, activate, clean.

The board always has a whole release active, the old one or the new one; see ``docs/flash.md`` for why.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from edgedeploy.artifacts import (
    BoardFacts,
    Bundle,
    BundleFile,
    Clock,
    FlashResult,
    Provenance,
    StepRecord,
)
from edgedeploy.deploy import history, scripts
from edgedeploy.deploy.activation import ActivationOrder, activate
from edgedeploy.deploy.gate import Gate, limit_s
from edgedeploy.deploy.known import KnownFiles, default_known_files
from edgedeploy.deploy.layout import DEFAULT_DIRECTORY, check_app, check_directory, release_files
from edgedeploy.deploy.lock import new_owner
from edgedeploy.deploy.preflight import check_programs, preflight
from edgedeploy.deploy.push import Pushing
from edgedeploy.deploy.remote import report_lines, script_deadline_s, script_error
from edgedeploy.deploy.selftest import PASSED, default_deadline_s, selftest_words
from edgedeploy.deploy.signature import ACCEPTED, check_signature, verify_command
from edgedeploy.deploy.steps import RunningStep, Steps
from edgedeploy.deploy.survey import Survey, take_survey
from edgedeploy.deploy.together import Part, Together
from edgedeploy.deploy.visit import Visit
from edgedeploy.errors import ChecksumMismatchError, UsageError
from edgedeploy.healthfile import NO_BUDGET, Budget
from edgedeploy.progress import Progress
from edgedeploy.transport.protocol import Transport

KEPT_RELEASES = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a flash has to do: ``missing`` holds one file for each content that the board's store lacks."""

    files: tuple[BundleFile, ...]
    missing: tuple[BundleFile, ...]

    @property
    def missing_bytes(self) -> int:
        return sum(file.size_bytes for file in self.missing)


def make_plan(files: tuple[BundleFile, ...], have: frozenset[str]) -> Plan:
    """Return which files travel: each content once, and only what the board lacks."""
    missing: dict[str, BundleFile] = {}
    for file in files:
        if file.sha256 not in have:
            missing.setdefault(file.sha256, file)
    return Plan(files=files, missing=tuple(missing.values()))


def flash(
    transport: Transport,
    bundle: Bundle,
    *,
    board_name: str,
    facts: BoardFacts,
    provenance: Provenance,
    clock: Clock | None,
    progress: Progress,
    directory: str = DEFAULT_DIRECTORY,
    keep: int = KEPT_RELEASES,
    break_lock: bool = False,
    selftest_deadline_s: float | None = None,
    budget: Budget = NO_BUDGET,
    threads: int | None = None,
    trial: bool = False,
    records: list[StepRecord] | None = None,
) -> FlashResult:
    """Push a release, prove it on the board, make it current, and prove it once more as the active one.

    Args:
        transport: An open connection.
        bundle: The release.
        board_name: For the result.
        facts: What the board said about itself.
        provenance: Hardware or which kind of emulation, for the result.
        clock: The twin's kind of clock; None is hardware.
        progress: Where steps are announced.
        directory: On the board; the app's own directory is made in it.
        keep: Releases to keep, the new one included; the one before it is always kept.
        break_lock: Take over a lock that somebody holds.
        selftest_deadline_s: Of the self-test, and of the health gate after the switch; None takes what suits hardware
            or a twin.
        budget: What the active release may need, else the board goes back; the latency counts on hardware alone.
        threads: That the latency is measured with; None takes every core.
        trial: The release is measured and goes again: no health gate.
        records: Takes the steps as they end; of a flash that fails, the failed one is the last.

    Returns:
        The record; ``verified`` is true, for everything else raises.

    Raises:
        DeployError: A leaf of it that says what is wrong; the release active before stays active.
        HealthError: The release was active and failed; the one before is active again.
        ConnectionFailedError: The connection failed; the board has the old or the new release active, whole.
    """
    check_app(bundle.app)
    check_directory(directory)
    if keep < 1:
        raise UsageError(f"keep must be 1 or more, not {keep}")
    files = release_files(bundle)
    steps = Steps(transport, progress, f"flash of {bundle.app}", records=[] if records is None else records)
    check_programs(bundle, facts)
    owner = new_owner()
    known = default_known_files()
    with steps.step("inspect", f"Inspecting {transport.description}") as step:
        survey = take_survey(
            transport,
            bundle.app,
            directory=directory,
            owner=owner,
            break_lock=break_lock,
            digest=bundle.digest,
            files=files,
        )
        plan = make_plan(files, survey.have)
        step.note = f"{len(plan.missing)} of {len(files)} files are missing"
    visit = Visit(steps=steps, survey=survey, owner=owner)
    created = bundle.digest != survey.current and bundle.digest not in history.kept_releases(survey.history)
    with visit.abandoning(bundle.digest, created=created):
        with steps.step("preflight", "Checking that the release fits the board"):
            preflight(
                bundle,
                facts,
                files_to_send=plan.missing,
                free_disk_bytes=survey.free_disk_bytes + sum(item.size_bytes for item in survey.partial.values()),
                free_memory_bytes=survey.free_memory_bytes,
            )
        _push_and_verify(visit, bundle.digest, plan, known)
        dropped = history.releases_to_drop(
            survey.history, becoming=bundle.digest, current=survey.current, present=survey.releases, keep=keep
        )
        deadline_s = selftest_deadline_s or default_deadline_s(clock)
        emulated = provenance is not Provenance.HARDWARE
        gate = Gate(budget=budget, threads=threads, emulated=emulated, limit_s=deadline_s, is_open=trial)
        activation = ActivationOrder(
            visit=visit, digest=bundle.digest, action=history.FLASH, gate=gate, created=created, dropped=dropped
        )
        together = _together(activation, bundle, deadline_s) if survey.intact and not plan.missing else None
        check_signature(visit, bundle.digest, app=bundle.app, size_bytes=bundle.size_bytes, ask=together)
        golden = visit.prove(bundle.digest, deadline_s, ask=together)
        if together is None:
            limit = limit_s(deadline_s, selftest_s=steps.records[-1].seconds, emulated=emulated)
            activation = replace(activation, gate=replace(gate, limit_s=limit))
        health = activate(activation, ask=together)
    known.remember(files)
    unchanged = survey.current == bundle.digest
    return FlashResult(
        app=bundle.app,
        board=board_name,
        provenance=provenance,
        clock=clock,
        release=bundle.digest,
        previous_release=_previous(survey) if unchanged else survey.current,
        verified=True,
        unchanged=unchanged,
        golden=golden,
        steps=tuple(steps.records),
        health=health,
    )


def _together(activation: ActivationOrder, bundle: Bundle, deadline_s: float) -> Together | None:
    """Return what is left to do of a flash that changes nothing, in one round trip; None where the gate is asked."""
    visit, digest = activation.visit, activation.digest
    if not activation.is_active or activation.limit_s:
        return None
    parts = [
        Part(command=selftest_words(visit.release_path(digest)), says=PASSED),
        Part(command=activation.command()),
    ]
    if visit.survey.has_trusted_keys:
        parts.insert(0, Part(command=verify_command(visit, digest, app=bundle.app), says=ACCEPTED))
    return Together(visit.transport, parts, deadline_s + script_deadline_s(bundle.size_bytes))


def _push_and_verify(visit: Visit, digest: str, plan: Plan, known: KnownFiles) -> None:
    """Push and verify; what came out wrong although it was packed against what the board has travels again, whole."""
    new = {file.path for file in plan.missing}
    listing = "".join(
        f"{file.sha256} {file.mode:o} {'new' if file.path in new else 'have'} {file.path}\n" for file in plan.files
    )
    pushing = Pushing(visit=visit, known=known, files=plan.missing, digest=digest, listing=listing)
    with visit.steps.step("push", f"Pushing {len(plan.missing)} files") as step:
        pushing.push(step)
    with visit.steps.step("verify", "Verifying on the board") as step:
        damaged = _verify(pushing, plan, step, forgiven=pushing.based_on)
    if not damaged:
        return
    again = tuple(file for file in plan.missing if file.sha256 in damaged)
    pushing = replace(pushing, files=again, stored=None, based_on=set())
    with visit.steps.step("push", f"Pushing {len(again)} files again, whole") as step:
        pushing.push(step, afresh=True)
    with visit.steps.step("verify", "Verifying on the board") as step:
        _verify(pushing, plan, step)


def _verify(pushing: Pushing, plan: Plan, step: RunningStep, *, forgiven: Set[str] = frozenset()) -> frozenset[str]:
    """Have the board hash what arrived and assemble the release, unless that came with the files.

    An intact release was hashed by the survey.

    Returns:
        The SHA-256 of files that did not arrive as they are, all of them ``forgiven``; nothing was assembled then.

    Raises:
        ChecksumMismatchError: Others did not arrive as they are.
    """
    visit = pushing.visit
    if visit.survey.intact and not plan.missing:
        step.note = "hashed while inspecting"
        return frozenset()
    result = pushing.stored or visit.run_script(
        "store",
        scripts.STORE,
        pushing.digest,
        str(len(plan.files)),
        stdin=pushing.listing,
        deadline_s=script_deadline_s(2 * plan.missing_bytes),
    )
    lines = report_lines(result)
    mismatches = [value.split(" ", 2) for key, value in lines if key == "mismatch"]
    damaged = frozenset(expected for expected, _, _ in mismatches)
    if not damaged <= forgiven:
        raise _mismatch(mismatches)
    if not damaged and ("stored", "") not in lines:
        raise script_error(visit.transport, "store", result)
    return damaged


def _mismatch(mismatches: list[list[str]]) -> ChecksumMismatchError:
    expected, actual, path = mismatches[0]
    others = f", and {len(mismatches) - 1} more files are damaged" if mismatches[1:] else ""
    return ChecksumMismatchError(
        f"{path} arrived with SHA-256 {actual} in place of {expected}{others}",
        hint="run the command again; if it happens again, suspect the board's storage or memory",
    )


def _previous(survey: Survey) -> str | None:
    return history.previous_release(survey.history, current=survey.current, present=survey.releases)
