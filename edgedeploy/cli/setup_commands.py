"""``init`` and ``doctor``: what comes before a model is touched."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgedeploy.build import tools as build_tools
from edgedeploy.build.zig import INSTALL, installed_zig
from edgedeploy.cli.console import print_json, stderr, stdout
from edgedeploy.cli.options import HERE, JsonOption
from edgedeploy.cycles import emulated as emulated_tools
from edgedeploy.cycles import llvm as llvm_tools
from edgedeploy.emulate import tools as emulate_tools
from edgedeploy.errors import MissingToolError, UsageError
from edgedeploy.paths import cache_dir, config_dir, resource_dir, state_dir
from edgedeploy.project import DEMO_DIRECTORY, PROJECT_FILE


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something a command needs: ``install`` is the command that brings it."""

    commands: str
    what: str
    install: str
    optional: bool = False


def register(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(doctor)


def init(
    directory: Annotated[Path, typer.Argument(file_okay=False, help="Where the project is to be.")] = HERE,
    as_json: JsonOption = False,
) -> None:
    """Write an edgedeploy.toml to start from: the demo's, every key explained."""
    target = directory.absolute() / PROJECT_FILE
    if target.exists():
        raise UsageError(f"{target} exists already", hint="edit it, or name another directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(resource_dir() / DEMO_DIRECTORY / PROJECT_FILE, target)
    if as_json:
        print_json({"project_file": str(target)})
    else:
        stdout.print(f"wrote {target}", markup=False)
        stderr.print("Next: edgedeploy flash --board rk3399 --emulated", markup=False)


def doctor(
    check: Annotated[bool, typer.Option("--check", help="Exit with 50 where something required is missing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is missing for each command, with the command that installs it."""
    missing = list(_missing())
    ok = all(need.optional for need in missing)
    if as_json:
        print_json({"ok": ok, "missing": [asdict(need) for need in missing], "directories": _directories()})
    else:
        _show(missing)
    if check and not ok:
        raise typer.Exit(MissingToolError.exit_code)


def _missing() -> Iterator[Need]:
    zig = installed_zig() is not None
    for program, package in build_tools.missing_tools():
        install = f"sudo apt-get install {package}"
        if zig and program.startswith(build_tools.CROSS_PREFIX):
            commands, what = "build --toolchain debian, cycles", f"{program}, optional"
            yield Need(commands=commands, what=what, install=install, optional=True)
        else:
            yield Need(commands="build, flash", what=program, install=install)
    for program, package in emulate_tools.missing_tools():
        yield Need(commands="emulator, --emulated", what=program, install=f"sudo apt-get install {package}")
    for program, package in (*emulated_tools.missing_tools(), *llvm_tools.missing_tools()):
        install = f"sudo apt-get install {package}"
        yield Need(commands="cycles", what=f"{program}, optional", install=install, optional=True)
    if importlib.util.find_spec("edgedeploy_ops") is None or importlib.util.find_spec("edgedeploy_ops._native") is None:
        yield Need(commands="convert, flash", what="edgedeploy_ops (native module)", install="pip install edgedeploy")
    if not zig:
        yield Need(commands="build --toolchain zig", what="ziglang, optional", install=INSTALL, optional=True)
    if importlib.util.find_spec("torch") is None:
        install = "pip install 'edgedeploy[torch]'"
        yield Need(commands="convert (TorchScript)", what="torch, optional", install=install, optional=True)
    if importlib.util.find_spec("distributed") is None:
        install = "pip install 'edgedeploy[dask]'"
        yield Need(commands="quantize --scheduler", what="distributed, optional", install=install, optional=True)


def _directories() -> dict[str, str]:
    return {"cache": str(cache_dir()), "state": str(state_dir()), "config": str(config_dir())}


def _show(missing: list[Need]) -> None:
    if missing:
        table = Table("for", "missing", "installs it", box=None, pad_edge=False)
        for need in missing:
            table.add_row(need.commands, need.what, need.install)
        stdout.print(table)
    else:
        stdout.print("Nothing is missing.")
    for name, directory in _directories().items():
        stdout.print(f"{name:7} {directory}", markup=False, soft_wrap=True)
