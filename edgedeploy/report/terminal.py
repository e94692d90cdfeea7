"""The report's summary on a terminal, in 80 columns or less. Names from models and boards are never read as markup."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgedeploy.report import details, wording
from edgedeploy.report.compare import Outcome, RunComparison
from edgedeploy.report.comparison_view import view_comparison
from edgedeploy.report.summary import summarize_run
from edgedeploy.runfile import RunRecord

MAX_COLUMNS = 80
TOP_LAYERS = 6
_BAR_CELLS = 16
STYLES = {"good": "bold green", "bad": "bold red", "plain": "bold"}


def render_terminal(record: RunRecord, console: Console) -> None:
    """Print the verdict, latency, conditions, heaviest layers, memory and the command that measures again."""
    width = min(MAX_COLUMNS, console.width)
    summary = summarize_run(record)
    if summary.banner:
        console.print(Panel(Text(summary.banner), style="bold yellow", width=width))
    console.print(Text(summary.headline, style=STYLES[summary.tone]), width=width)
    for sentence in summary.sentences:
        console.print(Text(sentence), width=width)
    print_section(console, summary.latency_title)
    print_rows(console, ((row.name, _with_note(row.value, row.note)) for row in summary.latency_rows), width)
    for note in summary.latency_notes:
        console.print(Text(note, style="dim"), width=width)
    print_section(console, "Conditions")
    print_rows(console, ((fact.name, fact.value) for fact in details.condition_facts(record)), width)
    _print_layers(record, console, width)
    print_section(console, "Memory")
    print_rows(
        console, ((row.phase, f"{row.rss} resident, {row.peak} peak") for row in details.memory_rows(record)), width
    )
    print_section(console, "To measure again")
    console.print(Text(record.command), soft_wrap=True)


def render_comparison(comparison: RunComparison, console: Console) -> None:
    """Print the outcome of a comparison, what else differed and the layers that changed most."""
    width = min(MAX_COLUMNS, console.width)
    view = view_comparison(comparison)
    if view.banner:
        console.print(Panel(Text(view.banner), style="bold yellow", width=width))
    style = {Outcome.FASTER: "bold green", Outcome.SLOWER: "bold red", Outcome.MEANINGLESS: "bold red"}
    console.print(Text(view.headline, style=style.get(comparison.outcome, "bold")), width=width)
    table = new_table("Median of", ">Before", ">After", ">Change", width=width)
    for part in view.parts:
        table.add_row(*texts(part.name, part.before, part.after, part.change))
    table.add_row(*texts("peak memory", view.memory_before, view.memory_after, view.memory_change))
    console.print(table)
    print_section(console, "What else differed")
    if comparison.differences:
        rows = ((item.name, f"{item.before} before, {item.after} after") for item in comparison.differences)
        print_rows(console, rows, width)
    else:
        console.print(Text("Nothing among the conditions that the runs record."), width=width)
    if view.layers:
        print_section(console, "Layers that changed most")
        layers = new_table("Layer", "Type", ">Before", ">After", ">Change", width=width)
        for layer in view.layers[:TOP_LAYERS]:
            layers.add_row(*texts(layer.name, layer.type, layer.before, layer.after, layer.change))
        console.print(layers)


def _print_layers(record: RunRecord, console: Console, width: int) -> None:
    types = details.type_rows(record)
    if not types:
        return
    print_section(console, "Where the time goes")
    table = new_table("Type", ">Layers", "Share", ">", ">By edgedeploy", width=width)
    for row in types[:TOP_LAYERS]:
        bar = "█" * max(1, round(row.share / types[0].share * _BAR_CELLS)) if types[0].share else ""
        table.add_row(*texts(row.type, str(row.count), bar, wording.percent(row.share), wording.percent(row.own_share)))
    console.print(table)
    layers = new_table(
        "Heaviest layers", "Type", ">Share", *(() if record.emulated else (">Median",)), "Runs in", width=width
    )
    for layer in details.top_layers(record, TOP_LAYERS):
        time = () if record.emulated else (layer.time,)
        layers.add_row(*texts(layer.name, layer.type, wording.percent(layer.share), *time, layer.implementation))
    console.print(layers)


def print_section(console: Console, title: str) -> None:
    """Print a heading with an empty line before it."""
    console.print()
    console.print(Text(title, style="bold"))


def print_rows(console: Console, rows: Iterable[tuple[str, str]], width: int) -> None:
    """Print names and values side by side."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), width=width)
    table.add_column(style="dim", ratio=2, overflow="fold")
    table.add_column(ratio=3, overflow="fold")
    for name, value in rows:
        table.add_row(*texts(name, value))
    console.print(table)


def new_table(*columns: str, width: int) -> Table:
    """Return a table without lines; a name that starts with ``>`` is a column aligned to the right."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), width=width)
    for name in columns:
        right = name.startswith(">")
        table.add_column(Text(name.removeprefix(">")), justify="right" if right else "left", overflow="fold")
    return table


def texts(*values: str) -> tuple[Text, ...]:
    """Return cells that are shown as they are, never read as markup."""
    return tuple(Text(value) for value in values)


def _with_note(value: str, note: str) -> str:
    return f"{value} ({note})" if note else value
