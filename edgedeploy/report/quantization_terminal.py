"""A quantization on a terminal, in 80 columns or less. Names from models are never read as markup."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from edgedeploy.quantfile import QuantizationRecord
from edgedeploy.report import quantization_details as details
from edgedeploy.report.quantization_speed import speed_rows
from edgedeploy.report.quantization_summary import summarize_quantization
from edgedeploy.report.terminal import MAX_COLUMNS, STYLES, new_table, print_rows, print_section, texts

WORST_LAYERS = 8


def render_quantization_terminal(record: QuantizationRecord, console: Console) -> None:
    """Print the verdict, what it says about the layers, the worst of them, speed and what to do next."""
    width = min(MAX_COLUMNS, console.width)
    summary = summarize_quantization(record)
    for banner in (summary.banner, *record.warnings):
        if banner:
            console.print(Panel(Text(banner), style="bold yellow", width=width))
    console.print(Text(summary.headline, style=STYLES[summary.tone]), width=width)
    for sentence in summary.sentences:
        console.print(Text(sentence), width=width)
    _print_worst(record, console, width)
    speed = speed_rows(record)
    if speed:
        print_section(console, "Speed")
        print_rows(console, ((row.label, f"{row.value} ({row.runs})") for row in speed), width)
    if summary.advice:
        print_section(console, "What to do next")
        for item in summary.advice:
            console.print(Text(f"- {item}"), width=width)


def _print_worst(record: QuantizationRecord, console: Console, width: int) -> None:
    rows = details.worst_rows(record, WORST_LAYERS)
    if not rows:
        return
    print_section(console, "What loses most by itself")
    table = new_table("Layer", ">Own, dB", ">Accumulated", ">Input", ">Clipped", "Bits", width=width)
    for row in rows:
        table.add_row(*texts(row.name, row.own_sqnr, row.sqnr, row.range, row.clipping, row.bits))
    console.print(table)
