"""What transports around another one share: its name, its traffic, its end."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from edgedeploy.transport.protocol import Traffic, Transport


class WrappedTransport:
    """Speaks for ``inner`` in all but the operations, which are the subclass's own."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    @property
    def description(self) -> str:
        return self._inner.description

    @property
    def traffic(self) -> Traffic:
        return self._inner.traffic

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
