"""Source archives of other projects: one published version each, known by its SHA-256, unpacked into the cache."""

from __future__ import annotations

import contextlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.assets import fetch_distribution
from edgedeploy.build.cache import build_cache_dir, ensure_entry
from edgedeploy.errors import AssetError, EngineSourceError
from edgedeploy.files import file_sha256
from edgedeploy.progress import Progress

_SHORT_KEY = 16


@dataclass(frozen=True, kw_only=True)
class SourceArchive:
    """A package's sdist. ``what`` names it in messages; ``sha256`` is the archive's."""

    what: str
    package: str
    version: str
    sha256: str


def ensure_source(source: SourceArchive, *, progress: Progress) -> Path:
    """Return the directory with the unpacked source, fetched and verified where the cache lacks it.

    Raises:
        EngineSourceError: It cannot be fetched, has another hash, or cannot be unpacked.
    """
    name = f"{source.package}-{source.version}"
    entry = build_cache_dir() / "sources" / f"{name}-{source.sha256[:_SHORT_KEY]}"

    def make(staging: Path) -> None:
        try:
            archive = fetch_distribution(source.package, source.version, kind="sdist", progress=progress)
        except AssetError as error:
            raise EngineSourceError(f"{source.what}: {error.message}", hint=error.hint) from error
        verify_source(archive, source.sha256)
        unpack_source(archive, staging)

    return ensure_entry(entry, make, progress=progress) / name


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
        with tarfile.open(archive) as stream:
            members = stream.getmembers()
            for member in members:
                _check_member(member, archive)
            # Pythons before 3.11.4 lack the filter; the check above is at least as strict.
            stream.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            stream.extractall(destination, members=members)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise EngineSourceError(
            f"{archive.name} cannot be unpacked: {error}", hint="check the free disk space, then run the command again"
        ) from error


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    path = Path(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise EngineSourceError(
            f"{archive.name} has the unsafe member {member.name!r}",
            hint="do not use this archive; report where it came from",
        )
