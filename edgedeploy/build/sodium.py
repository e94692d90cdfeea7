"""libsodium, which checks signatures on the board: the source that PyNaCl's sdist carries whole.

``csrc/sodium/CMakeLists.txt`` compiles nine of its files. The compiler's and the triple's are the runner's own, so no
library of another origin is linked, and a new triple needs nothing here.
"""

from __future__ import annotations

from pathlib import Path

from edgedeploy.build.source_archives import SourceArchive, ensure_source
from edgedeploy.progress import Progress

SODIUM_SOURCE = SourceArchive(
    what="libsodium's source",
    package="pynacl",
    version="1.6.2",
    sha256="018494d6d696ae03c7e656e5e74cdfd8ea1326962cc401bcf018f1ed8436811c",
)
_BELOW = Path("src") / "libsodium" / "src" / "libsodium"


def sodium_source(*, progress: Progress) -> Path:
    """Return libsodium's directory ``src/libsodium``, fetched and verified where the cache lacks it.

    Raises:
        EngineSourceError: It cannot be fetched, has another hash, or cannot be unpacked.
    """
    return ensure_source(SODIUM_SOURCE, progress=progress) / _BELOW
