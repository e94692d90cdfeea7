"""Tasks in this process, or in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgedeploy.errors import SchedulerError
from edgedeploy.quantize.blas_threads import limit_for_good, one_blas_thread
from edgedeploy.quantize.tasks import Argument, Done, Payload, Result, pickled


class SerialWorkers:
    """One task after the other in this process."""

    count = 1
    notes: tuple[str, ...] = ()

    def map(
        self,
        function: Callable[[Payload, Argument], Result],
        payload: Payload,
        arguments: Sequence[Argument],
        *,
        done: Done | None = None,
    ) -> list[Result]:
        """See ``Workers``."""
        results: list[Result] = []
        with one_blas_thread():
            for argument in arguments:
                results.append(function(payload, argument))
                if done:
                    done(len(results))
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class LocalWorkers:
    """Processes of this machine.

    They are spawned, not forked: the engine's OpenMP threads do not survive a fork. A program of one's own that uses
    this needs the usual ``if __name__ == "__main__":`` around its main part.

    Args:
        processes: None: one a core that this process may use.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, processes: int | None = None) -> None:
        self.count = processes or len(os.sched_getaffinity(0))
        self._pool = ProcessPoolExecutor(self.count, mp_context=multiprocessing.get_context("spawn"))
        self._directory = tempfile.TemporaryDirectory(prefix="edgedeploy-workers-")
        self._sent: tuple[object, Path] | None = None
        self._payloads = 0

    def map(
        self,
        function: Callable[[Payload, Argument], Result],
        payload: Payload,
        arguments: Sequence[Argument],
        *,
        done: Done | None = None,
    ) -> list[Result]:
        """See ``Workers``."""
        path = self._send(payload)
        futures: list[Future[Result]] = []
        try:
            futures += [self._pool.submit(_call, function, path, argument) for argument in arguments]
            for count, future in enumerate(as_completed(futures), 1):
                if future.exception() is not None:
                    break
                if done:
                    done(count)
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise SchedulerError(
                f"one of {self.count} worker processes ended before its task did",
                hint="memory may not suffice: use fewer processes; a script of your own needs its main part "
                'under if __name__ == "__main__"',
            ) from error
        finally:
            for future in futures:
                future.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._directory.cleanup()

    def _send(self, payload: object) -> Path:
        """Write the payload to a file once; workers read it from there."""
        if self._sent is None or self._sent[0] is not payload:
            self._payloads += 1
            path = Path(self._directory.name) / f"payload-{self._payloads}"
            path.write_bytes(pickled(payload))
            self._sent = (payload, path)
        return self._sent[1]


def _call(function: Callable[[Any, Argument], Result], path: Path, argument: Argument) -> Result:
    limit_for_good()
    return function(_payload_at(path), argument)


@lru_cache(maxsize=1)
def _payload_at(path: Path) -> Any:
    """The worker's one copy: it keeps what the payload has loaded from task to task."""
    return pickle.loads(path.read_bytes())
