"""3x to 5x: board definitions, emulated twins, and making the binaries."""

from __future__ import annotations

from edgedeploy.errors.root import EdgedeployError


class BoardError(EdgedeployError):
    """A board definition or the choice of a board."""


class UnknownBoardError(BoardError):
    slug = "unknown-board"
    exit_code = 30


class BoardFileError(BoardError):
    """A board file breaks the schema: names file, key, value and what is allowed."""

    slug = "board-file"
    exit_code = 31


class NoTargetError(BoardError):
    """Neither a host nor ``--emulated`` was given, and the project configures none."""

    slug = "no-target"
    exit_code = 32


class ProbeError(BoardError):
    """The live board answered the probe with something that cannot be read."""

    slug = "probe"
    exit_code = 33


class EmulatorError(EdgedeployError):
    """The emulated twin."""


class ImageBuildError(EmulatorError):
    slug = "image-build"
    exit_code = 40


class EmulatorBootError(EmulatorError):
    """The twin did not come up; the message ends with the console's last lines."""

    slug = "emulator-boot"
    exit_code = 41


class EmulatorNotRunningError(EmulatorError):
    slug = "emulator-not-running"
    exit_code = 42


class BuildError(EdgedeployError):
    """Making the binaries for the board."""


class MissingToolError(BuildError):
    """A program of the host is missing; the hint is the command that installs it."""

    slug = "missing-tool"
    exit_code = 50


class EngineSourceError(BuildError):
    """The source of the engine or another pinned library cannot be fetched, or has another hash than written down."""

    slug = "engine-source"
    exit_code = 51


class BuildFailedError(BuildError):
    """CMake, the compiler or the linker failed; the message carries its last lines."""

    slug = "build-failed"
    exit_code = 52


class UnknownTripleError(BuildError):
    """A board names a triple that no toolchain file serves."""

    slug = "unknown-triple"
    exit_code = 53
