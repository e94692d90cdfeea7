"""One thread for numpy's matrix products.

The BLAS shares a product out to as many threads as there are cores, and the last digits depend on how. One thread gives
the same results everywhere; it is also faster where the matrices are small or other work keeps the cores busy, since
the BLAS's threads wait for each other by spinning.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


def one_blas_thread() -> AbstractContextManager[Any]:
    """Limit numpy to one thread while the block runs. For the whole process: not for threads that come and go."""
    return threadpool_limits(limits=1, user_api="blas")  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def limit_for_good() -> None:
    """Limit numpy to one thread until the process ends: for processes that do nothing else than tasks."""
    one_blas_thread().__enter__()
