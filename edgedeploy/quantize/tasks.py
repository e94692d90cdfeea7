"""What tasks are: ``function(payload, argument)``, run by workers of any kind with the same results.

The payload (the network, the data) is sent once to each worker and stays there as one object, which may keep what it
has loaded for the next task; the arguments are small.

A task uses one thread, of the engine and of numpy's matrix products: tasks fill the cores, and with several threads
sums are shared out in another way, which changes their last digits.
"""

from __future__ import annotations

import importlib.metadata
import pickle
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from edgedeploy import __version__
from edgedeploy.errors import SchedulerError
from edgedeploy.graph.engine import EngineOptions

ONE_THREAD = EngineOptions(threads=1)
"""For float networks in tasks."""

Payload = TypeVar("Payload")
Argument = TypeVar("Argument")
Result = TypeVar("Result")
Done = Callable[[int], None]
"""Told after each task how many are done."""


class Workers(Protocol):
    """Runs tasks; a context manager that stops whatever it started."""

    @property
    def count(self) -> int:
        """How many tasks run at once."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about these workers, a sentence each."""

    def map(
        self,
        function: Callable[[Payload, Argument], Result],
        payload: Payload,
        arguments: Sequence[Argument],
        *,
        done: Done | None = None,
    ) -> list[Result]:
        """Run a task for each argument.

        Args:
            function: Defined at the top of a module, so that it pickles.
            payload: Sent to each worker once, also over several calls with the same object.

        Returns:
            A result for each argument, in their order.

        Raises:
            SchedulerError: Workers were lost, or cannot be sent to.
            EdgedeployError: The first that a task raised.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def pickled(payload: object) -> bytes:
    """Return an object as bytes.

    Raises:
        SchedulerError: It cannot be sent to another process.
    """
    try:
        return pickle.dumps(payload)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SchedulerError(
            f"the data or the metric cannot be sent to other processes: {error}",
            hint="define functions and classes at the top of a module; lambdas and open files do not travel",
        ) from error


def versions() -> dict[str, str]:
    """Return the versions that results depend on, for example ``{"ncnn": "1.0.20261020", "numpy": "2.4.6", ...}``."""
    named = {name: importlib.metadata.version(name) for name in ("ncnn", "numpy")}
    return {"edgedeploy": __version__, **named, "python": ".".join(platform.python_version_tuple()[:2])}


def instruction_sets() -> str:
    """Return what the engine chooses its code by on this CPU, for example ``x86_64 avx avx2 avx512f f16c fma``."""
    chosen = ("avx", "avx2", "f16c", "fma", "xop", "asimdhp", "asimddp", "asimdfhm", "i8mm", "bf16", "sve", "sve2")
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    line = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    found = {word for word in line.split() if word in chosen or word.startswith(("avx512", "avx_"))}
    return " ".join([platform.machine(), *sorted(found)])
