"""A visit to a board under its lock: what flash and rollback do alike."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from edgedeploy.artifacts import GoldenOutput, StepRecord
from edgedeploy.deploy import scripts
from edgedeploy.deploy.lock import Owner
from edgedeploy.deploy.remote import SCRIPT_DEADLINE_S, report_lines, run_script, script_error
from edgedeploy.deploy.selftest import run_selftest
from edgedeploy.deploy.steps import Steps
from edgedeploy.deploy.survey import NO_DIGEST, Survey
from edgedeploy.errors import AlteredReleaseError, ConnectionFailedError, TrustError
from edgedeploy.transport.protocol import CommandResult, Transport


@dataclass(frozen=True, kw_only=True)
class Visit:
    """The survey found the board as it is and holds its lock for ``owner``."""

    steps: Steps
    survey: Survey
    owner: Owner

    def __post_init__(self) -> None:
        self.steps.active = self.survey.current
        if self.survey.recovered is not None:
            self.steps.progress.say(self.survey.recovered.describe())

    @property
    def transport(self) -> Transport:
        return self.steps.transport

    def run_script(
        self,
        name: str,
        script: str,
        *arguments: str,
        stdin: str = "",
        deadline_s: float = SCRIPT_DEADLINE_S,
        check: bool = True,
    ) -> CommandResult:
        """Run a script that works under the lock; see ``remote.run_script``."""
        return run_script(
            self.transport,
            name,
            script,
            str(self.survey.root),
            self.owner.token,
            *arguments,
            stdin=stdin,
            deadline_s=deadline_s,
            check=check,
        )

    @contextlib.contextmanager
    def abandoning(self, release: str = NO_DIGEST, *, created: bool = False) -> Iterator[None]:
        """On any failure inside, remove what this visit left on the board, and unlock.

        Where the connection is gone, the next flash does it.

        Args:
            release: That the visit is about. It goes too where this visit ``created`` it, and where the board finds it
                altered, so that the next flash makes it anew; never while it is the active one.
        """
        try:
            yield
        except BaseException as error:
            doomed = release if created or isinstance(error, AlteredReleaseError) else NO_DIGEST
            # A second failure of the connection adds nothing to the one under way.
            with contextlib.suppress(ConnectionFailedError):
                self.run_script("abandon", scripts.ABANDON, doomed, check=False)
            raise

    def prove(self, digest: str, deadline_s: float) -> tuple[GoldenOutput, ...]:
        """Run the golden self-test of a release on the board."""
        with self.steps.step("self-test", "Running the golden self-test on the board") as step:
            golden = run_selftest(self.transport, self.survey.root / "releases" / digest, deadline_s=deadline_s)
            step.note = f"cosine {min(item.cosine for item in golden):.6f}"
        return golden

    def activate(self, digest: str, *, action: str, dropped: tuple[str, ...] = ()) -> None:
        """Switch ``current``, write history, drop old releases, unlock: one command, recorded as two steps."""
        with self.steps.step("activate", f"Activating {digest[:12]}") as step:
            # Should the connection break now, nobody knows which one it is.
            self.steps.active = None
            host = json.dumps(socket.gethostname())
            known = (digest, action, host, self.survey.trusted_list)
            result = self.run_script("activate", scripts.ACTIVATE, *known, *dropped, check=False)
            said = {key for key, _ in report_lines(result)}
            if "trust-changed" in said:
                self.steps.active = self.survey.current
                raise TrustError("the board's trusted keys changed during this command", hint="run it again")
            if "switched" not in said:
                raise script_error(self.transport, "activate", result)
            step.note = "already current" if self.survey.current == digest else ""
        note = f"dropped {len(dropped)}" if dropped else ""
        if "cleaned" not in said:
            # The new release is active and proven: leftovers are no reason to call it failed.
            note = "not everything old could be removed"
            self.steps.progress.say(f"warning: {note}: {result.stderr.strip()}")
        self.steps.records.append(StepRecord(name="clean", seconds=0.0, note=note))
