"""nlohmann's JSON library, which the runner reads and writes documents with: the headers that a wheel carries.

A toolchain that pip brings so needs no package of the host's. ``/usr/include`` would not do in any cross build: the
host's libc headers would shadow the target's. These headers are those of the library's own release 3.11.2 and of
Debian 12, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

from edgedeploy.build.source_archives import SourceArchive, ensure_source
from edgedeploy.progress import Progress

JSON_SOURCE = SourceArchive(
    what="the JSON library's headers",
    package="nlohmann-json",
    version="3.11.2",
    sha256="e287e726ba1cf04d8f16bc0a77c05a194bab580cdaa85bf7117f82e3434ab1ec",
    kind="wheel",
)


def json_include(*, progress: Progress) -> Path:
    """Return the include directory of this library alone, fetched and verified where the cache lacks it.

    Raises:
        EngineSourceError: It cannot be fetched, has another hash, or cannot be unpacked.
    """
    return ensure_source(JSON_SOURCE, progress=progress) / "nlohmann_json" / "include"
