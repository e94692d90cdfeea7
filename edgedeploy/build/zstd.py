"""zstd, which unpacks files on the board: the single file of the library that zstandard's sdist carries.

``csrc/zstd/CMakeLists.txt`` compiles it with the runner's own compiler; only the decoder is linked. The host packs with
the same package's module.
"""

from __future__ import annotations

from pathlib import Path

from edgedeploy.build.source_archives import SourceArchive, ensure_source
from edgedeploy.progress import Progress

ZSTD_SOURCE = SourceArchive(
    what="zstd's source",
    package="zstandard",
    version="0.25.0",
    sha256="7713e1179d162cf5c7906da876ec2ccb9c3a9dcbdffef0cc7f70c3667a205f0b",
)


def zstd_source(*, progress: Progress) -> Path:
    """Return the directory of ``zstd.c`` and ``zstd.h``, fetched and verified where the cache lacks it.

    Raises:
        EngineSourceError: It cannot be fetched, has another hash, or cannot be unpacked.
    """
    return ensure_source(ZSTD_SOURCE, progress=progress) / "zstd"
