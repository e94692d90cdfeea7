"""A function of the user's, named ``FILE.py:FUNCTION`` or ``package.module:function``."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgedeploy.errors import close_matches


class UserFunctionError(Exception):
    """The function cannot be loaded. ``hint`` says what could be meant."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class UserFunction:
    """Where a function is. Pickles; a file travels as its text, so that another process needs no copy of it.

    Args:
        spec: As the user wrote it.
        module: The module's name, or the file's path.
        function: The function's name.
        directory: Modules are looked for here too.
        text: The file's; None for a module.
    """

    spec: str
    module: str
    function: str
    directory: Path
    text: str | None = None

    def load(self) -> Callable[..., Any]:
        """Return the function itself.

        Raises:
            UserFunctionError: The module cannot be imported, or has no such function.
        """
        try:
            with _searched(self.directory):
                module = importlib.import_module(self.module) if self.text is None else self._executed(self.text)
        except Exception as error:
            raise UserFunctionError(f"{self.spec} cannot be loaded: {described(error)}") from error
        found = getattr(module, self.function, None)
        if not callable(found):
            known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
            raise UserFunctionError(
                f"{self.module} has no function {self.function}", hint=close_matches(self.function, known)
            )
        return found  # type: ignore[no-any-return]

    def _executed(self, text: str) -> ModuleType:
        digest = hashlib.sha256(f"{self.module}\n{text}".encode()).hexdigest()
        module = ModuleType(f"edgedeploy_user_{digest[:16]}")
        module.__file__ = self.module
        # Dataclasses in the file look their module up.
        sys.modules[module.__name__] = module
        exec(compile(text, self.module, "exec"), module.__dict__)
        return module


def find_function(spec: str, directory: Path) -> UserFunction:
    """Return where the function is.

    Args:
        spec: ``FILE.py:FUNCTION``, the file relative to the directory, or ``package.module:function``.
        directory: Modules are looked for there too.

    Raises:
        UserFunctionError: Written in another way, or the file cannot be read.
    """
    place, _, function = spec.rpartition(":")
    if not place or not function.isidentifier():
        raise UserFunctionError(f"{spec} names no function", hint="write FILE.py:FUNCTION or package.module:function")
    if not place.endswith(".py"):
        return UserFunction(spec=spec, module=place, function=function, directory=directory)
    path = directory / place
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserFunctionError(f"{spec} cannot be loaded: {described(error)}", hint=f"looked for {path}") from error
    return UserFunction(spec=spec, module=str(path), function=function, directory=path.parent, text=text)


def described(error: Exception) -> str:
    """Return the kind of error, its text and the line that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


@contextmanager
def _searched(directory: Path) -> Iterator[None]:
    """Let imports find modules in a directory while the block runs."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))
