"""7x: putting a release on the board; the old one stays active."""

from __future__ import annotations

from edgedeploy.errors.root import EdgedeployError


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
