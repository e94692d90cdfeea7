"""The command ``edgedeploy``: the list of its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import edgedeploy
from edgedeploy.cli.console import keep_traceback, print_error, print_json, stderr
from edgedeploy.cli.lazy import lazy_group
from edgedeploy.cli.limits import join_percent
from edgedeploy.errors import EXIT_USAGE, EdgedeployError, UsageError

EXIT_INTERRUPTED = 130

COMMANDS = {
    "init": "edgedeploy.cli.setup_commands",
    "doctor": "edgedeploy.cli.setup_commands",
    "convert": "edgedeploy.cli.model_commands",
    "build": "edgedeploy.cli.model_commands",
    "quantize": "edgedeploy.cli.quantize_commands",
    "flash": "edgedeploy.cli.flash_commands",
    "status": "edgedeploy.cli.flash_commands",
    "rollback": "edgedeploy.cli.flash_commands",
    "bench": "edgedeploy.cli.bench_commands",
    "report": "edgedeploy.cli.bench_commands",
    "compare": "edgedeploy.cli.bench_commands",
    "cycles": "edgedeploy.cli.cycles_commands",
    "boards": "edgedeploy.cli.board_commands",
    "emulator": "edgedeploy.cli.emulator_commands",
    "keys": "edgedeploy.cli.key_commands",
}
"""Each command's module, in the order of ``--help``."""

app = typer.Typer(
    name="edgedeploy",
    cls=lazy_group(COMMANDS),
    help="From a trained model to a verified, measured release on an ARM Linux board.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgedeploy {edgedeploy.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line of this process and exit with the error tree's code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command line.

    Args:
        arguments: Words after the program's name.

    Returns:
        The exit code: 0 done, 2 usage, 130 interrupted, else the error's own (docs/errors.md).
    """
    try:
        app(args=join_percent(arguments))
    except EdgedeployError as error:
        print_error(error, as_json="--json" in arguments)
        return error.exit_code
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status == EXIT_USAGE and "--json" in arguments:
            print_json(UsageError("the command line is wrong; stderr says how", hint="--help lists options").to_json())
        return status
    except KeyboardInterrupt:
        stderr.print("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:
        fault = keep_traceback(error)
        print_error(fault, as_json="--json" in arguments)
        return fault.exit_code
    return 0
