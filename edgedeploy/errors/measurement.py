"""8x and 9x: benchmarks and reports, and bringing a model to int8."""

from __future__ import annotations

from edgedeploy.errors.root import EdgedeployError


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


class SlowerError(MeasurementError):
    """By the estimate, a model needs more cycles than what it is held against, beyond the limit that was given."""

    slug = "slower"
    exit_code = 83


class CycleCountError(MeasurementError):
    """Emulator, plugin, runner or llvm did not deliver a count of cycles."""

    slug = "cycle-count"
    exit_code = 84


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
