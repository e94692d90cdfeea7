"""``convert`` and ``build``: the two halves of a bundle, each by itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgedeploy.artifacts import Comparison, ConvertedModel, Precision
from edgedeploy.boards.load import load_board
from edgedeploy.build.runtime import build_runtime
from edgedeploy.build.wheel import build_wheel
from edgedeploy.cli import conversions
from edgedeploy.cli.building import ToolchainOption, toolchain_of
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.cli.options import HERE, BoardOption, JsonOption, ProjectOption
from edgedeploy.cli.projects import open_project
from edgedeploy.emulate.headers import ensure_python_headers
from edgedeploy.errors import UsageError

WHEEL_ARCHITECTURE = "aarch64"


def register(app: typer.Typer) -> None:
    app.command()(convert)
    app.command()(build)


AcceptOption = Annotated[
    bool, typer.Option("--accept-differences", help="Go on where the outputs differ by more than the limits.")
]


def convert(
    model: Annotated[
        Path | None,
        typer.Argument(help="A model file (.onnx, .pt); the project's otherwise."),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="NAME=1,C,H,W", help="An input's static shape; once for each input."),
    ] = None,
    samples: Annotated[
        list[Path] | None,
        typer.Option("--sample", "-s", help="With MODEL: .npy or .npz to compare on; random values otherwise."),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option("--precision", help="What float layers store and compute in; the project's otherwise."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", file_okay=False, help="Copy model.param and model.bin into this directory."),
    ] = None,
    project: ProjectOption = HERE,
    accept_differences: AcceptOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a model to ncnn and compare it with the original on real inputs."""
    progress = ConsoleProgress()
    given = parse_shapes(shapes or [])
    if model is not None:
        request = conversions.of_file(model, given, samples or [], precision=precision, progress=progress)
    elif samples:
        raise UsageError("--sample goes with a model file", hint="a project names its samples in edgedeploy.toml")
    else:
        opened = open_project(project, progress=progress)
        request = conversions.of_project(opened, given, precision=precision, progress=progress)
    converted = conversions.run(request, accept_differences=accept_differences, progress=progress)
    if output is not None:
        converted = conversions.copy_to(converted, output.absolute())
    if as_json:
        print_json(_model_document(converted))
        return
    stdout.print(f"{converted.param}\n{converted.weights}", markup=False, soft_wrap=True)
    if converted.comparison:
        _show_comparison(converted.comparison)
    for warning in converted.warnings:
        progress.say(f"warning: {warning}")


def parse_shapes(words: list[str]) -> dict[str, tuple[int, ...]]:
    """Return input names and shapes of ``NAME=1,3,48,192``.

    Example:
        >>> parse_shapes(["x=1,3,48,192"])
        {'x': (1, 3, 48, 192)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words:
        name, _, extents = word.partition("=")
        try:
            shapes[name] = tuple(int(extent) for extent in extents.split(","))
        except ValueError:
            raise UsageError(f"--input takes NAME=1,C,H,W, not {word!r}", hint="for example x=1,3,48,192") from None
    return shapes


def build(
    board: BoardOption = "rk3399",
    project: ProjectOption = HERE,
    wheel: Annotated[
        Path | None,
        typer.Option("--wheel", file_okay=False, help="Also build the Python operators' wheel into this directory."),
    ] = None,
    toolchain: ToolchainOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cross-compile the on-board runner and the operators for a board."""
    progress = ConsoleProgress()
    definition = load_board(board, project_dir=project.absolute())
    if wheel is not None and definition.architecture != WHEEL_ARCHITECTURE:
        raise UsageError(
            f"there is no wheel for {definition.name}: it is {definition.architecture}",
            hint=f"the operators have kernels for {WHEEL_ARCHITECTURE} alone; leave --wheel out",
        )
    chosen = toolchain_of(definition, family=toolchain, progress=progress)
    runtime = build_runtime(definition.triple, progress=progress, toolchain=chosen)
    document = asdict(runtime)
    if wheel is not None:
        headers = ensure_python_headers(progress=progress)
        document["wheel"] = build_wheel(
            definition.triple,
            python_headers=headers,
            destination=wheel.absolute(),
            progress=progress,
            toolchain=chosen,
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
