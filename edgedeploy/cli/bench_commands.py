"""``bench``, ``report``, ``compare``: measure, show, hold two runs against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedeploy.bench.store import LATEST, find_run
from edgedeploy.boards.probe import probe
from edgedeploy.cli import cycles_pages, measuring
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import HERE, JsonOption, ProjectOption, TargetOptions, takes_target
from edgedeploy.cli.projects import open_project
from edgedeploy.cli.target import connection
from edgedeploy.errors import UsageError
from edgedeploy.report.compare import compare_runs
from edgedeploy.report.terminal import render_comparison, render_terminal


def register(app: typer.Typer) -> None:
    app.command()(bench)
    app.command()(report)
    app.command()(compare)


@takes_target()
def bench(
    options: TargetOptions,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Timed runs, exactly.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Engine threads.")] = None,
    cpus: Annotated[str, typer.Option("--cpus", help="Pin to these cores, such as 4,5.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Measure the active release on the board; write run.json and the report."""
    progress = ConsoleProgress()
    opened = open_project(options.project, progress=progress)
    plan = measuring.planned(
        opened.project, emulated=options.emulated, runs=runs, threads=threads, cpus=_parse_cpus(cpus)
    )
    with connection(options, opened, progress=progress) as target:
        measured = measuring.measure_and_report(
            target,
            opened,
            probe(target.transport),
            plan=plan,
            command=measuring.rerun_command(options, target.clock, plan if runs or threads or cpus else None),
            golden=None,
            progress=progress,
        )
    if as_json:
        document = measured.record.model_dump(mode="json", by_alias=True)
        print_json({**document, "run": str(measured.run_file), "report": str(measured.report_file)})
    else:
        measuring.show(measured)


RunArgument = Annotated[str, typer.Argument(help="A run's id or its start, a path to its file, or `latest`.")]


def report(run: RunArgument = LATEST, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Write the report of a run again and show its summary; of a result of `cycles` too."""
    if cycles_pages.is_cycles(run):
        cycles_pages.report(Path(run), as_json=as_json)
        return
    progress = ConsoleProgress()
    opened = open_project(project, progress=progress)
    stored = find_run(opened.directory, run)
    page = measuring.write_report(opened, stored.path, stored.record, progress=progress)
    if as_json:
        print_json({"run": str(stored.path), "report": str(page)})
        return
    render_terminal(stored.record, stdout)
    stdout.print(f"report  {page}", markup=False, soft_wrap=True)


def compare(
    before: RunArgument,
    after: RunArgument = LATEST,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare runs of different boards, clocks or provenance.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Hold two runs against each other, with statistics."""
    directory = project.absolute()
    result = compare_runs(find_run(directory, before).record, find_run(directory, after).record, anyway=anyway)
    if as_json:
        print_json(result.to_json())
    else:
        render_comparison(result, stdout)


def _parse_cpus(text: str) -> tuple[int, ...]:
    """Return the core indexes of ``4,5``."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(
            f"--cpus takes core numbers with commas, not {text!r}", hint="for example --cpus 4,5"
        ) from None
