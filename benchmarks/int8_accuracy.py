"""What int8 costs in points of each task's score: float against int8, on data that calibration has not seen.

    python benchmarks/int8_accuracy.py [--json] [--only NAME ...] [--target BOARD]

Exit status 1 where a row loses more than its limit. docs/int8_accuracy.md says what each row measures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from edgedeploy.artifacts import Precision
from edgedeploy.boards.load import load_board
from edgedeploy.cli.console import ConsoleProgress, print_error, print_json
from edgedeploy.cli.quantizing import target_of
from edgedeploy.errors import EdgedeployError
from edgedeploy.quantize.settings import Target
from edgedeploy.quantize.workers import Workers, open_workers
from int8_nets.accuracy import ROWS, Bench, Measured, Row

_WIDTH = 118


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows asked for; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        target = board_target(options.target)
        with open_workers(processes=options.processes) as workers:
            measured = _measure(chosen_rows(options.only), target, workers)
    except EdgedeployError as error:
        print_error(error, as_json=options.json)
        return error.exit_code
    if options.json:
        print_json({"target": target.name, "dotprod": target.dotprod, "rows": [item.to_json() for item in measured]})
    else:
        Console(width=_WIDTH, highlight=False).print(table_of(measured, target))
    return int(not all(item.holds for item in measured))


def _measure(rows: Sequence[Row], target: Target, workers: Workers) -> list[Measured]:
    """Measure rows, and say each one's result at once: all of them take long."""
    progress = ConsoleProgress()
    bench = Bench(target=target, workers=workers, progress=progress)
    measured = []
    for row in rows:
        found = bench.measure(row)
        progress.say(f"{row.name}: float {found.float_score:.2f}, int8 {found.int8_score:.2f}, drop {found.drop:.2f}")
        measured.append(found)
    return measured


def board_target(name: str) -> Target:
    """Return what a board's CPU means for int8 that the runner runs, with floats of 32 bits.

    Raises:
        UnknownBoardError: There is no such board.
    """
    return target_of(load_board(name, project_dir=None), stock=False, precision=Precision.FP32)


def chosen_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows of these names in the table's order; all where none is named."""
    return tuple(row for row in ROWS if not names or row.name in names)


def table_of(measured: Sequence[Measured], target: Target) -> Table:
    """Return the table for people."""
    how = "dot product instructions" if target.dotprod else "no dot product instructions"
    table = Table(title=f"int8 for {target.name} ({how})")
    table.add_column("row", no_wrap=True)
    for heading in ("float", "int8", "drop", "limit", "items", "layers int8/float", "int8 MACs", "SQNR dB", "s"):
        table.add_column(heading, justify="right")
    for item in measured:
        int8_layers, float_layers = item.layers
        limit = "shown" if item.row.limit is None else f"{item.row.limit:g}"
        table.add_row(
            item.row.name,
            f"{item.float_score:.2f}",
            f"{item.int8_score:.2f}",
            f"{item.drop:.2f} ± {item.drop_margin:.2f}" if item.holds else f"[red]{item.drop:.2f}[/red]",
            limit,
            str(item.items),
            f"{int8_layers}/{float_layers}",
            f"{100 * item.int8_macs:.1f} %",
            f"{item.sqnr_db:.1f}",
            f"{item.seconds:.0f}",
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What int8 costs in points of each task's score.")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", action="extend",
        choices=[row.name for row in ROWS], help="rows to measure",
    )  # fmt: skip
    parser.add_argument("--target", default="rk3399", metavar="BOARD", help="whose CPU int8 is for (default: rk3399)")
    parser.add_argument("--processes", type=int, metavar="N", help="that judge (default: one a core)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
