"""Opens calibration and evaluation data, whatever the user has: files, arrays or a function.

Images are preprocessed as ``edgedeploy.toml`` says and in no other way, by the operator that runs on the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from edgedeploy.array_files import ARRAY, ARRAYS
from edgedeploy.artifacts import InputSpec
from edgedeploy.errors import CalibrationDataError, MissingFileError, ShapeMismatchError, UnreadableInputError
from edgedeploy.quantize.data_files import open_files
from edgedeploy.quantize.data_function import open_function
from edgedeploy.quantize.data_inputs import Inputs
from edgedeploy.quantize.data_stacks import open_stack, open_stacks
from edgedeploy.quantize.items import Data, Item

_SOURCES = "a directory of images, .npy or .npz files; a .npy or .npz file of many items; or FILE.py:FUNCTION"
_READERS = 2


def open_data(
    source: Path | str,
    inputs: tuple[InputSpec, ...],
    engine_names: tuple[str, ...],
    *,
    labels: Path | None = None,
    directory: Path | None = None,
) -> Data:
    """Open data. What can be known to be unusable without decoding it is refused at once.

    Args:
        source: A directory: each file in it and below is an item (with several inputs, .npz files, or one .npy file of
            all items named after each input). A .npy or .npz file: its arrays' first axis counts the items. Or
            ``FILE.py:FUNCTION`` or ``package.module:function``: it returns the items.
        inputs: The model's, with the names of the source model and the project's preprocessing.
        engine_names: The engine's name of each input, in the same order.
        labels: A file of lines ``NAME,LABEL`` (for arrays ``NUMBER,LABEL``); None: what the data themselves have.
        directory: What ``source`` is relative to; None: the working directory.

    Returns:
        Data whose items have labels where there are any. Pickles small.

    Raises:
        MissingFileError: Neither a file nor a directory.
        CalibrationDataError: Nothing in it that the model takes, or labels that do not fit.
        UnreadableInputError: Lists every damaged file.
    """
    base = directory or Path.cwd()
    known = Inputs(specs=inputs, engine_names=engine_names)
    path = base / source
    if path.is_dir():
        stacks = {spec.name: path / f"{spec.name}{ARRAY}" for spec in inputs}
        if len(inputs) > 1 and all(file.is_file() for file in stacks.values()):
            return open_stacks(stacks, known, labels)
        return open_files(path, known, labels)
    if path.is_file() and path.suffix.lower() in (ARRAY, ARRAYS):
        return open_stack(path, known, labels)
    if path.is_file():
        raise CalibrationDataError(f"{path} is no calibration data", hint=f"name {_SOURCES}")
    if ":" in str(source):
        return open_function(str(source), known, base)
    raise MissingFileError(f"the calibration data {path} do not exist", hint=f"name {_SOURCES}")


def choose_indices(count: int, images: int, seed: int) -> tuple[int, ...]:
    """Return which items are used: all, or as many as wanted, chosen by the seed; in rising order.

    Example:
        >>> choose_indices(1000, 3, seed=0)
        (511, 636, 848)

    Raises:
        CalibrationDataError: There are no items, or none are wanted.
    """
    if count < 1 or images < 1:
        raise CalibrationDataError(
            f"calibration has {count} items and is to use {images}", hint="give it data, and at least one image"
        )
    if count <= images:
        return tuple(range(count))
    chosen = np.random.default_rng(seed).choice(count, size=images, replace=False)
    return tuple(sorted(int(index) for index in chosen))


def spread(indices: Sequence[int], count: int) -> tuple[int, ...]:
    """Return at most ``count`` of the indices, evenly spread.

    Example:
        >>> spread(range(100), 4)
        (0, 25, 50, 75)
    """
    taken = min(count, len(indices))
    return tuple(indices[place * len(indices) // taken] for place in range(taken))


def load_items(data: Data, wanted: Sequence[int], used: Sequence[int]) -> list[Item]:
    """Load some items before the rest is needed.

    Args:
        wanted: Which ones.
        used: All that will be needed.

    Raises:
        UnreadableInputError: Lists all of ``used`` that cannot be loaded, where one of ``wanted`` cannot.
    """
    try:
        return [data.item(index) for index in wanted]
    except (UnreadableInputError, ShapeMismatchError):
        require_readable(data, used)
        raise


def require_readable(data: Data, indices: Sequence[int]) -> None:
    """Load every item once.

    Raises:
        UnreadableInputError: Lists all that cannot be loaded.
    """

    def fault(index: int) -> str | None:
        try:
            data.item(index)
        except (UnreadableInputError, ShapeMismatchError, MissingFileError) as error:
            return f"  {error.message}"
        return None

    with ThreadPoolExecutor(_READERS) as pool:
        faults = [found for found in pool.map(fault, indices) if found]
    if faults:
        raise UnreadableInputError(
            f"{len(faults)} of {len(indices)} calibration items cannot be used:\n" + "\n".join(faults),
            hint="mend or remove them",
        )
