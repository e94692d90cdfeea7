"""Groups of commands whose modules are loaded when they are called: loading all takes longer than most commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group


class _Commands(MutableMapping[str, Any]):
    """Commands by name, in the order of help; those of other modules are made when they are asked for."""

    def __init__(self, made: Mapping[str, Any], modules: Mapping[str, str]) -> None:
        self._made: dict[str, Any] = {**made, **dict.fromkeys(modules)}
        self._modules = modules

    def __getitem__(self, name: str) -> Any:
        if self._made[name] is None:
            scratch = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
            import_module(self._modules[name]).register(scratch)
            self._made |= get_group(scratch).commands
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def lazy_group(modules: Mapping[str, str]) -> type[TyperGroup]:
    """Return a class for ``typer.Typer(cls=...)``.

    Args:
        modules: Command name -> module, whose ``register(app)`` adds it to an app, maybe with others of these.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = _Commands(self.commands, modules)

        def list_commands(self, ctx: Any) -> list[str]:
            """Return the names; nothing is loaded for them."""
            return list(self.commands)

    return LazyGroup
