"""Sending what the board lacks: one stream where a program there can unpack it, else whole files one by one.

The program is the active release's runner, or on a board with trusted keys the one that checks signatures. Where
neither can, a small one goes ahead of the stream, gzipped, and where that does not do, the new release's own; but not
if the board trusts keys: nothing runs there before its signature is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import PurePosixPath

from edgedeploy.artifacts import BundleFile
from edgedeploy.deploy import push_scripts, scripts
from edgedeploy.deploy.known import KnownFiles
from edgedeploy.deploy.layout import INSTALLER, RUNNER
from edgedeploy.deploy.remote import read_report, report_lines, script_deadline_s, script_error
from edgedeploy.deploy.script_parts import LOCK_LOST_STATUS
from edgedeploy.deploy.scripts import command
from edgedeploy.deploy.steps import RunningStep
from edgedeploy.deploy.stream import Base, Outgoing, can_install, can_receive, gzipped, gzipped_whole, write_stream
from edgedeploy.deploy.survey import Partial
from edgedeploy.deploy.visit import Visit
from edgedeploy.errors import EdgedeployError
from edgedeploy.files import start_sha256
from edgedeploy.transport.exchange import changed_error, write_error
from edgedeploy.transport.protocol import CommandResult

DAMAGED_STREAM_STATUS = 11
# Of a shell that cannot start a program, and of one that an instruction unknown to the core ends.
NOT_RUN_STATUSES = (126, 127, 132)


@dataclass
class Pushing:
    """The push of one flash.

    Args:
        files: One for each content that the board lacks.
        digest, listing: What the script that stores the files wants to know; it comes with the last of them.
        stored: What that script said, where it came so.
        based_on: SHA-256 of those that were packed against files of the board, so far.
    """

    visit: Visit
    known: KnownFiles
    files: tuple[BundleFile, ...]
    digest: str
    listing: str
    stored: CommandResult | None = None
    based_on: set[str] = field(default_factory=set)
    _step: RunningStep | None = None
    _done_bytes: int = 0

    def push(self, step: RunningStep, *, afresh: bool = False) -> None:
        """Send the files to temporary names in the store, less what an earlier flash sent of them.

        Args:
            step: Gets the progress and a note.
            afresh: Pack against nothing that the board has, and send whole files.
        """
        self._step = step
        partial = {} if afresh else self.visit.survey.partial
        bases = {} if afresh else self._bases()
        outgoing = [
            Outgoing(
                file=file,
                offset=resume_offset(file, partial.get(file.sha256)),
                base=bases.get(file.path),
            )
            for file in self.files
        ]
        self._send(outgoing)
        resumed = sum(item.offset for item in outgoing)
        step.note = f"{len(outgoing)} files" if outgoing else "nothing to send"
        if self.based_on:
            step.note += f", {len(self.based_on)} as changes of what was there"
        if resumed:
            step.note += f", {resumed:,} bytes were there already"

    def _send(self, outgoing: list[Outgoing]) -> None:
        receiver = self.visit.survey.receiver
        runner = next((item for item in outgoing if item.file is self._runner), None)
        if not outgoing:
            return
        if receiver is not None:
            self._stream(receiver, outgoing)
            return
        if self._bootstrap(outgoing):
            return
        if runner is not None and not self.visit.survey.has_trusted_keys and can_receive(runner.file.source):
            self._send_runner(runner)
            rest = [item for item in outgoing if item is not runner]
            if not rest or self._stream(f"./{self._incoming(runner.file)}", rest, is_new=True):
                return
            outgoing = rest
        for item in outgoing:
            self._put(item)

    def _bootstrap(self, outgoing: list[Outgoing]) -> bool:
        """Send the small program and the files behind it; return False where there is none or it does not run."""
        survey = self.visit.survey
        installer = self._runner.source.with_name(INSTALLER) if self._runner else None
        if survey.has_trusted_keys or not survey.has_gzip or installer is None or not installer.is_file():
            return False
        program = gzipped_whole(installer)
        runs = self._feed(push_scripts.BOOTSTRAP, (str(len(program)),), outgoing, program=program)
        if not runs:
            self.visit.run_script("forget", push_scripts.FORGET)
        return runs

    def _stream(self, receiver: str, outgoing: list[Outgoing], *, is_new: bool = False) -> bool:
        """Send files as one stream; return False where a receiver that is new does not run there."""
        installs = can_install(self._runner.source) if is_new and self._runner else self.visit.survey.installs
        script = push_scripts.INSTALL if installs else scripts.RECEIVE
        return self._feed(script, (receiver, "new" if is_new else "proven"), outgoing)

    def _feed(self, script: str, arguments: tuple[str, ...], outgoing: list[Outgoing], *, program: bytes = b"") -> bool:
        """Send files, and ``program`` ahead of them; return False where what is to receive them does not run."""
        self.based_on.update(item.file.sha256 for item in outgoing if item.base)
        lock = (str(self.visit.survey.root), self.visit.owner.token)
        store = (self.digest, str(self.listing.count("\n")))
        result = self.visit.transport.stream(
            command("receive", script, *lock, *store, *arguments),
            chain([program] if program else [], write_stream(outgoing, self._show), [self.listing.encode()]),
            stall_s=script_deadline_s(2 * sum(file.size_bytes for file in self.files)),
        )
        if "unable" in dict(report_lines(result)) or (program and result.exit_status in NOT_RUN_STATUSES):
            return False
        if result.exit_status == 0:
            self._done_bytes += sum(item.file.size_bytes - item.offset for item in outgoing)
            self.stored = read_report(result)
            return True
        bases = [item.base for item in outgoing if item.base]
        is_misfit = result.exit_status == DAMAGED_STREAM_STATUS and any(item.base or item.offset for item in outgoing)
        if is_misfit or any(f"{base.on_board}: " in result.stderr for base in bases):
            # What the stream builds on is not what it was, or not there: nothing of the board is trusted then.
            whole = [replace(item, base=None, offset=0) for item in outgoing]
            self.based_on.difference_update(item.file.sha256 for item in outgoing)
            return self._feed(script, arguments, whole, program=program)
        raise self._error(result, "the stream of files")

    @property
    def _runner(self) -> BundleFile | None:
        return next((file for file in self.files if file.path == PurePosixPath(RUNNER)), None)

    def _send_runner(self, item: Outgoing) -> None:
        if not self.visit.survey.has_gzip:
            self._put(item)
            return
        numbers = (f"{item.file.mode:o}", str(item.offset))
        arguments = (str(self.visit.survey.root), self.visit.owner.token, item.file.sha256, *numbers)
        result = self.visit.transport.stream(
            command("unzip", push_scripts.UNZIP, *arguments), gzipped(item, self._show)
        )
        if result.exit_status == push_scripts.CHANGED_STATUS:
            raise changed_error(self._incoming(item.file), self.visit.transport.description)
        if result.exit_status != 0:
            raise self._error(result, str(item.file.path))
        self._done_bytes += item.file.size_bytes - item.offset

    def _put(self, item: Outgoing) -> None:
        destination = self.visit.survey.root / self._incoming(item.file)

        def show(sent: int, _: int) -> None:
            self._show(sent - item.offset, item.file)

        self.visit.transport.put(item.file.source, destination, mode=item.file.mode, offset=item.offset, on_bytes=show)
        self._done_bytes += item.file.size_bytes - item.offset

    def _error(self, result: CommandResult, what: str) -> EdgedeployError:
        if result.exit_status == LOCK_LOST_STATUS:
            return script_error(self.visit.transport, "receive", result)
        said = result.stderr.strip() or f"status {result.exit_status}"
        return write_error(what, self.visit.transport.description, said.splitlines()[-1].removeprefix("error: "))

    def _incoming(self, file: BundleFile) -> PurePosixPath:
        return PurePosixPath("store") / f".incoming-{self.visit.owner.token}-{file.sha256}"

    def _show(self, sent: int, file: BundleFile) -> None:
        total = sum(item.size_bytes for item in self.files)
        if self._step is not None:
            self._step.task.update(self._done_bytes + sent, total, str(file.path), unit="bytes")

    def _bases(self) -> dict[PurePosixPath, Base]:
        """Return older files of the same names: of the active release, else of the latest that both sides have."""
        survey = self.visit.survey
        releases = [survey.current, *reversed([item.to for item in survey.history]), *survey.releases]
        bases: dict[PurePosixPath, Base] = {}
        for release in dict.fromkeys(releases):
            if not self.files or release not in survey.releases:
                continue
            for path, sha256 in self.known.files_of(release).items():
                wanted = any(file.path == path for file in self.files) and path not in bases
                source = self.known.path_of(sha256) if wanted else None
                if source is not None:
                    bases[path] = Base(on_board=PurePosixPath("releases") / release / path, source=source)
        return bases


def resume_offset(file: BundleFile, partial: Partial | None) -> int:
    """Return how many bytes of a file need not be sent: what the board has is the file's start, or it is 0."""
    if partial is None or partial.size_bytes > file.size_bytes:
        return 0
    return partial.size_bytes if start_sha256(file.source, partial.size_bytes) == partial.sha256 else 0
