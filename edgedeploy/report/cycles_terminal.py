"""A result of ``cycles`` on a terminal, in 80 columns or less. Names from models are never read as markup."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from edgedeploy.cyclesfile import CyclesRecord
from edgedeploy.report.cycles_view import CostRow, CyclesView, priced_misses, view_cycles
from edgedeploy.report.terminal import MAX_COLUMNS, STYLES, new_table, print_rows, print_section, texts

TOP_LAYERS = 12
TOP_KERNELS = 8
TOP_MISSES = 6
_NAME_COLUMNS = 28
_COLUMN = 12


def render_cycles_terminal(record: CyclesRecord, console: Console) -> None:
    """Print the verdict, both sides, the heaviest layers and kernels, and what the estimate does not see."""
    width = min(MAX_COLUMNS, console.width)
    view = view_cycles(record)
    console.print(Text(view.headline, style=STYLES[view.tone]), width=width)
    console.print(Text(view.sentence), width=width)
    console.print(Text(view.banner, style="yellow"), width=width)
    _print_sides(view, console, width)
    _print_layers(view, console, width)
    _print_misses(record, view, console, width)
    _print_kernels(view, console, width)
    for title, rows in (("Threads", view.threads), ("Memory", view.memory)):
        if rows:
            print_section(console, title)
            print_rows(console, ((row.name, f"{row.ours}  {row.other}".rstrip()) for row in rows), width)
    if view.notes:
        print_section(console, "What to keep in mind")
        for note in view.notes:
            console.print(Text(f"- {note}"), width=width)
    print_section(console, "To count again")
    console.print(Text(record.command), soft_wrap=True)


def _print_sides(view: CyclesView, console: Console, width: int) -> None:
    console.print()
    compared = (f">{_short(view.against, 20)}", ">Change") if view.against else ()
    table = new_table("One inference", ">edgedeploy", *compared, width=width)
    for row in view.sides:
        table.add_row(*texts(row.name, row.ours, *((row.other, row.change) if view.against else ())))
    console.print(table)


def _print_layers(view: CyclesView, console: Console, width: int) -> None:
    rows = _heaviest(view.layers, TOP_LAYERS)
    if not rows:
        return
    print_section(console, f"Heaviest layers of {len(view.layers)}, by {view.unit}")
    compared = (">Other",) if view.against else ()
    rate = (">MAC/cycle",) if view.priced else ()
    table = new_table("Layer", "Type", ">Share", ">Cost", *compared, *rate, "In", width=width)
    for row in rows:
        cells = (row.other,) if view.against else ()
        table.add_row(
            *texts(
                _short(row.name, _NAME_COLUMNS - _COLUMN * len(compared)),
                _short(row.type.replace("onvolution", "onv"), 13),
                row.share,
                row.cost,
                *cells,
                *((row.mac_per_cycle,) if view.priced else ()),
                _short(row.implementation, 10),
            )
        )
    console.print(table)


def _print_misses(record: CyclesRecord, view: CyclesView, console: Console, width: int) -> None:
    if record.miss_prices is None or not view.misses:
        return
    print_section(console, "Heaviest layers with misses, estimated cycles")
    table = new_table("Layer", "Type", ">In the core", ">With misses", width=width)
    for row in sorted(view.layers, key=lambda item: -item.with_misses_value)[:TOP_MISSES]:
        kind = _short(row.type.replace("onvolution", "onv"), 13)
        table.add_row(*texts(_short(row.name, _NAME_COLUMNS), kind, row.cost, row.with_misses))
    console.print(table)
    console.print(Text(priced_misses(record.miss_prices)), width=width)


def _print_kernels(view: CyclesView, console: Console, width: int) -> None:
    rows = _heaviest(view.kernels, TOP_KERNELS)
    if not rows:
        return
    print_section(console, f"Heaviest functions of {len(view.kernels)}, by {view.unit}")
    table = new_table("Function", ">Share", ">Cost", width=width)
    for row in rows:
        table.add_row(*texts(_short(row.name, width - 24), row.share, row.cost))
    console.print(table)


def _heaviest(rows: tuple[CostRow, ...], count: int) -> list[CostRow]:
    return sorted((row for row in rows if row.share_value > 0), key=lambda row: -row.share_value)[:count]


def _short(text: str, columns: int) -> str:
    """Return a text in so many columns, its end kept: names of layers and functions differ there."""
    return text if len(text) <= columns else f"…{text[1 - columns :]}"
