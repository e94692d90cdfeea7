"""Calibration data from a directory: images, .npy and .npz files, one an item, with labels if they have any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edgedeploy.array_files import ARRAY, ARRAYS, array_names, read_array, read_arrays
from edgedeploy.errors import CalibrationDataError, UnreadableInputError
from edgedeploy.preprocessing import read_image
from edgedeploy.quantize.data_inputs import Inputs, shape_problem
from edgedeploy.quantize.data_labels import labels_of_files
from edgedeploy.quantize.items import Item

IMAGE_SUFFIXES = frozenset(".bmp .dib .jpe .jpeg .jpg .jp2 .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())

_END_BYTES = 65536
_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND"}
"""First bytes of a file -> what its end holds. OpenCV decodes a JPEG that is cut short and paints the rest grey."""


@dataclass(frozen=True, kw_only=True)
class FileData:
    """One file an item.

    Args:
        directory: Absolute.
        names: Of the files, relative to it.
        labels: One a file; empty where there are none.
    """

    directory: Path
    names: tuple[str, ...]
    inputs: Inputs
    labels: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        """Read one file.

        Raises:
            UnreadableInputError: It cannot be decoded, or holds no finite numbers.
            ShapeMismatchError: It holds an array of another shape than the input's.
        """
        name = self.names[index]
        path = self.directory / name
        tensors = self.inputs.tensors(_content(path), str(path))
        return Item(name=name, tensors=tensors, label=self.labels[index] if self.labels else None)


def open_files(directory: Path, inputs: Inputs, labels: Path | None) -> FileData:
    """Find the files, and check what shows without decoding them.

    Raises:
        CalibrationDataError: There are none, or none that the model takes, or labels that do not fit them.
        UnreadableInputError: Lists all that are damaged.
    """
    names = _names(directory)
    _require_usable_kinds(directory, names, inputs)
    faults = [f"  {name}: {fault}" for name in names if (fault := _fault(directory / name, inputs))]
    if faults:
        raise UnreadableInputError(
            f"{len(faults)} of {len(names)} files in {directory} cannot be used:\n" + "\n".join(faults),
            hint="mend or remove them",
        )
    found = labels_of_files(directory, names, labels)
    return FileData(directory=directory.absolute(), names=names, inputs=inputs, labels=found)


def _names(directory: Path) -> tuple[str, ...]:
    suffixes = IMAGE_SUFFIXES | {ARRAY, ARRAYS}
    paths = (path.relative_to(directory) for path in directory.rglob("*") if path.suffix.lower() in suffixes)
    visible = (path for path in paths if not any(part.startswith(".") for part in path.parts))
    return tuple(sorted(path.as_posix() for path in visible if (directory / path).is_file()))


def _require_usable_kinds(directory: Path, names: tuple[str, ...], inputs: Inputs) -> None:
    kinds = {Path(name).suffix.lower() for name in names}
    if not kinds:
        raise CalibrationDataError(
            f"{directory} has no images and no .npy or .npz files", hint="images are PNG, JPEG, BMP, WebP or TIFF"
        )
    if kinds == {ARRAYS}:
        return
    spec = inputs.only
    if spec.preprocessing is None and kinds & IMAGE_SUFFIXES:
        raise CalibrationDataError(
            f"{directory} has images, and the input {spec.name!r} has no preprocessing",
            hint="write the input's preprocessing into the project file, or give .npy files",
        )


def _content(path: Path) -> Any:
    """An image, an array, or arrays by name."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return read_image(path)
    try:
        return read_array(path) if suffix == ARRAY else read_arrays(path)
    except ValueError as error:
        raise UnreadableInputError(f"{path} cannot be read: {error}", hint="save it again") from None


def _fault(path: Path, inputs: Inputs) -> str | None:
    """Say what is wrong with a file."""
    check = {ARRAY: _fault_of_array, ARRAYS: _fault_of_arrays}.get(path.suffix.lower(), _fault_of_image)
    try:
        return check(path, inputs)
    except (ValueError, OSError) as error:
        return str(error)


def _fault_of_array(path: Path, inputs: Inputs) -> str | None:
    array = read_array(path, mapped=True)
    return shape_problem(array.shape, array.dtype, inputs.only)


def _fault_of_arrays(path: Path, inputs: Inputs) -> str | None:
    names = array_names(path)
    missing = [spec.name for spec in inputs.specs if spec.name not in names]
    return f"has no array for the input {missing[0]!r}" if missing else None


def _fault_of_image(path: Path, _: Inputs) -> str | None:
    with path.open("rb") as stream:
        start = stream.read(4)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _END_BYTES))
        end = stream.read()
    if not size:
        return "is empty"
    if not cv2.haveImageReader(str(path)):
        return "is no image that OpenCV can read"
    cut = any(start.startswith(first) and last not in end for first, last in _ENDS.items())
    return "ends early" if cut else None
