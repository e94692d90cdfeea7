"""What cycles are counted of: a built-in network, a ``.param`` file or the project's release, as a board has it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgedeploy.artifacts import (
    BuiltRuntime,
    Bundle,
    ComparisonLimits,
    ConvertedModel,
    FloatArray,
    InputSpec,
    ModelOutput,
    Postprocessing,
    Precision,
    Sample,
)
from edgedeploy.boards.model import Board
from edgedeploy.build import ToolchainFamily
from edgedeploy.build.runtime import build_runtime
from edgedeploy.bundle.make import PARAM_PATH, WEIGHTS_PATH, make_bundle
from edgedeploy.cli import conversions
from edgedeploy.cli.builtin_nets import BUILTIN_NAMES, build_builtin
from edgedeploy.cli.builtin_ocr import OCR_NETS, page_windows
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.releases import LOWEST_INT8_COSINE, TRIAL_COSINE, bundle_for, golden_outputs
from edgedeploy.errors import MissingFileError, UsageError, close_matches
from edgedeploy.files import file_sha256
from edgedeploy.graph import Graph, Layer, Storage, read_graph
from edgedeploy.graph.engine import FLOAT_OPTIONS, Engine
from edgedeploy.quantize.pipeline import INT8_OPTIONS

APP = "cycles"
PARAM_SUFFIX = ".param"
MANIFEST_FILE = "manifest.json"
LARGEST_SHARE = 2.0
"""Of the largest output, so that the cosine alone decides: a rounding can turn a single output over."""
_SMALLEST_ERROR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Countable:
    """A release ready to run.

    Args:
        name: As the user named it.
        directory: The release's files, as on a board.
        network: SHA-256 over the model's two files.
    """

    name: str
    directory: Path
    runtime: BuiltRuntime
    graph: Graph
    network: str
    int8: bool
    precision: str


@contextmanager
def of_project(
    opened: OpenProject, board: Board, *, accept_differences: bool, progress: ConsoleProgress
) -> Iterator[Countable]:
    """Give the project's release for a board, as ``flash`` would put it there."""
    # The emulator runs a static program; with Zig's it would need the board's system too.
    debian = ToolchainFamily.DEBIAN
    bundle = bundle_for(board, opened, accept_differences=accept_differences, family=debian, progress=progress)
    runtime = build_runtime(board.triple, progress=progress)
    with _laid_out(opened.project.app.name, bundle, runtime, opened.project.model.precision) as countable:
        yield countable


@contextmanager
def of_model(
    name: str, shapes: Mapping[str, tuple[int, ...]], *, int8: bool, precision: Precision, progress: ConsoleProgress
) -> Iterator[Countable]:
    """Give a release of a built-in network or of a ``.param`` with its ``.bin``.

    Args:
        name: A name, or the path of a ``.param``.
        shapes: Input -> channels, height, width; for files, where the Input layer does not say it.
        int8: Of a built-in network: its int8 form. A file is what it is.
    """
    if name.endswith(PARAM_SUFFIX):
        if int8:
            raise UsageError("--int8 goes with a built-in network", hint="name the int8 .param that quantize wrote")
        model = model_of_file(Path(name), shapes)
    elif name in BUILTIN_NAMES:
        if shapes:
            raise UsageError("--input-shape goes with a file", hint=f"{name} has its own shape")
        model = _builtin(name, int8, progress)
    else:
        hint = close_matches(name, BUILTIN_NAMES)
        raise UsageError(f"{name!r} is no built-in network and no .param file", hint=hint)
    runtime = build_runtime("aarch64-linux-gnu", progress=progress)
    with TemporaryDirectory(prefix="edgedeploy-") as scratch:
        sample = input_of(name, model, progress)
        bundle = _bundle(model, sample, runtime, precision, Path(scratch) / "bundle")
        with _laid_out(Path(name).stem, bundle, runtime, precision) as countable:
            yield countable


def model_of_file(param: Path, shapes: Mapping[str, tuple[int, ...]]) -> ConvertedModel:
    """Return a model of two files.

    Raises:
        MissingFileError: One of them is not there.
        UsageError: An input's shape is not known, or there is no such input.
    """
    weights = param.with_suffix(".bin")
    for file in (param, weights):
        if not file.is_file():
            raise MissingFileError(f"{file} does not exist", hint="give a .param with its .bin of that name beside it")
    graph = read_graph(param, weights)
    unknown = sorted(set(shapes) - set(graph.inputs))
    if unknown:
        raise UsageError(f"the model has no input {unknown[0]!r}", hint=f"it has: {', '.join(graph.inputs)}")
    inputs = {
        layer.outputs[0]: shapes.get(layer.outputs[0]) or shape_of(layer)
        for layer in graph.layers
        if layer.type == "Input"
    }
    return _model(param.absolute(), weights.absolute(), inputs, graph)


def shape_of(layer: Layer) -> tuple[int, ...]:
    """Return the shape that an Input layer states, channels first.

    Raises:
        UsageError: It states none.
    """
    shape = tuple(extent for extent in (layer.integer(2, 0), layer.integer(1, 0), layer.integer(0, 0)) if extent > 0)
    if not shape:
        raise UsageError(
            f"the shape of the input {layer.outputs[0]!r} is not in the file",
            hint=f"for example --input-shape {layer.outputs[0]}=3,224,224",
        )
    return shape


def input_of(name: str, model: ConvertedModel, progress: ConsoleProgress) -> Sample:
    """Return what is fed: a piece of a printed page to PP-OCR, which finds nothing in noise; else random values."""
    if name not in OCR_NETS:
        return conversions.random_sample(model.inputs)
    tensors = {item.name: page_windows(OCR_NETS[name], progress=progress).tensor(0) for item in model.inputs}
    return Sample(name="page", raw=dict(tensors), tensors=tensors)


def limits_of(golden: Mapping[str, FloatArray], *, int8: bool) -> ComparisonLimits:
    """Return how far the board may be from the host: enough for other roundings, too little for wrong sums."""
    largest = max((float(abs(values).max(initial=0.0)) for values in golden.values()), default=0.0)
    cosine = LOWEST_INT8_COSINE if int8 else TRIAL_COSINE
    return ComparisonLimits(cosine=cosine, max_abs_error=max(LARGEST_SHARE * largest, _SMALLEST_ERROR))


def is_int8(graph: Graph) -> bool:
    """Say whether any layer has int8 weights."""
    return any(weight.storage is Storage.INT8 for layer in graph.layers for weight in layer.weights)


def _builtin(name: str, int8: bool, progress: ConsoleProgress) -> ConvertedModel:
    net = build_builtin(name, int8=int8, progress=progress)
    return _model(net.param, net.weights, net.inputs, read_graph(net.param, net.weights))


def _model(param: Path, weights: Path, inputs: Mapping[str, tuple[int, ...]], graph: Graph) -> ConvertedModel:
    specs = tuple(InputSpec(name=name, shape=(1, *shape)) for name, shape in inputs.items())
    # One run says whether the shapes fit, and which the outputs have.
    engine = Engine(param, weights, options=INT8_OPTIONS if is_int8(graph) else FLOAT_OPTIONS)
    found = engine.run(graph.outputs, conversions.random_sample(specs).tensors)
    return ConvertedModel(
        param=param,
        weights=weights,
        inputs=specs,
        source_inputs=specs,
        outputs=tuple(ModelOutput(name=name, source_name=name, shape=found[name].shape) for name in graph.outputs),
        source_sha256=file_sha256(param),
        converter_version="given as .param",
    )


def _bundle(
    model: ConvertedModel, sample: Sample, runtime: BuiltRuntime, precision: Precision, directory: Path
) -> Bundle:
    int8 = is_int8(read_graph(model.param, model.weights))
    golden = golden_outputs(model, sample, int8=int8)
    return make_bundle(
        app=APP,
        board_name=APP,
        model=model,
        runtime=runtime,
        sample=sample,
        golden_outputs=golden,
        golden_limits=limits_of(golden, int8=int8),
        postprocessing=Postprocessing(),
        precision=precision,
        directory=directory,
    )


@contextmanager
def _laid_out(name: str, bundle: Bundle, runtime: BuiltRuntime, precision: Precision) -> Iterator[Countable]:
    with TemporaryDirectory(prefix="edgedeploy-") as scratch:
        directory = Path(scratch) / "release"
        lay_out(bundle, directory)
        param, weights = directory / PARAM_PATH, directory / WEIGHTS_PATH
        graph = read_graph(param, weights)
        digest = hashlib.sha256(f"{file_sha256(param)} {file_sha256(weights)}".encode())
        yield Countable(
            name=name,
            directory=directory,
            runtime=runtime,
            graph=graph,
            network=digest.hexdigest(),
            int8=is_int8(graph),
            precision=precision.value,
        )


def lay_out(bundle: Bundle, directory: Path) -> None:
    """Copy a release's files to where they are on a board."""
    directory.mkdir(parents=True)
    shutil.copyfile(bundle.manifest, directory / MANIFEST_FILE)
    for file in bundle.files:
        target = directory / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.source, target)
        target.chmod(file.mode)
