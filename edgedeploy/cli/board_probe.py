"""``boards probe``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from edgedeploy.artifacts import BoardFacts
from edgedeploy.boards.probe import differences, probe, python_version
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import BoardArgument, JsonOption, TargetOptions, takes_target
from edgedeploy.cli.projects import open_project
from edgedeploy.cli.target import connection


def register(app: typer.Typer) -> None:
    app.command("probe")(probe_live)


@takes_target(board=BoardArgument)
def probe_live(options: TargetOptions, as_json: JsonOption = False) -> None:
    """Read the live board over SSH and say where it and its definition differ."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    with connection(options, opened, progress=progress) as target:
        facts = probe(target.transport)
        python = python_version(target.transport)
    vcpus = target.twin.vcpus if target.twin else None
    found = differences(target.board, facts, twin=target.twin is not None, twin_vcpus=vcpus)
    if as_json:
        document = {
            "board": target.board.name,
            "provenance": target.provenance.value,
            "facts": {**asdict(facts), "python": python},
        }
        print_json({**document, "differences": [asdict(item) for item in found]})
        return
    _show_facts(facts, python)
    for item in found:
        stdout.print(f"differs: {item.what}: defined {item.defined}, found {item.found}", markup=False)
    if not found:
        whole = "The board is as its definition says."
        stdout.print(whole if target.twin is None else "The twin is as its definition says.")


def _show_facts(facts: BoardFacts, python: str | None) -> None:
    rows = {
        "model": facts.model or "not shown",
        "system": f"{facts.os_name}, Linux {facts.kernel}, {facts.architecture}",
        "libc": facts.libc or "not shown",
        "cores": ", ".join(f"cpu{core.index} {core.part}" for core in facts.cores),
        "features": " ".join(sorted(facts.features)),
        "RAM": f"{facts.memory_total_bytes >> 20} MiB, {facts.memory_available_bytes >> 20} MiB available",
        "governors": ", ".join(f"{cpu} {name}" for cpu, name in facts.governors.items()) or "not shown",
        "thermal": ", ".join(zone.kind for zone in facts.thermal_zones) or "not shown",
        "python": python or "none",
    }
    for name, value in rows.items():
        stdout.print(f"{name:9} {value}", markup=False)
