"""The release that a board is to run: hands each stage what the one before made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edgedeploy.artifacts import Bundle, ConvertedModel, FloatArray, Sample, canonical_json
from edgedeploy.boards.model import Board
from edgedeploy.build.runtime import build_runtime
from edgedeploy.bundle.make import make_bundle
from edgedeploy.cli import conversions
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import OpenProject
from edgedeploy.convert.engine import run_ncnn
from edgedeploy.paths import cache_dir


def golden_outputs(model: ConvertedModel, sample: Sample) -> Mapping[str, FloatArray]:
    """Return what the converted model answers on the host, in float32 arithmetic, for one sample."""
    tensors = {
        spec.name: sample.tensors[source.name] for spec, source in zip(model.inputs, model.source_inputs, strict=True)
    }
    return run_ncnn(model.param, model.weights, model.inputs, model.outputs, tensors)


def bundle_for(
    board: Board, opened: OpenProject, *, accept_differences: bool = False, progress: ConsoleProgress
) -> Bundle:
    """Convert, build and put together the release that a board is to run."""
    project = opened.project
    request = conversions.of_project(opened, {}, progress=progress)
    model = conversions.run(request, accept_differences=accept_differences, progress=progress)
    runtime = build_runtime(board.triple, progress=progress)
    with progress.task("Making the bundle"):
        identity = hashlib.sha256(
            canonical_json([board.name, model.param.as_posix(), runtime.build_id, project.model_dump(mode="json")])
        )
        return make_bundle(
            app=project.app.name,
            board_name=board.name,
            model=model,
            runtime=runtime,
            sample=request.samples[0],
            golden_outputs=golden_outputs(model, request.samples[0]),
            golden_limits=project.golden.limits.to_limits(),
            postprocessing=project.postprocessing_spec,
            precision=project.model.precision,
            directory=cache_dir() / "bundles" / identity.hexdigest()[:32],
        )
