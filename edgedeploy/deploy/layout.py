"""Names on the board: what may become part of a path there. Everything is checked before it meets a shell."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from edgedeploy.artifacts import Bundle, BundleFile
from edgedeploy.errors import BundleError, UsageError

DEFAULT_DIRECTORY = "~/.edgedeploy"
MANIFEST = "manifest.json"
RUNNER = "bin/edgedeploy-runner"
# Beside the runner on the host; no file of a release.
INSTALLER = "edgedeploy-installer"
WRITABLE_BY_OTHERS = 0o022

_APP = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def is_digest(text: str) -> bool:
    """Return whether ``text`` is a SHA-256 in hex, as releases and store files are named."""
    return _DIGEST.fullmatch(text) is not None


def check_app(app: str) -> None:
    """Raise UsageError unless ``app`` can be a directory's name on the board."""
    if not _APP.fullmatch(app):
        raise UsageError(
            f"{app!r} cannot be an app's name",
            hint="at most 64 lower-case letters, digits and ._-, starting with a letter or digit",
        )


def check_directory(directory: str) -> None:
    """Raise UsageError unless ``directory`` is an absolute path on the board or starts with ``~/``."""
    parts = PurePosixPath(directory).parts
    if not parts or parts[0] not in ("/", "~") or ".." in parts or _UNPRINTABLE.search(directory):
        raise UsageError(
            f"{directory!r} cannot be the directory on the board",
            hint="give an absolute path, or one that starts with ~/",
        )


def release_files(bundle: Bundle) -> tuple[BundleFile, ...]:
    """Return the manifest, all files and the signatures of a bundle, their names checked.

    Raises:
        BundleError: A path that leaves the release or repeats, a digest that is none, or a mode that lets others write.
    """
    manifest = BundleFile(
        path=PurePosixPath(MANIFEST),
        source=bundle.manifest,
        sha256=bundle.digest,
        size_bytes=bundle.manifest.stat().st_size,
    )
    files = (manifest, *bundle.files, *bundle.signatures)
    seen: set[PurePosixPath] = set()
    for file in files:
        _check_file(file)
        if file.path in seen:
            raise BundleError(f"the bundle lists {file.path} twice", hint="build the bundle again")
        seen.add(file.path)
    return files


def _check_file(file: BundleFile) -> None:
    path = str(file.path)
    if file.path.is_absolute() or not file.path.parts or ".." in file.path.parts or _UNPRINTABLE.search(path):
        raise BundleError(f"{path!r} is no path inside a release", hint="build the bundle again")
    if path != path.strip():
        # The shell's read drops white space at both ends of a line.
        raise BundleError(f"{path!r} starts or ends with white space", hint="rename the file")
    if not is_digest(file.sha256):
        raise BundleError(f"{file.sha256!r}, given for {path}, is no SHA-256", hint="build the bundle again")
    if file.mode & ~0o777 or file.mode & WRITABLE_BY_OTHERS:
        raise BundleError(f"{path} has the mode {file.mode:o}, which lets others write", hint="use 644 or 755")
