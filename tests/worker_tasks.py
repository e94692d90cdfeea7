"""Tasks for the tests of workers: what workers are given has to be found by name in their processes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from edgedeploy.errors import MetricError


@dataclass
class Counter:
    """A payload that remembers what its process did with it."""

    offset: int = 0
    calls: list[int] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return {"offset": self.offset, "calls": []}


def add(payload: Counter, argument: int) -> int:
    return payload.offset + argument


def count_calls(payload: Counter, argument: int) -> tuple[int, int]:
    """Return the process and how many calls this very payload has seen."""
    time.sleep(0.02)
    payload.calls.append(argument)
    return os.getpid(), len(payload.calls)


def process_of(payload: object, argument: int) -> int:
    return os.getpid()


def add_slowly(payload: Counter, argument: int) -> int:
    time.sleep(0.2)
    return payload.offset + argument


def fail_at(payload: int, argument: int) -> int:
    if argument >= payload:
        raise MetricError(f"no score for {argument}", hint="try another")
    return argument


def end_process(payload: object, argument: int) -> int:
    os._exit(3)


def end_process_once(payload: Path, argument: int) -> int:
    """End the process that comes here first; the file says that one did."""
    try:
        payload.touch(exist_ok=False)
    except FileExistsError:
        time.sleep(0.05)
        return argument
    os._exit(3)


def blas_threads(payload: object, argument: int) -> int:
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
