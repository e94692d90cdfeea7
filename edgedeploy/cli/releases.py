"""The release that a board is to run: hands each stage what the one before made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgedeploy.artifacts import (
    BoardFacts,
    Bundle,
    ComparisonLimits,
    ConvertedModel,
    FloatArray,
    Postprocessing,
    Precision,
    Sample,
    canonical_json,
)
from edgedeploy.boards.model import Board
from edgedeploy.build import ToolchainFamily
from edgedeploy.bundle.keys import SigningKey
from edgedeploy.bundle.make import make_bundle
from edgedeploy.bundle.signature import sign_bundle
from edgedeploy.cli import conversions, quantizing
from edgedeploy.cli.building import runtime_of
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import OpenProject
from edgedeploy.cli.quantize_pages import Kept, keep
from edgedeploy.convert.compare import measure
from edgedeploy.convert.engine import engine_tensors
from edgedeploy.convert.store import samples_key
from edgedeploy.graph import read_graph
from edgedeploy.graph.engine import FLOAT_OPTIONS, Engine
from edgedeploy.paths import cache_dir
from edgedeploy.project import Project
from edgedeploy.quantize.pipeline import INT8_OPTIONS

NOISE_MARGIN = 2.0
"""An int8 release may differ from the host's by so many times what two independent roundings would make of it."""
LOWEST_INT8_COSINE = 0.9
CLOSE_COSINE = 0.999
CLOSE_SHARE = 0.02
"""Where int8 is so good that the rule above leaves nothing: as a share of the largest magnitude."""
TRIAL_COSINE = 0.99
TRIAL_SHARE = 0.1
"""For float releases that are only measured."""
SMALLEST_ERROR = 1e-6


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """What a release is made of.

    Args:
        model: Float or int8.
        reference: The float model that an int8 one was made of; None: the model is in float.
        precision: Of the float layers on the board.
        sample: The golden input.
        limits: Of the self-test; None: what suits the model.
        slim: The on-board program has the engine's parts for this model on this board and no others.
    """

    app: str
    model: ConvertedModel
    reference: ConvertedModel | None
    precision: Precision
    sample: Sample
    limits: ComparisonLimits | None
    postprocessing: Postprocessing
    slim: bool = False


def golden_outputs(model: ConvertedModel, sample: Sample, *, int8: bool = False) -> Mapping[str, FloatArray]:
    """Return what the converted model answers on the host, its float layers in float32, for one sample."""
    engine = Engine(model.param, model.weights, options=INT8_OPTIONS if int8 else FLOAT_OPTIONS)
    tensors = engine_tensors(model.inputs, model.source_inputs, sample)
    return engine.run([item.name for item in model.outputs], tensors)


def bundle_for(
    board: Board,
    opened: OpenProject,
    *,
    accept_differences: bool = False,
    key: SigningKey | None = None,
    family: ToolchainFamily | None = None,
    facts: BoardFacts | None = None,
    progress: ConsoleProgress,
) -> Bundle:
    """Convert, quantize where the project says so, build and put together the release that a board is to run.

    Args:
        family: ``--toolchain``.
        facts: What the live board says, where it was asked already.
    """
    project = opened.project
    reference = None
    if project.quantization.enabled:
        progress.say("[quantization] is enabled: the release carries the int8 model")
        quantized = quantizing.of_project(opened, board, accept_differences=accept_differences, progress=progress)
        _tell(keep(opened.directory, quantized, None), progress)
        model, sample, reference = quantized.model, quantized.sample, quantized.float_model
    else:
        request = conversions.of_project(opened, {}, progress=progress)
        model = conversions.run(request, accept_differences=accept_differences, progress=progress)
        sample = request.samples[0]
    plan = ReleasePlan(
        app=project.app.name,
        model=model,
        reference=reference,
        precision=project.model.precision,
        sample=sample,
        limits=_stated_limits(project, progress),
        postprocessing=project.postprocessing_spec,
        slim=project.build.engine == "model",
    )
    return make_release(board, plan, key=key, family=family, facts=facts, progress=progress)


def make_release(
    board: Board,
    plan: ReleasePlan,
    *,
    key: SigningKey | None = None,
    family: ToolchainFamily | None = None,
    facts: BoardFacts | None = None,
    progress: ConsoleProgress,
) -> Bundle:
    """Build the on-board program, put a release together, and sign it where there is a key."""
    layers = (layer.type for layer in read_graph(plan.model.param).layers) if plan.slim else None
    runtime = runtime_of(board, family=family, facts=facts, layers=layers, progress=progress)
    with progress.task("Making the bundle"):
        golden = golden_outputs(plan.model, plan.sample, int8=plan.reference is not None)
        limits = plan.limits or _suitable_limits(plan, golden)
        document = [
            board.name,
            plan.app,
            plan.model.param.as_posix(),
            runtime.build_id,
            plan.precision.value,
            samples_key([plan.sample]),
            repr((plan.model.source_inputs, limits, plan.postprocessing)),
        ]
        identity = hashlib.sha256(canonical_json(document))
        bundle = make_bundle(
            app=plan.app,
            board_name=board.name,
            model=plan.model,
            runtime=runtime,
            sample=plan.sample,
            golden_outputs=golden,
            golden_limits=limits,
            postprocessing=plan.postprocessing,
            precision=plan.precision,
            directory=cache_dir() / "bundles" / identity.hexdigest()[:32],
        )
        return sign_bundle(bundle, key) if key else bundle


def int8_limits(expected: Mapping[str, FloatArray], golden: Mapping[str, FloatArray]) -> ComparisonLimits:
    """Return the limits of an int8 release's self-test.

    Sums are the same on the host and on the board, but a number that lies between two codes may be rounded to the one
    here and to the other there. Such differences grow from layer to layer, in deep networks up to what rounding itself
    does to the outputs. So the board may be about as far from the host as the host's int8 is from float.

    Args:
        expected: The float network's outputs on the golden input.
        golden: The int8 network's.
    """
    found = [measure(expected[name], golden[name]) for name in golden]
    # Two roundings that know nothing of each other: twice the power, and the error of each at worst.
    deficit = 2.0 * NOISE_MARGIN * (1.0 - min((item.cosine for item in found), default=1.0))
    error = NOISE_MARGIN * max((item.max_abs_error for item in found), default=0.0)
    return ComparisonLimits(
        cosine=max(LOWEST_INT8_COSINE, min(CLOSE_COSINE, 1.0 - deficit)),
        max_abs_error=max(error, CLOSE_SHARE * _largest(golden), SMALLEST_ERROR),
    )


def _tell(kept: Kept, progress: ConsoleProgress) -> None:
    """Say what int8 costs, and warn where it was measured to win nothing."""
    metric, speed = kept.record.metric, kept.record.speed.measured
    progress.say(f"int8 loses {metric.drop:.3f} points of {metric.name}: {kept.page_file}")
    if speed is not None and speed.recommended != "int8":
        progress.say(f"warning: {speed.recommendation}")


def _suitable_limits(plan: ReleasePlan, golden: Mapping[str, FloatArray]) -> ComparisonLimits:
    if plan.reference is not None:
        return int8_limits(golden_outputs(plan.reference, plan.sample), golden)
    return ComparisonLimits(cosine=TRIAL_COSINE, max_abs_error=max(TRIAL_SHARE * _largest(golden), SMALLEST_ERROR))


def _stated_limits(project: Project, progress: ConsoleProgress) -> ComparisonLimits | None:
    """Return the limits of the self-test; None where the model is int8 and the project leaves them to edgedeploy."""
    if not project.quantization.enabled:
        return project.golden.limits.to_limits()
    if "limits" not in project.golden.model_fields_set:
        return None
    progress.say("the self-test's limits are those of [golden.limits]; without them they follow from int8's own error")
    return project.golden.limits.to_limits()


def _largest(outputs: Mapping[str, FloatArray]) -> float:
    return max((float(np.abs(values).max(initial=0.0)) for values in outputs.values()), default=0.0)
