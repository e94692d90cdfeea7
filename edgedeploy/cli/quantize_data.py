"""Calibration and evaluation data of a subject: opened, divided by the seed, read once."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.cli import subjects
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.subjects import Subject
from edgedeploy.project import QuantizationSection
from edgedeploy.quantfile import DataRecord
from edgedeploy.quantize.calibration_data import choose_indices, open_data
from edgedeploy.quantize.data_digest import read_all
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.search import Subset

FEW_SAMPLES = 20
"""Up to so many items are both calibrated and evaluated on: there are none to spare."""
HELD_OUT_SHARE = 4
"""Where there are fewer items than calibration may use, one in so many is evaluated on."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Items that were chosen and read: the data, what the record says about them, a hash over their content, and how
    many have a label."""

    data: Data
    record: DataRecord
    sha256: str
    labelled: int


@dataclass(frozen=True, kw_only=True)
class Sources:
    """``shared`` counts the items that are in both."""

    calibration: Source
    evaluation: Source
    shared: int
    warnings: tuple[str, ...]


def open_sources(subject: Subject, section: QuantizationSection, *, progress: ConsoleProgress) -> Sources:
    """Open the data, choose by the seed what is calibrated on and what is evaluated on, and read it once.

    Raises:
        CalibrationDataError: There is nothing in it that the model takes.
        UnreadableInputError: Lists every item that cannot be used.
    """
    data, name = _open(subject, section.data, None if section.evaluation else section.labels)
    if section.evaluation is not None:
        other, other_name = _open(subject, section.evaluation, section.labels)
        calibrated = choose_indices(len(data), section.images, section.seed)
        evaluated = choose_indices(len(other), section.evaluation_images, section.seed)
        shared = 0
    else:
        other, other_name = data, name
        calibrated, evaluated = divide(len(data), section)
        shared = len(set(calibrated) & set(evaluated))
    return Sources(
        calibration=_read(data, calibrated, name, progress),
        evaluation=_read(other, evaluated, other_name, progress),
        shared=shared,
        warnings=_warnings(len(data), section),
    )


def divide(count: int, section: QuantizationSection) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which items are calibrated on, and which are evaluated on: others, unless there are only a handful.

    Example:
        >>> [len(part) for part in divide(1000, QuantizationSection())]
        [300, 200]
    """
    if count <= FEW_SAMPLES:
        both = choose_indices(count, section.images, section.seed)
        return both, both
    spared = min(section.evaluation_images, max(count - section.images, count // HELD_OUT_SHARE))
    evaluated = choose_indices(count, spared, section.seed)
    rest = sorted(set(range(count)) - set(evaluated))
    return tuple(rest[place] for place in choose_indices(len(rest), section.images, section.seed)), evaluated


def _warnings(count: int, section: QuantizationSection) -> tuple[str, ...]:
    if section.data is not None:
        return ()
    samples = "1 sample" if count == 1 else f"{count} samples"
    return (
        f"calibrating on the project's {samples}, and a handful of samples is little: name a directory of a few "
        "hundred real inputs as [quantization] data, or with --data",
    )


def _open(subject: Subject, source: str | None, labels: str | None) -> tuple[Data, str]:
    if source is None:
        return subjects.sample_data(subject), "the project's samples"
    model = subject.model
    data = open_data(
        source,
        model.source_inputs,
        tuple(spec.name for spec in model.inputs),
        labels=None if labels is None else subject.directory / labels,
        directory=subject.directory,
    )
    return data, source


def _read(data: Data, indices: tuple[int, ...], name: str, progress: ConsoleProgress) -> Source:
    chosen = Subset(data, indices)
    digest = read_all(chosen, range(len(indices)), progress=progress)
    record = DataRecord(source=name, items=len(data), used=digest.names)
    return Source(data=chosen, record=record, sha256=digest.sha256, labelled=digest.labelled)
