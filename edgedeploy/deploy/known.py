"""What the host remembers of releases it has flashed: their files by SHA-256, to pack later ones against."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgedeploy.artifacts import BundleFile
from edgedeploy.deploy.layout import MANIFEST, is_digest
from edgedeploy.files import file_sha256
from edgedeploy.paths import cache_dir
from edgedeploy.reading import load_json

LIMIT_BYTES = 2_000_000_000


def default_known_files() -> KnownFiles:
    """Return what is remembered in edgedeploy's cache directory."""
    return KnownFiles(cache_dir() / "flashed")


@dataclass(frozen=True)
class KnownFiles:
    """A directory of files named by their SHA-256, the least recently used of which go beyond ``limit_bytes``.

    Nothing here may fail a flash: what cannot be kept or read is not known.
    """

    directory: Path
    limit_bytes: int = LIMIT_BYTES

    def path_of(self, sha256: str) -> Path | None:
        """Return the file of a SHA-256, None where it is not known or not intact."""
        path = self.directory / sha256
        with contextlib.suppress(OSError):
            if file_sha256(path) == sha256:
                os.utime(path)
                return path
        return None

    def files_of(self, release: str) -> dict[PurePosixPath, str]:
        """Return the SHA-256 of each file of a release, its manifest's too; empty where it is not known."""
        manifest = self.path_of(release)
        if manifest is None:
            return {}
        try:
            listed = load_json(manifest.read_text(encoding="utf-8"))["files"]
            files = {PurePosixPath(str(item["path"])): str(item["sha256"]) for item in listed}
        except (OSError, ValueError, TypeError, KeyError):
            return {}
        files[PurePosixPath(MANIFEST)] = release
        return {path: sha256 for path, sha256 in files.items() if is_digest(sha256)}

    def remember(self, files: Iterable[BundleFile]) -> None:
        """Keep copies of these files."""
        with contextlib.suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
            for file in files:
                self._keep(file)
            self._forget_oldest()

    def _keep(self, file: BundleFile) -> None:
        path = self.directory / file.sha256
        if path.exists():
            os.utime(path)
            return
        handle, name = tempfile.mkstemp(dir=self.directory, prefix=".new-")
        os.close(handle)
        temporary = Path(name)
        try:
            shutil.copyfile(file.source, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _forget_oldest(self) -> None:
        found = [(path.stat(), path) for path in self.directory.iterdir()]
        total = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda item: item[0].st_mtime):
            if total <= self.limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size
