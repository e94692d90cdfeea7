"""Flash after flash on one twin, each with its power cut at another place; after each restart, what the board is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from edgedeploy.artifacts import BoardFacts, Bundle, Clock, FlashResult, Provenance, TwinEndpoint
from edgedeploy.boards.probe import probe
from edgedeploy.deploy.flash import flash
from edgedeploy.deploy.release import status
from edgedeploy.deploy.selftest import run_selftest
from edgedeploy.deploy.status import Unfinished
from edgedeploy.emulate import twin
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.emulate.processes import identify, kill, wait_for_exit
from edgedeploy.errors import ConnectionFailedError, EdgedeployError
from edgedeploy.progress import SILENT
from edgedeploy.transport.protocol import Transport
from edgedeploy.transport.ssh import SshTransport, connect
from power_cuts.cutting import Cut, CuttingTransport, Recorder, spread
from power_cuts.releases import APP, BOARD, make_release

SPEC = TwinSpec(board=BOARD, cpu="cortex-a72", vcpus=1, memory_mib=512)
CONNECT_DEADLINE_S = 60.0
SELFTEST_DEADLINE_S = 120.0
EXIT_DEADLINE_S = 10.0
TWINS = 2
"""Side by side, one virtual CPU each: what two cores can do at once."""
EMPTY_THE_BOARD = 'rm -rf "$HOME/.edgedeploy" && sync'
NAMES = ["current", "health", "history.jsonl", "releases", "store"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a cut left.

    Args:
        active: ``old``, ``new``, or ``neither``.
        unfinished: What ``status`` said the next command would do, None where it knew of nothing.
        problems: What was not as it has to be; empty is whole.
    """

    cut: Cut
    active: str
    unfinished: str | None
    problems: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f", to {self.unfinished}" if self.unfinished else ""
        return f"cut in {self.cut}: {self.active}{remedy}" + "".join(f"; {item}" for item in self.problems)


def cut_flashes(
    points: int, directory: Path, say: Callable[[str], None], *, twins: int = TWINS, first: bool = False
) -> tuple[Outcome, ...]:
    """Cut the power of so many flashes; the twins live in the state directory, their disks are fresh at the start.

    Args:
        first: Each flash finds a board without an app directory; old then means that nothing is active.
        directory: For the releases.
        say: Told of each point, from several threads.
        twins: Boards side by side that share the points.
    """
    numbers = [range(number, points, twins) for number in range(min(twins, points))]
    benches = [
        Bench(name=f"power-cut-{own.start}", directory=directory / str(own.start), say=say, first=first)
        for own in numbers
    ]
    with ThreadPoolExecutor(max_workers=twins) as pool:
        futures = [pool.submit(bench.cut, points, own) for bench, own in zip(benches, numbers, strict=True)]
    return tuple(outcome for future in futures for outcome in future.result())


@dataclass(kw_only=True)
class Bench:
    """One twin, its releases, and how long each operation took when it was last seen whole."""

    name: str
    directory: Path
    say: Callable[[str], None]
    first: bool
    _seconds: dict[str, float] = field(default_factory=dict)
    _facts: BoardFacts | None = None
    _releases: int = 0

    def cut(self, points: int, own: range) -> list[Outcome]:
        """Cut the power at those of all points that are this twin's own."""
        with twin.running(SPEC, name=self.name, fresh=True) as endpoint, _connect(endpoint) as transport:
            self._facts = probe(transport)
            if not self.first:
                self._flash(transport, self._release())
            trial = self._release()
            recorder = self._flash_whole(transport, trial)
            self.say(", ".join(f"{item.name} {item.seconds:.2f} s" for item in recorder.record))
            cuts = spread(points, recorder.record)
            old, new = self._next(transport, trial)
            finished = self._flash_and_cut(endpoint, transport, new, cuts[own[0]])
        outcomes = []
        for number in own:
            with twin.running(SPEC, name=self.name) as endpoint, _connect(endpoint) as transport:
                outcome = self._judge(transport, cuts[number], old=old, new=new, finished=finished)
                outcomes.append(outcome)
                self.say(f"{number + 1}/{points} {outcome}")
                if outcome.problems:
                    # One point's damage must not count at the next.
                    transport.run(EMPTY_THE_BOARD)
                    self._flash(transport, new)
                if number != own[-1]:
                    old, new = self._next(transport, new)
                    finished = self._flash_and_cut(endpoint, transport, new, cuts[number + own.step])
        return outcomes

    def _release(self) -> Bundle:
        self._releases += 1
        return make_release(self.directory, self._releases)

    def _next(self, transport: Transport, active: Bundle) -> tuple[Bundle | None, Bundle]:
        """Return what the next flash replaces, None on a board that this empties, and what it brings."""
        if not self.first:
            return active, self._release()
        transport.run(EMPTY_THE_BOARD)
        return None, self._release()

    def _flash(self, transport: Transport, bundle: Bundle) -> FlashResult:
        assert self._facts is not None
        return flash(
            transport,
            bundle,
            board_name=BOARD,
            facts=self._facts,
            provenance=Provenance.QEMU_SYSTEM,
            clock=Clock.REAL,
            progress=SILENT,
            selftest_deadline_s=SELFTEST_DEADLINE_S,
        )

    def _flash_whole(self, transport: Transport, bundle: Bundle) -> Recorder:
        recorder = Recorder(transport)
        self._flash(recorder, bundle)
        self._seconds.update({item.name: item.seconds for item in recorder.record})
        return recorder

    def _flash_and_cut(self, endpoint: TwinEndpoint, transport: Transport, bundle: Bundle, cut: Cut) -> bool:
        """Flash until the power goes; returns whether the flash had been reported as done by then."""
        qemu = identify(endpoint.pid)
        if qemu is None:
            raise RuntimeError(f"the twin {self.name} ended by itself")

        def cut_power() -> None:
            kill(qemu)
            wait_for_exit(qemu, EXIT_DEADLINE_S)

        seconds = self._seconds[cut.name]
        try:
            self._flash(CuttingTransport(transport, cut, seconds=seconds, cut_power=cut_power), bundle)
        except ConnectionFailedError:
            return False
        finally:
            cut_power()
        return True

    def _judge(self, transport: Transport, cut: Cut, *, old: Bundle | None, new: Bundle, finished: bool) -> Outcome:
        """Look at a board that has started again, then flash the new release to the end."""
        problems = []
        found = status(transport, APP)
        before = old.digest if old else None
        active = {before: "old", new.digest: "new"}.get(found.current, "neither")
        if active == "neither":
            problems.append(f"{found.current} is active")
        else:
            problems += _damage(transport, found.directory, old if active == "old" else new)
        if found.current is not None and found.health is None:
            problems.append("nothing is known of the active release's health")
        if finished and active != "new":
            problems.append("the flash was reported as done, and is not")
        if not explained(found.unfinished, old=before, new=new.digest):
            problems.append(f"the journal says {found.unfinished}")
        try:
            if self.first:
                # The rest of a first flash takes less than all of the next one: no measure for it.
                self._flash(transport, new)
            else:
                self._flash_whole(transport, new)
        except EdgedeployError as error:
            problems.append(f"the next flash failed: {error.message}")
        else:
            problems += _leftovers(transport, found.directory, new)
            health = status(transport, APP).health
            if health is None or health.state != "proven":
                problems.append(f"after the next flash its health is {health}")
        remedy = found.unfinished.remedy if found.unfinished else None
        return Outcome(cut=cut, active=active, unfinished=remedy, problems=tuple(problems))


def explained(unfinished: Unfinished | None, *, old: str | None, new: str) -> bool:
    """Whether the cut explains what ``status`` says is unfinished.

    It is the flash that was cut off; or the one before it, to be finished: nothing waits until the disk has settled
    that a journal is gone, so a cut soon after can bring it back.
    """
    if unfinished is None:
        return True
    finished_before = old is not None and unfinished.to == old and unfinished.remedy == "finish"
    return not unfinished.holder and (unfinished.to == new or finished_before)


def _connect(endpoint: TwinEndpoint) -> SshTransport:
    return connect(endpoint.ssh, deadline_s=CONNECT_DEADLINE_S)


def _damage(transport: Transport, root: str, bundle: Bundle | None) -> list[str]:
    """Return what is wrong with the active release: any file's hash, or the golden self-test.

    Where none is to be active, a ``current`` that leads nowhere is wrong.
    """
    if bundle is None:
        named = transport.run(f"ls -ld '{root}/current' 2>/dev/null || true").stdout.strip()
        return [f"nothing is active, and yet there is {named}"] if named else []
    hashed = transport.run(f"cd '{root}/current' && sha256sum -c -", stdin=_listing(bundle), check=False)
    if hashed.exit_status != 0:
        return [f"the active release is damaged: {hashed.stdout.strip()} {hashed.stderr.strip()}"]
    try:
        run_selftest(transport, PurePosixPath(root) / "current", deadline_s=SELFTEST_DEADLINE_S)
    except EdgedeployError as error:
        return [error.message]
    return []


def _leftovers(transport: Transport, root: str, bundle: Bundle) -> list[str]:
    """Return what a whole flash left that it should not have, or did not make active whole."""
    script = (
        f"cd '{root}' && ls -A && ls -A store releases | grep '^[.]'; cd current && sha256sum --quiet -c - 2>&1; pwd -P"
    )
    names = transport.run(script, stdin=_listing(bundle), check=False).stdout.split()
    wanted = [*NAMES, f"{root}/releases/{bundle.digest}"]
    return [] if names == wanted else [f"after the next flash there is {' '.join(names)}"]


def _listing(bundle: Bundle) -> bytes:
    files = [(bundle.digest, "manifest.json"), *((item.sha256, str(item.path)) for item in bundle.files)]
    return "".join(f"{sha256}  {path}\n" for sha256, path in files).encode()
