"""The error tree: every failure a user can meet has a type, a slug, a hint and its own exit code.

Exit codes come in tens, one ten for each family: 1x input, 2x model, 3x board, 4x emulator, 5x build, 6x connection,
7x deployment, 8x measurement, 9x quantization. ``docs/errors.md`` has a paragraph for each slug; a test holds the two
together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

EXIT_INTERNAL = 1
EXIT_USAGE = 2


class EdgedeployError(Exception):
    """Root of the tree. ``message`` says what is wrong, ``hint`` what to do about it.

    Args:
        message: One or two sentences with the offending value in them.
        hint: The command or the change that mends it; empty only where nothing helps.
    """

    slug: ClassVar[str] = "error"
    exit_code: ClassVar[int] = EXIT_INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_json(self) -> dict[str, object]:
        """Return ``{"error": {"slug": ..., "message": ..., "hint": ..., "exit_code": ...}}``."""
        return {
            "error": {
                "slug": self.slug,
                "message": self.message,
                "hint": self.hint,
                "exit_code": self.exit_code,
            }
        }


class UsageError(EdgedeployError):
    """Options that contradict each other or lack a value."""

    slug = "usage"
    exit_code = EXIT_USAGE


class InternalError(EdgedeployError):
    """A fault of edgedeploy itself; the hint names a file with the traceback."""

    slug = "internal"
    exit_code = EXIT_INTERNAL


class InputError(EdgedeployError):
    """Something the user named cannot be used as it is."""


class MissingFileError(InputError):
    slug = "missing-file"
    exit_code = 10


class UnreadableInputError(InputError):
    """An image or array that cannot be decoded."""

    slug = "unreadable-input"
    exit_code = 11


class ProjectFileError(InputError):
    """``edgedeploy.toml`` is not valid: names key, value and what is allowed."""

    slug = "project-file"
    exit_code = 12


class AssetError(InputError):
    """A model or image inside a package cannot be downloaded or has another hash than the one written down."""

    slug = "asset"
    exit_code = 13


class ModelError(EdgedeployError):
    """The model cannot be brought to ncnn as it is."""


class CorruptModelError(ModelError):
    slug = "corrupt-model"
    exit_code = 20


class UnsupportedOperatorError(ModelError):
    """Operators that ncnn lacks; the message lists each with its node names."""

    slug = "unsupported-operator"
    exit_code = 21


class ShapeMismatchError(ModelError):
    slug = "shape-mismatch"
    exit_code = 22


class TruncatedWeightsError(ModelError):
    """The .bin ends before the .param's layers have read their weights, or goes on after them."""

    slug = "truncated-weights"
    exit_code = 23


class ParamSyntaxError(ModelError):
    slug = "param-syntax"
    exit_code = 24


class ConversionError(ModelError):
    """The converter failed, or what it wrote cannot be loaded."""

    slug = "conversion"
    exit_code = 25


class ComparisonError(ModelError):
    """The converted model's outputs differ from the original's by more than the limits."""

    slug = "comparison"
    exit_code = 26


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
    """The engine's source cannot be fetched or has another hash than the one written down."""

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


class ConnectionFailedError(EdgedeployError):
    """Reaching the board and running commands there."""


class UnreachableHostError(ConnectionFailedError):
    slug = "unreachable-host"
    exit_code = 60


class AuthenticationError(ConnectionFailedError):
    slug = "authentication"
    exit_code = 61


class UnknownHostKeyError(ConnectionFailedError):
    """First contact without anybody to ask and without ``--host-key-fingerprint``."""

    slug = "unknown-host-key"
    exit_code = 62


class ChangedHostKeyError(ConnectionFailedError):
    slug = "changed-host-key"
    exit_code = 63


class RemoteCommandError(ConnectionFailedError):
    """A command on the board failed.

    Args:
        command: The command line as it was sent.
        exit_status: What it returned.
        stderr: What it wrote to stderr; the message quotes the last lines.
    """

    slug = "remote-command"
    exit_code = 64

    def __init__(self, *, command: str, exit_status: int, stderr: str, hint: str = "") -> None:
        tail = "\n".join(stderr.strip().splitlines()[-10:])
        message = f"the command failed on the board with status {exit_status}: {command}"
        super().__init__(f"{message}\n{tail}" if tail else message, hint=hint)
        self.command = command
        self.exit_status = exit_status
        self.stderr = stderr


class DeadlineError(ConnectionFailedError):
    slug = "deadline"
    exit_code = 65


class ConnectionLostError(ConnectionFailedError):
    slug = "connection-lost"
    exit_code = 66


class TransferError(ConnectionFailedError):
    """A file did not arrive on the board, or not from it."""

    slug = "transfer"
    exit_code = 67


class DeployError(EdgedeployError):
    """A release cannot be put on the board or made current; the old one stays active."""


class WrongArchitectureError(DeployError):
    slug = "wrong-architecture"
    exit_code = 70


class MissingIsaFeatureError(DeployError):
    slug = "missing-isa-feature"
    exit_code = 71


class GlibcTooOldError(DeployError):
    slug = "glibc-too-old"
    exit_code = 72


class DiskFullError(DeployError):
    slug = "disk-full"
    exit_code = 73


class NotEnoughMemoryError(DeployError):
    slug = "not-enough-memory"
    exit_code = 74


class ChecksumMismatchError(DeployError):
    slug = "checksum-mismatch"
    exit_code = 75


class SelfTestError(DeployError):
    """The golden self-test failed on the board: beyond the limits, or it did not run."""

    slug = "self-test"
    exit_code = 76


class NoReleaseError(DeployError):
    """There is no release to act on: nothing flashed, or nothing older to roll back to."""

    slug = "no-release"
    exit_code = 77


class BundleError(DeployError):
    """A manifest that breaks its schema, or a bundle whose files do not match it."""

    slug = "bundle"
    exit_code = 78


class BoardBusyError(DeployError):
    """Another flash holds the board's lock."""

    slug = "board-busy"
    exit_code = 79


class MeasurementError(EdgedeployError):
    """Benchmarks and reports."""


class BenchError(MeasurementError):
    """The runner did not deliver a benchmark."""

    slug = "bench"
    exit_code = 80


class RunFileError(MeasurementError):
    """A run.json that is damaged or of a version this release does not read."""

    slug = "run-file"
    exit_code = 81


class IncomparableRunsError(MeasurementError):
    """Two runs of different boards, apps, provenances or clocks: their times do not stand for the same thing."""

    slug = "incomparable-runs"
    exit_code = 82


class QuantizationError(EdgedeployError):
    """The model cannot be brought to int8 as it was asked for."""


class CalibrationDataError(QuantizationError):
    """No data, or data that says nothing: constant or not finite where the model reads it."""

    slug = "calibration-data"
    exit_code = 90


class NonFiniteModelError(QuantizationError):
    """Weights that are NaN or infinite; the message lists the layers."""

    slug = "non-finite-model"
    exit_code = 91


class AlreadyQuantizedError(QuantizationError):
    """The model has int8 layers already."""

    slug = "already-quantized"
    exit_code = 92


class CalibrationTableError(QuantizationError):
    """A calibration table that cannot be read, or that does not fit the model."""

    slug = "calibration-table"
    exit_code = 93


class MetricError(QuantizationError):
    """A task metric that cannot be loaded, raises, or returns something that is no score."""

    slug = "metric"
    exit_code = 94


class SchedulerError(QuantizationError):
    """The Dask scheduler cannot be reached, its workers differ, or a worker was lost for good."""

    slug = "scheduler"
    exit_code = 95


class AccuracyError(QuantizationError):
    """The drop that was allowed cannot be held, not even with layers left in float."""

    slug = "accuracy"
    exit_code = 96


def close_matches(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known names nearest to ``name``.

    Example:
        >>> close_matches("rk3999", ["rk3399", "rpi4"])
        'did you mean rk3399?'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}" if known else ""
