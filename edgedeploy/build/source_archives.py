"""Source archives of other projects: one published version each, known by its SHA-256, unpacked into the cache."""

from __future__ import annotations

import contextlib
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.assets import DistributionKind, fetch_distribution
from edgedeploy.build.cache import build_cache_dir, ensure_entry
from edgedeploy.errors import AssetError, EngineSourceError
from edgedeploy.files import file_sha256
from edgedeploy.progress import Progress

_SHORT_KEY = 16


@dataclass(frozen=True, kw_only=True)
class SourceArchive:
    """A package's sdist, or its wheel. ``what`` names it in messages; ``sha256`` is the archive's."""

    what: str
    package: str
    version: str
    sha256: str
    kind: DistributionKind = "sdist"


def ensure_source(source: SourceArchive, *, progress: Progress) -> Path:
    """Return the directory with the unpacked source, fetched and verified where the cache lacks it.

    An sdist has one directory at its top, which is returned; a wheel's files lie right in the directory returned.

    Raises:
        EngineSourceError: It cannot be fetched, has another hash, or cannot be unpacked.
    """
    name = f"{source.package}-{source.version}"
    entry = build_cache_dir() / "sources" / f"{name}-{source.sha256[:_SHORT_KEY]}"

    def make(staging: Path) -> None:
        try:
            archive = fetch_distribution(source.package, source.version, kind=source.kind, progress=progress)
        except AssetError as error:
            raise EngineSourceError(f"{source.what}: {error.message}", hint=error.hint) from error
        verify_source(archive, source.sha256)
        unpack_source(archive, staging)

    ensure_entry(entry, make, progress=progress)
    return entry / name if source.kind == "sdist" else entry


def verify_source(archive: Path, expected_sha256: str) -> None:
    """Compare an archive with the hash written down.

    Raises:
        EngineSourceError: They differ. The file is removed, so that the next attempt downloads it anew.
    """
    found = file_sha256(archive)
    if found == expected_sha256:
        return
    archive.unlink()
    with contextlib.suppress(OSError):  # the download cache takes an empty directory for a finished download
        archive.parent.rmdir()
    raise EngineSourceError(
        f"{archive.name} has SHA-256 {found}, not {expected_sha256}",
        hint="run the command again for a fresh download; if it repeats, the package index serves another file",
    )


def unpack_source(archive: Path, destination: Path) -> None:
    """Unpack a source archive that holds files and directories below its own root, and nothing else.

    Raises:
        EngineSourceError: A member would leave the directory or is no plain file, or the archive is damaged.
    """
    try:
        if archive.suffix == ".whl":
            _unpack_zip(archive, destination)
        else:
            _unpack_tar(archive, destination)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        raise EngineSourceError(
            f"{archive.name} cannot be unpacked: {error}", hint="check the free disk space, then run the command again"
        ) from error


def _unpack_tar(archive: Path, destination: Path) -> None:
    with tarfile.open(archive) as stream:
        members = stream.getmembers()
        for member in members:
            _check_member(member.name, archive, plain=member.isfile() or member.isdir())
        # Pythons before 3.11.4 lack the filter; the check above is at least as strict.
        stream.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        stream.extractall(destination, members=members)


def _unpack_zip(archive: Path, destination: Path) -> None:
    with zipfile.ZipFile(archive) as stream:
        members = stream.infolist()
        for member in members:
            # The upper half is a Unix mode; archives made elsewhere have none.
            kind = stat.S_IFMT(member.external_attr >> 16)
            _check_member(member.filename, archive, plain=kind in {0, stat.S_IFREG, stat.S_IFDIR})
        stream.extractall(destination, members=members)


def _check_member(name: str, archive: Path, *, plain: bool) -> None:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not plain:
        raise EngineSourceError(
            f"{archive.name} has the unsafe member {name!r}",
            hint="do not use this archive; report where it came from",
        )
