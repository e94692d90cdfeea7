"""Where independent tasks run: in this process, in processes of this machine, or on a Dask cluster. Same results."""

from __future__ import annotations

from edgedeploy.quantize.dask_workers import DaskWorkers
from edgedeploy.quantize.local_workers import LocalWorkers, SerialWorkers
from edgedeploy.quantize.tasks import Workers

__all__ = ["DaskWorkers", "LocalWorkers", "SerialWorkers", "Workers", "open_workers"]


def open_workers(*, scheduler: str | None = None, processes: int | None = None) -> Workers:
    """Return workers on a Dask cluster where a scheduler's address is given, else processes of this machine.

    Args:
        scheduler: For example ``tcp://10.0.0.5:8786``.
        processes: On this machine; None: one a core; 1: no other process at all.

    Raises:
        SchedulerError: The scheduler cannot be used.
    """
    if scheduler is not None:
        return DaskWorkers(scheduler)
    return SerialWorkers() if processes == 1 else LocalWorkers(processes)
