"""``convert`` and ``build``: the two halves of a bundle, each by itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from edgedeploy.artifacts import Comparison, ConvertedModel
from edgedeploy.boards.load import load_board
from edgedeploy.build.runtime import build_runtime
from edgedeploy.build.wheel import build_wheel
from edgedeploy.cli import pipeline
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import HERE, BoardOption, JsonOption, ProjectOption
from edgedeploy.emulate.headers import ensure_python_headers


def register(app: typer.Typer) -> None:
    app.command()(convert)
    app.command()(build)


AcceptOption = Annotated[
    bool, typer.Option("--accept-differences", help="Go on where the outputs differ by more than the limits.")
]


def convert(
    project: ProjectOption = HERE,
    accept_differences: AcceptOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert the project's model to ncnn and compare it with the original on the samples."""
    progress = ConsoleProgress()
    opened = pipeline.open_project(project, progress=progress)
    samples = pipeline.load_samples(opened, progress=progress)
    model = pipeline.convert(opened, samples, accept_differences=accept_differences, progress=progress)
    if as_json:
        print_json(_model_document(model))
        return
    stdout.print(f"{model.param}\n{model.weights}", markup=False, soft_wrap=True)
    if model.comparison:
        _show_comparison(model.comparison)
    for warning in model.warnings:
        progress.say(f"warning: {warning}")


def build(
    board: BoardOption = "rk3399",
    project: ProjectOption = HERE,
    wheel: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--wheel", file_okay=False, help="Also build the Python operators' wheel into this directory."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cross-compile the on-board runner and the operators for a board."""
    progress = ConsoleProgress()
    definition = load_board(board, project_dir=project.absolute())
    runtime = build_runtime(definition.triple, progress=progress)
    document = asdict(runtime)
    if wheel is not None:
        headers = ensure_python_headers(progress=progress)
        document["wheel"] = build_wheel(
            definition.triple, python_headers=headers, destination=wheel.absolute(), progress=progress
        )
    if as_json:
        print_json(document)
        return
    stdout.print(f"{runtime.runner}", markup=False, soft_wrap=True)
    stdout.print(f"engine {runtime.engine_version}, {runtime.compiler}, kernels: {', '.join(runtime.kernels)}")
    if "wheel" in document:
        stdout.print(str(document["wheel"]), markup=False, soft_wrap=True)


def _model_document(model: ConvertedModel) -> dict[str, object]:
    comparison = model.comparison
    return {
        "param": str(model.param),
        "weights": str(model.weights),
        "inputs": [{"name": i.name, "shape": i.shape} for i in model.inputs],
        "outputs": [asdict(output) for output in model.outputs],
        "source_sha256": model.source_sha256,
        "converter": model.converter_version,
        "comparison": None if comparison is None else {**asdict(comparison), "passed": comparison.passed},
        "warnings": model.warnings,
    }


def _show_comparison(comparison: Comparison) -> None:
    table = Table("output", "max abs error", "cosine", "SQNR", "", box=None, pad_edge=False)
    for item in comparison.outputs:
        table.add_row(
            item.name,
            f"{item.max_abs_error:.2e}",
            f"{item.cosine:.7f}",
            f"{item.sqnr_db:.1f} dB",
            "ok" if item.passed else "beyond the limits",
        )
    stdout.print(table)
    stdout.print(f"against {comparison.reference}, {comparison.samples} sample(s)")
