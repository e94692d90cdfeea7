"""Labels of calibration and evaluation items: from a file, or from the names of sub-directories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from edgedeploy.errors import CalibrationDataError, MissingFileError, UnreadableInputError
from edgedeploy.reading import MIB, read_limited, shown

LABEL_FILES = ("labels.csv", "labels.txt")
_MOST_DIGITS = 9
_LIMIT_BYTES = 8 * MIB


def labels_of_files(directory: Path, names: Sequence[str], file: Path | None) -> tuple[int, ...]:
    """Return one label a file; nothing where there are none.

    Args:
        names: Relative to the directory.
        file: Lines ``NAME,LABEL``; None looks for ``labels.csv`` or ``labels.txt`` in the directory. Without either,
            where every file lies in one of at least two sub-directories, these are the classes, in order of their
            names.

    Raises:
        CalibrationDataError: The file says nothing about some of the files.
    """
    own = next((directory / name for name in LABEL_FILES if (directory / name).is_file()), None)
    chosen = file or own
    if chosen is None:
        return _labels_of_directories(names)
    known = read_labels(chosen)
    missing = [name for name in names if name not in known]
    if missing:
        raise CalibrationDataError(
            f"{chosen} has no label for {len(missing)} of {len(names)} files:\n" + "\n".join(f"  {x}" for x in missing),
            hint="a line is NAME,LABEL with the name relative to the data directory",
        )
    return tuple(known[name] for name in names)


def labels_of_numbers(count: int, file: Path) -> tuple[int, ...]:
    """Return one label for each of ``count`` items that are known by number; lines are ``NUMBER,LABEL``."""
    return labels_of_files(file.parent, [str(index) for index in range(count)], file)


def read_labels(path: Path) -> dict[str, int]:
    """Return the labels by name; a first line without a number is a heading.

    Raises:
        MissingFileError: No such file.
        UnreadableInputError: Names the line that is not ``NAME,LABEL``, or names a file again with another label.
    """
    try:
        lines = read_limited(path, _LIMIT_BYTES).decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise MissingFileError(f"the labels {path} do not exist", hint="lines in it are NAME,LABEL") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableInputError(f"the labels {path} cannot be read: {error}", hint="save them as UTF-8") from None
    labels: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name, _, label = (part.strip() for part in line.rpartition(","))
        if not line.strip() or (number == 1 and name and not _is_label(label)):
            continue
        if not name or not _is_label(label) or labels.get(name, int(label)) != int(label):
            raise UnreadableInputError(
                f"line {number} of {path} is no label: {shown(line)}", hint="a line is NAME,LABEL; labels count from 0"
            )
        labels[name] = int(label)
    return labels


def _is_label(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _labels_of_directories(names: Sequence[str]) -> tuple[int, ...]:
    parents = [PurePosixPath(name).parts[:-1] for name in names]
    classes = sorted({parts[0] for parts in parents if len(parts) == 1})
    if len(classes) < 2 or any(len(parts) != 1 for parts in parents):
        return ()
    return tuple(classes.index(parts[0]) for parts in parents)
