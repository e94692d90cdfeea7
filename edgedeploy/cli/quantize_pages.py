"""Where a quantization is kept: ``PROJECT/.edgedeploy/quantized/ID/``, and a directory of the user's choice."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.cli.conversions import copy_file, make_directory
from edgedeploy.cli.quantizing import Quantized
from edgedeploy.errors import RunFileError, UnreadableInputError
from edgedeploy.files import write_whole
from edgedeploy.modelcache import PARAM_NAME, WEIGHTS_NAME
from edgedeploy.preprocessing import read_image
from edgedeploy.quantfile import (
    PAGE_FILE,
    RECORD_FILE,
    QuantizationRecord,
    SpeedRecord,
    SpeedSection,
    WorstItem,
    read_quantization,
    write_quantization,
)
from edgedeploy.quantize.data_files import FileData
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.search import Subset
from edgedeploy.report.images import ReportImage
from edgedeploy.report.quantization import render_quantization_html
from edgedeploy.report.quantization_details import worst_captions

QUANTIZED_DIRECTORY = Path(".edgedeploy") / "quantized"
THUMBNAIL_PIXELS = 160
LEAST_PIXELS = 8
IMAGE_DIMENSIONS = 4


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The record with its speed, and where it lies."""

    record: QuantizationRecord
    record_file: Path
    page_file: Path


def keep(project: Path, quantized: Quantized, speed: SpeedRecord | None) -> Kept:
    """Write record and page into the project, each whole or not at all.

    Args:
        speed: As measured just now; None: what an earlier run measured stays.

    Raises:
        RunFileError: They cannot be written.
    """
    directory = project / QUANTIZED_DIRECTORY / quantized.entry.record.id
    measured = speed or _measured_before(directory / RECORD_FILE)
    record = quantized.entry.record.model_copy(update={"speed": SpeedSection(measured=measured)})
    page = render_quantization_html(record, images=thumbnails(record, quantized.evaluation))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / PAGE_FILE, page.encode())
        write_quantization(record, directory / RECORD_FILE)
    except OSError as error:
        _remove_if_empty(directory)
        raise RunFileError(
            f"{directory} cannot be written: {error.strerror}",
            hint="free some space or make the project directory writable",
        ) from None
    return Kept(record=record, record_file=directory / RECORD_FILE, page_file=directory / PAGE_FILE)


def copy_to(kept: Kept, quantized: Quantized, directory: Path) -> None:
    """Copy the model's files, the record and the page into a directory, each whole or not at all.

    Raises:
        UsageError: They cannot be written there.
    """
    make_directory(directory)
    copy_file(quantized.entry.param, directory / PARAM_NAME)
    copy_file(quantized.entry.weights, directory / WEIGHTS_NAME)
    copy_file(kept.record_file, directory / RECORD_FILE)
    copy_file(kept.page_file, directory / PAGE_FILE)


def copy_table(quantized: Quantized, path: Path) -> None:
    """Copy the calibration table to a path, and the float network that it belongs to beside it: FILE.param, FILE.bin.

    Raises:
        CalibrationTableError: There is none.
        UsageError: They cannot be written there.
    """
    copy_file(quantized.entry.table, path)
    copy_file(quantized.entry.float_param, path.with_name(f"{path.name}.param"))
    copy_file(quantized.entry.float_weights, path.with_name(f"{path.name}.bin"))


def thumbnails(record: QuantizationRecord, evaluation: Data) -> tuple[ReportImage, ...]:
    """Return small pictures of the items on which int8 differs most; none of items that are no images."""
    return tuple(_thumbnails(record, evaluation))


def _thumbnails(record: QuantizationRecord, evaluation: Data) -> Iterator[ReportImage]:
    captions = dict(worst_captions(record))
    for worst in record.worst:
        picture = _picture(worst, evaluation)
        if picture is not None:
            yield ReportImage.from_bgr(title=worst.name, caption=captions[worst.name], image=_small(picture))


def _picture(worst: WorstItem, evaluation: Data) -> NDArray[np.uint8] | None:
    """Return the item's own image file where it has one, else what the model is fed, stretched to 0..255."""
    if isinstance(evaluation, Subset) and isinstance(evaluation.data, FileData):
        with contextlib.suppress(UnreadableInputError):
            return read_image(evaluation.data.directory / worst.name)
    return _stretched(evaluation.item(worst.index)) if worst.index < len(evaluation) else None


def _stretched(item: Item) -> NDArray[np.uint8] | None:
    tensor = next(iter(item.tensors.values()))
    if len(item.tensors) != 1 or tensor.ndim != IMAGE_DIMENSIONS or tensor.shape[1] not in (1, 3):
        return None
    if min(tensor.shape[2:]) < LEAST_PIXELS:
        return None
    low, high = float(tensor.min()), float(tensor.max())
    levels = (tensor[0] - low) * (255 / (high - low) if high > low else 0.0)
    channels = np.repeat(levels, 3, axis=0) if len(levels) == 1 else levels
    return np.ascontiguousarray(channels.transpose(1, 2, 0)).round().astype(np.uint8)


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    longest = max(image.shape[:2])
    if longest <= THUMBNAIL_PIXELS:
        return image
    factor = THUMBNAIL_PIXELS / longest
    size = tuple(max(1, round(extent * factor)) for extent in (image.shape[1], image.shape[0]))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _measured_before(path: Path) -> SpeedRecord | None:
    try:
        return read_quantization(path).speed.measured
    except RunFileError:
        return None


def _remove_if_empty(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        shutil.rmtree(directory, ignore_errors=True)
