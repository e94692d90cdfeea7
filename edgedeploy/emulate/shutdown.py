"""End a twin: first the guest's own way, so that its disk is in order, then harder ones."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edgedeploy.emulate.monitor import Monitor, MonitorError, request_poweroff
from edgedeploy.emulate.processes import ProcessIdentity, kill, wait_for_exit

POWEROFF_DEADLINE_S = 20.0
QUIT_DEADLINE_S = 5.0
KILL_DEADLINE_S = 10.0


def shut_down(
    directory: Path,
    process: ProcessIdentity,
    *,
    control_socket: str,
    monitor_socket: str,
    poweroff_deadline_s: float = POWEROFF_DEADLINE_S,
) -> bool:
    """Power the guest off; where it does not answer in time, quit QEMU, then kill it.

    Returns:
        Whether the guest shut down by itself: its file system was unmounted.
    """
    if request_poweroff(directory, control_socket) and wait_for_exit(process, poweroff_deadline_s):
        return True
    # QEMU may be gone before it answers.
    with contextlib.suppress(MonitorError), Monitor(directory, monitor_socket, timeout_s=QUIT_DEADLINE_S) as monitor:
        monitor.execute("quit")
    if not wait_for_exit(process, QUIT_DEADLINE_S):
        kill(process)
        wait_for_exit(process, KILL_DEADLINE_S)
    return False
