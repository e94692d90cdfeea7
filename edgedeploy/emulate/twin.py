"""Start, stop and find twins. A twin is a name (its board's, usually), a directory with disk and keys, and one QEMU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgedeploy.artifacts import Clock, TwinEndpoint
from edgedeploy.emulate.disk import ensure_overlay
from edgedeploy.emulate.image import TwinImage, ensure_image
from edgedeploy.emulate.initramfs import twin_archive
from edgedeploy.emulate.keys import HOST_KEY, KNOWN_HOSTS, USER_KEY, KeyPair, ensure_key_pair, known_hosts_line
from edgedeploy.emulate.machine import (
    CONTROL_SOCKET,
    INITRAMFS,
    MONITOR_SOCKET,
    NETWORK,
    TwinSpec,
    qemu_command,
    vcpus_on,
)
from edgedeploy.emulate.monitor import Monitor, MonitorError
from edgedeploy.emulate.processes import kill as kill_process
from edgedeploy.emulate.processes import wait_for_exit
from edgedeploy.emulate.recipe import recipe_for
from edgedeploy.emulate.shutdown import KILL_DEADLINE_S, POWEROFF_DEADLINE_S, shut_down
from edgedeploy.emulate.starter import HeldQemu
from edgedeploy.emulate.state import LOCK_FILE, STATE_FILE, TwinState, read_state, twin_dir, twins_dir, write_state
from edgedeploy.emulate.tools import require_tools
from edgedeploy.errors import EmulatorBootError, EmulatorNotRunningError, close_matches
from edgedeploy.files import exclusive
from edgedeploy.progress import SILENT, Progress

BOOT_DEADLINE_S = 120.0
LIFETIME_S = 4 * 3600.0
HELD_LIFETIME_S = 2 * 3600.0
LOCK_MARGIN_S = 30.0


def up(
    spec: TwinSpec,
    *,
    name: str,
    clock: Clock = Clock.REAL,
    fresh: bool = False,
    progress: Progress = SILENT,
    deadline_s: float = BOOT_DEADLINE_S,
    lifetime_s: float = LIFETIME_S,
) -> TwinEndpoint:
    """Start a twin that lives on after this process; one that already runs as asked for is returned as it is.

    Args:
        fresh: Drop what the guest changed on its disk, and start anew.
        deadline_s: Seconds from QEMU's start to the SSH server's greeting.
        lifetime_s: Seconds after which the twin shuts itself down.

    Raises:
        MissingToolError: A program of the host is missing.
        ImageBuildError: The image could not be made.
        EmulatorBootError: It did not come up; nothing is left running.
    """
    image = ensure_image(progress=progress, recipe=recipe_for(spec.architecture))
    with _locked(name, deadline_s) as directory:
        state = read_state(directory)
        if state is not None:
            if not fresh and _runs_as_asked(state, spec, clock):
                return state.to_endpoint(directory)
            progress.say(f"{name} runs with other settings or is to start afresh: stopping it first")
            _stop(directory, state)
        held = _boot(
            directory,
            image=image,
            spec=spec,
            name=name,
            clock=clock,
            fresh=fresh,
            progress=progress,
            deadline_s=deadline_s,
            lifetime_s=lifetime_s,
        )
        try:
            endpoint = _require(directory).to_endpoint(directory)
            held.detach()
        finally:
            held.end()
    return endpoint


@contextmanager
def running(
    spec: TwinSpec,
    *,
    name: str,
    clock: Clock = Clock.REAL,
    fresh: bool = False,
    progress: Progress = SILENT,
    deadline_s: float = BOOT_DEADLINE_S,
    lifetime_s: float = HELD_LIFETIME_S,
) -> Iterator[TwinEndpoint]:
    """Run a twin during the block only: it is shut down at the end, and ends with this process however that ends.

    A twin of the name that runs already is stopped first.
    """
    image = ensure_image(progress=progress, recipe=recipe_for(spec.architecture))
    with _locked(name, deadline_s) as directory:
        state = read_state(directory)
        if state is not None:
            _stop(directory, state)
        held = _boot(
            directory,
            image=image,
            spec=spec,
            name=name,
            clock=clock,
            fresh=fresh,
            progress=progress,
            deadline_s=deadline_s,
            lifetime_s=lifetime_s,
        )
    try:
        yield _require(directory).to_endpoint(directory)
    finally:
        try:
            state = read_state(directory)
            if state is not None and state.process == held.process:
                with progress.task(f"shutting {name} down"):
                    _stop(directory, state)
        finally:
            held.end()


def down(name: str, *, progress: Progress = SILENT, deadline_s: float = POWEROFF_DEADLINE_S) -> bool:
    """Shut a twin down; its disk keeps what the guest wrote.

    Returns:
        Whether the guest shut down in order within the deadline. Otherwise QEMU was ended; the guest's journal brings
        its file system in order at the next start.

    Raises:
        EmulatorNotRunningError: It does not run.
    """
    with _locked(name, deadline_s) as directory:
        state = _require(directory)
        with progress.task(f"shutting {name} down"):
            return _stop(directory, state, poweroff_deadline_s=deadline_s)


def kill(name: str) -> None:
    """Cut a twin's power: its QEMU is killed, the guest gets no chance to write anything.

    Raises:
        EmulatorNotRunningError: It does not run.
    """
    directory = twin_dir(name)
    state = _require(directory)
    kill_process(state.process)
    wait_for_exit(state.process, KILL_DEADLINE_S)


def set_link(name: str, *, connected: bool) -> None:
    """Plug a twin's network cable in, or pull it out.

    Raises:
        EmulatorNotRunningError: It does not run, or its QEMU does not answer.
    """
    directory = twin_dir(name)
    _require(directory)
    try:
        with Monitor(directory, MONITOR_SOCKET) as monitor:
            monitor.execute("set_link", name=NETWORK, up=connected)
    except MonitorError as error:
        hint = f"edgedeploy emulator down {name}, then up again"
        raise EmulatorNotRunningError(f"the twin {name} does not answer: {error}", hint=hint) from None


def endpoint(name: str) -> TwinEndpoint:
    """Return where a running twin answers.

    Raises:
        EmulatorNotRunningError: It does not run.
    """
    directory = twin_dir(name)
    return _require(directory).to_endpoint(directory)


def list_twins() -> tuple[TwinEndpoint, ...]:
    """Return the twins that run now, by name."""
    directories = sorted(path for path in twins_dir().glob("*") if path.is_dir())
    states = [(directory, read_state(directory)) for directory in directories]
    return tuple(state.to_endpoint(directory) for directory, state in states if state is not None)


def _runs_as_asked(state: TwinState, spec: TwinSpec, clock: Clock) -> bool:
    wanted = (spec.board, spec.cpu, vcpus_on(spec, clock), spec.memory_mib, clock)
    return (state.board, state.cpu, state.vcpus, state.memory_mib, state.clock) == wanted


@contextmanager
def _locked(name: str, deadline_s: float) -> Iterator[Path]:
    directory = twin_dir(name)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with exclusive(directory / LOCK_FILE, deadline_s=deadline_s + LOCK_MARGIN_S) as held:
            if not held:
                raise EmulatorBootError(
                    f"another process has been starting or stopping {name} for {deadline_s + LOCK_MARGIN_S:.0f} s",
                    hint=f"end that process; {directory / LOCK_FILE} shows who holds it (fuser, lsof)",
                )
            yield directory
    except OSError as error:
        message = f"the twin's files in {directory} cannot be written: {error}"
        raise EmulatorBootError(message, hint="check the free disk space and who owns the directory") from error


def _boot(
    directory: Path,
    *,
    image: TwinImage,
    spec: TwinSpec,
    name: str,
    clock: Clock,
    fresh: bool,
    progress: Progress,
    deadline_s: float,
    lifetime_s: float,
) -> HeldQemu:
    """Boot a twin, write its state file, and return the QEMU still held."""
    require_tools()
    ensure_overlay(directory, image, fresh=fresh, progress=progress)
    host_key = _write_identity(directory, image, name)
    command = qemu_command(spec, clock=clock, kernel=image.kernel)
    with progress.task(f"booting {name} ({spec.cpu}, {clock.value} clock)") as task:
        begin = time.monotonic()
        held = HeldQemu(directory, command, lifetime_s=lifetime_s)
        try:
            process = held.wait_until_started()
            port = held.wait_for_login(deadline_s=deadline_s, task=task)
            state = TwinState(
                name=name,
                board=spec.board,
                cpu=spec.cpu,
                vcpus=vcpus_on(spec, clock),
                memory_mib=spec.memory_mib,
                clock=clock,
                port=port,
                boot_s=round(time.monotonic() - begin, 3),
                process=process,
            )
            (directory / KNOWN_HOSTS).write_text(known_hosts_line(port, host_key.public), encoding="ascii")
            write_state(directory, state)
        except BaseException:
            held.end()
            raise
    return held


def _write_identity(directory: Path, image: TwinImage, name: str) -> KeyPair:
    """Write the twin's initramfs: the image's, and behind it the keys and the name that make it this twin."""
    host_key = ensure_key_pair(directory / HOST_KEY, comment=name)
    user_key = ensure_key_pair(directory / USER_KEY, comment=f"edgedeploy-{name}")
    files = {
        HOST_KEY: host_key.private,
        f"{HOST_KEY}.pub": f"{host_key.public} {name}\n".encode(),
        "authorized_keys": f"{user_key.public}\n".encode(),
        "hostname": f"{name.replace('.', '-').replace('_', '-')}\n".encode(),
    }
    (directory / INITRAMFS).write_bytes(image.initramfs.read_bytes() + twin_archive(files))
    return host_key


def _require(directory: Path) -> TwinState:
    state = read_state(directory)
    if state is None:
        names = [item.name for item in list_twins()]
        near = close_matches(directory.name, names) if names else ""
        hint = f"edgedeploy emulator up {directory.name}" + (f" ({near})" if near else "")
        raise EmulatorNotRunningError(f"the twin {directory.name} is not running", hint=hint)
    return state


def _stop(directory: Path, state: TwinState, *, poweroff_deadline_s: float = POWEROFF_DEADLINE_S) -> bool:
    clean = shut_down(
        directory,
        state.process,
        control_socket=CONTROL_SOCKET,
        monitor_socket=MONITOR_SOCKET,
        poweroff_deadline_s=poweroff_deadline_s,
    )
    (directory / STATE_FILE).unlink(missing_ok=True)
    return clean
