"""Tasks on a Dask cluster: a scheduler and its workers, wherever they run.

Dask is an extra, loaded only when it is used.
"""

from __future__ import annotations

import importlib
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from edgedeploy.errors import SchedulerError
from edgedeploy.quantize.blas_threads import limit_for_good
from edgedeploy.quantize.tasks import Argument, Done, Payload, Result, instruction_sets, pickled, versions

CONNECT_TIMEOUT_S = 20.0
"""For the scheduler to answer, and again for the first worker to be there."""
ALONE_TIMEOUT_S = 30.0
"""How long there may be no worker, or no scheduler, while tasks wait."""
ATTEMPTS = 3
"""How often tasks whose payload was lost with a worker are sent again."""
_POLL_S = 1.0


class DaskWorkers:
    """Workers behind a Dask scheduler. They need this package in the same version, but none of the user's files.

    Args:
        address: The scheduler's, for example ``tcp://10.0.0.5:8786``.
        connect_timeout_s: For the scheduler and the first worker to answer.
        alone_timeout_s: How long there may be no worker before it is given up.

    Raises:
        SchedulerError: Dask is not installed, the scheduler cannot be reached, it has no workers, or theirs are other
            versions.
    """

    def __init__(
        self,
        address: str,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        alone_timeout_s: float = ALONE_TIMEOUT_S,
    ) -> None:
        self._address = address
        self._alone_timeout_s = alone_timeout_s
        self._distributed = _distributed()
        self._client = self._connected(connect_timeout_s)
        self._shared: tuple[object, Any] | None = None
        try:
            self.notes = self._checked(connect_timeout_s)
        except BaseException:
            self._client.close(timeout=connect_timeout_s)
            raise

    @property
    def count(self) -> int:
        """How many tasks run at once: the threads of all workers."""
        return max(1, sum(int(worker["nthreads"]) for worker in self._workers().values()))

    def map(
        self,
        function: Callable[[Payload, Argument], Result],
        payload: Payload,
        arguments: Sequence[Argument],
        *,
        done: Done | None = None,
    ) -> list[Result]:
        """See ``Workers``. Tasks of a worker that was lost run again on another."""
        pickled(payload)
        results: dict[int, Result] = {}
        for _ in range(ATTEMPTS):
            missing = [place for place in range(len(arguments)) if place not in results]
            if not missing:
                break
            shared = self._share(payload)
            futures = {
                self._client.submit(_call, function, shared, arguments[place], versions(), pure=False): place
                for place in missing
            }
            try:
                self._collect(futures, results, done)
            finally:
                self._client.cancel(list(futures))
            if len(results) < len(arguments):
                self._shared = None  # it was lost with the workers that held it
        if len(results) < len(arguments):
            raise SchedulerError(
                f"workers of {self._address} were lost {ATTEMPTS} times with what they had been sent",
                hint="look at the workers' logs: most often their memory does not suffice",
            )
        return [results[place] for place in range(len(arguments))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared = None
        with suppress(Exception):  # the cluster may be gone
            self._client.run(_forget, on_error="ignore")
        self._client.close(timeout=CONNECT_TIMEOUT_S)

    def _connected(self, timeout_s: float) -> Any:
        try:
            return self._distributed.Client(
                self._address, timeout=timeout_s, set_as_default=False, name="edgedeploy", direct_to_workers=False
            )
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise SchedulerError(
                f"the Dask scheduler {self._address} cannot be reached in {timeout_s:g} s: {error}",
                hint="start one with: dask scheduler; and on each machine: dask worker ADDRESS",
            ) from error

    def _checked(self, timeout_s: float) -> tuple[str, ...]:
        """Hold the workers' versions against ours; return notes."""
        try:
            self._client.wait_for_workers(1, timeout=timeout_s)
            facts = self._client.run(_facts, on_error="return")
        except (OSError, TimeoutError) as error:
            raise SchedulerError(
                f"the Dask scheduler {self._address} has no workers after {timeout_s:g} s",
                hint="start workers: dask worker ADDRESS",
            ) from error
        for worker, found in facts.items():
            if not isinstance(found, _Facts):
                raise SchedulerError(
                    f"the worker {worker} cannot run edgedeploy: {type(found).__name__}: {found}",
                    hint=f"install this version there: {_wanted(versions())}",
                )
            _require_same(worker, found.versions, versions())
        others = {found.instruction_sets for found in facts.values()} - {instruction_sets()}
        if not others:
            return ()
        return ("some workers have CPUs of another kind than this machine: last digits may differ from a local run",)

    def _workers(self) -> dict[str, Any]:
        """The workers by address; none where the scheduler is gone."""
        try:
            return dict(self._client.scheduler_info(n_workers=-1)["workers"])
        except OSError:
            return {}

    def _share(self, payload: object) -> Any:
        """Send the payload to every worker once."""
        if self._shared is None or self._shared[0] is not payload:
            self._shared = None
            holder = _Holder(uuid.uuid4().hex, payload)
            try:
                future = self._client.scatter(
                    holder, broadcast=True, hash=False, direct=False, timeout=self._alone_timeout_s
                )
            except (OSError, TimeoutError) as error:
                raise self._alone() from error
            self._shared = (payload, future)
        return self._shared[1]

    def _collect(self, futures: dict[Any, int], results: dict[int, Result], done: Done | None) -> None:
        """Wait for tasks; those whose payload was lost are left out of the results.

        Raises:
            Exception: The first error by the order of the tasks, as it is everywhere else.
        """
        waiting = dict(futures)
        errors: dict[int, BaseException] = {}
        alone_since: float | None = None
        while waiting and (not errors or min(waiting.values()) < min(errors)):
            if not self._wait(waiting):
                alone_since = self._since_alone(alone_since)
                continue
            alone_since = None
            for future, place in sorted(waiting.items(), key=lambda item: item[1]):
                if not future.done():
                    continue
                del waiting[future]
                if future.status == "error":
                    errors[place] = future.exception(timeout=self._alone_timeout_s)
                elif future.status == "finished" and self._fetched(future, place, results) and done:
                    done(len(results))
        if errors:
            raise self._translated(errors[min(errors)])

    def _wait(self, futures: dict[Any, int]) -> bool:
        """Wait a moment; return whether any has ended."""
        try:
            with self._client.as_current():
                self._distributed.wait(list(futures), timeout=_POLL_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return False
        except (self._distributed.client.FutureCancelledError, self._distributed.client.FuturesCancelledError):
            pass
        return True

    def _fetched(self, future: Any, place: int, results: dict[int, Result]) -> bool:
        """Fetch a result; one that was lost with its worker since is left out."""
        try:
            results[place] = future.result(timeout=self._alone_timeout_s)
        except (OSError, TimeoutError, self._distributed.client.FutureCancelledError):
            return False
        return True

    def _translated(self, error: BaseException) -> BaseException:
        if not isinstance(error, self._distributed.scheduler.KilledWorker):
            return error
        return SchedulerError(
            f"a task ended every worker it was given to: {error}",
            hint="look at the workers' logs: most often their memory does not suffice",
        )

    def _since_alone(self, since: float | None) -> float | None:
        """Return since when there is nobody to work; give up after the deadline."""
        if self._client.status == "running" and self._workers():
            return None
        now = time.monotonic()
        if since is not None and now - since > self._alone_timeout_s:
            raise self._alone()
        return since if since is not None else now

    def _alone(self) -> SchedulerError:
        return SchedulerError(
            f"the Dask scheduler {self._address} is gone, or has had no worker for {self._alone_timeout_s:g} s",
            hint="look at the logs of scheduler and workers, and start again",
        )


@dataclass(frozen=True)
class _Holder:
    """Around the payload: Dask takes lists and dictionaries apart. Copies of one are equal."""

    token: str
    payload: Any = field(compare=False)


@dataclass(frozen=True)
class _Facts:
    versions: dict[str, str]
    instruction_sets: str


def _facts() -> _Facts:
    return _Facts(versions(), instruction_sets())


def _call(
    function: Callable[[Any, Argument], Result], holder: _Holder, argument: Argument, wanted: dict[str, str]
) -> Result:
    # Asked with every task: workers may have come later than the first check.
    _require_same("a worker", versions(), wanted)
    limit_for_good()
    return function(_kept(holder), argument)


@lru_cache(maxsize=1)
def _kept(holder: _Holder) -> Any:
    """The worker's one copy. Dask itself drops copies that no task waits for, and with them what they have loaded."""
    return holder.payload


def _forget() -> None:
    _kept.cache_clear()


def _require_same(worker: str, found: dict[str, str], wanted: dict[str, str]) -> None:
    if found != wanted:
        raise SchedulerError(
            f"{worker} has {_wanted(found)}, and this machine {_wanted(wanted)}",
            hint="install the same versions on every worker: results depend on them",
        )


def _wanted(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise SchedulerError(
            "Dask is not installed here", hint="pip install 'edgedeploy[dask]', here and on the workers"
        ) from error
