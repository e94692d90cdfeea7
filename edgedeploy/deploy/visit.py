"""A visit to a board under its lock: what flash and rollback do alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgedeploy.artifacts import GoldenOutput
from edgedeploy.deploy import scripts
from edgedeploy.deploy.lock import Owner
from edgedeploy.deploy.remote import SCRIPT_DEADLINE_S, run_script
from edgedeploy.deploy.selftest import parse_selftest, run_selftest
from edgedeploy.deploy.steps import Steps
from edgedeploy.deploy.survey import NO_DIGEST, Survey
from edgedeploy.errors import AlteredReleaseError, ConnectionFailedError, HealthError
from edgedeploy.transport.protocol import CommandResult, Transport


@dataclass(frozen=True, kw_only=True)
class Visit:
    """The survey found the board as it is and holds its lock for ``owner``."""

    steps: Steps
    survey: Survey
    owner: Owner

    def __post_init__(self) -> None:
        self.steps.active = self.survey.current or ""
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
        except HealthError:
            # The script that found it out has put the board in order and unlocked it.
            raise
        except BaseException as error:
            doomed = release if created or isinstance(error, AlteredReleaseError) else NO_DIGEST
            # A second failure of the connection adds nothing to the one under way.
            with contextlib.suppress(ConnectionFailedError):
                self.run_script("abandon", scripts.ABANDON, doomed, check=False)
            raise

    def release_path(self, digest: str) -> PurePosixPath:
        """Return where a release lies on the board."""
        return self.survey.root / "releases" / digest

    def prove(
        self, digest: str, deadline_s: float, *, ask: Callable[[], CommandResult] | None = None
    ) -> tuple[GoldenOutput, ...]:
        """Run the golden self-test of a release on the board.

        Args:
            ask: Runs it in place of this, and returns what it gave.
        """
        with self.steps.step("self-test", "Running the golden self-test on the board") as step:
            if ask is not None:
                golden = parse_selftest(ask())
            else:
                golden = run_selftest(self.transport, self.release_path(digest), deadline_s=deadline_s)
            step.note = f"cosine {min(item.cosine for item in golden):.6f}"
        return golden
