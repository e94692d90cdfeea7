"""1x and 2x: what the user named, and models that cannot be brought to ncnn."""

from __future__ import annotations

from edgedeploy.errors.root import EdgedeployError


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


class FleetFileError(InputError):
    """A fleet file is not valid: names key, value and what is allowed."""

    slug = "fleet-file"
    exit_code = 14


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
