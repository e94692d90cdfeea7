"""The project's samples as the board's runner and the model see them: raw bytes, and preprocessed tensors.

The tensors come from the same operator that runs on the board (``edgedeploy_ops``, its plain reference on the host), so
calibration, the compare gate and the golden outputs use the preprocessing of ``edgedeploy.toml`` and no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgedeploy.array_files import read_named_array
from edgedeploy.artifacts import FloatArray, InputSpec, Preprocessing, Resize, Sample
from edgedeploy.errors import MissingFileError, ShapeMismatchError, UnreadableInputError

Image = NDArray[np.uint8]


def load_sample(path: Path, inputs: tuple[InputSpec, ...]) -> Sample:
    """Read one sample file for a model with a single input, or an ``.npz`` with one array an input.

    Args:
        path: An image that OpenCV reads for an input with preprocessing, else ``.npy``: float32, the input's shape.
        inputs: The model's inputs.

    Raises:
        MissingFileError: No such file.
        UnreadableInputError: It cannot be decoded, lacks an input, or holds values that are not finite.
        ShapeMismatchError: An array of another shape than the input's.
    """
    if not path.is_file():
        raise MissingFileError(f"the sample {path} does not exist", hint="correct `samples` in the project file")
    raw = {item.name: _read_raw(path, item) for item in inputs}
    tensors = {item.name: to_tensor(raw[item.name], item) for item in inputs}
    return Sample(name=path.name, raw=raw, tensors=tensors)


def to_tensor(raw: NDArray[Any], spec: InputSpec) -> FloatArray:
    """Return the tensor the model is fed.

    Args:
        raw: uint8 ``(H, W, 3)`` BGR for an input with preprocessing, else float32 in the input's shape.
        spec: The input.

    Returns:
        float32 in ``spec.shape``.
    """
    if spec.preprocessing is None:
        return np.ascontiguousarray(raw, dtype=np.float32)
    _, _, height, width = spec.shape
    return preprocess(raw, width=width, height=height, how=spec.preprocessing)[np.newaxis]


def preprocess(image: Image, *, width: int, height: int, how: Preprocessing) -> FloatArray:
    """Resize, reorder and normalise one image with the operator that the board runs.

    Args:
        image: uint8 ``(H, W, 3)``, BGR.
        width: Of the model's input, pixels.
        height: Of the model's input, pixels.
        how: Channel order, resize, mean and scale.

    Returns:
        float32 ``(C, height, width)``.

    Raises:
        ShapeMismatchError: ``resize = "none"`` and an image of another size.
    """
    import edgedeploy_ops  # noqa: PLC0415  (compiled: commands that touch no image must run without it)

    if how.resize is Resize.NONE and image.shape[:2] != (height, width):
        raise ShapeMismatchError(
            f"the image is {image.shape[1]}x{image.shape[0]} pixels, the input {width}x{height}, and resize is none",
            hint='set resize = "bilinear" in the input\'s preprocessing, or give images of that size',
        )
    return edgedeploy_ops.preprocess(np.ascontiguousarray(image), width, height, how.color.value, how.mean, how.scale)


def _read_raw(path: Path, spec: InputSpec) -> NDArray[Any]:
    return _read_array(path, spec) if spec.preprocessing is None else read_image(path)


def read_image(path: Path) -> Image:
    """Return an image as uint8 ``(H, W, 3)`` in BGR order, whatever its file holds (grey, alpha, 16 bits).

    Raises:
        UnreadableInputError: OpenCV cannot decode it.
    """
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):
        image = None
    if image is None:
        raise UnreadableInputError(f"{path} is not an image that OpenCV can read", hint="use PNG or JPEG")
    return np.ascontiguousarray(image, dtype=np.uint8)


def _read_array(path: Path, spec: InputSpec) -> FloatArray:
    try:
        array = read_named_array(path, spec.name)
    except ValueError as error:
        raise UnreadableInputError(
            f"{path} has no array for the input {spec.name!r}: {error}",
            hint="save float32 with numpy.save, or numpy.savez with one array an input",
        ) from None
    if array.dtype.kind not in "fiu":
        raise UnreadableInputError(
            f"{path} holds {array.dtype} for the input {spec.name!r}, not numbers", hint="save float32 with numpy.save"
        )
    if array.shape != spec.shape:
        raise ShapeMismatchError(
            f"{path} has shape {list(array.shape)}, the input {spec.name!r} {list(spec.shape)}",
            hint="save the array with the batch dimension, as the model takes it",
        )
    with np.errstate(over="ignore"):
        tensor = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(tensor).all():
        raise UnreadableInputError(
            f"{path} holds NaN or infinity for the input {spec.name!r}: every model would agree on it",
            hint="save an input as the model meets it in use, within the range of float32",
        )
    return tensor
