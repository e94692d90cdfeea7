"""What of the resources goes into a compilation."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.build.cache import content_key, tree_digest
from edgedeploy.errors import BuildFailedError


def sources_digest(resources: Path) -> str:
    """Return the hash of all files that CMake compiles: the top ``CMakeLists.txt`` and everything in ``csrc/``.

    Raises:
        BuildFailedError: The directory has none.
    """
    parts = {name: resources / name for name in ("CMakeLists.txt", "csrc")}
    for path in parts.values():
        if not path.exists():
            raise BuildFailedError(
                f"{path} does not exist", hint="reinstall edgedeploy, or run it from a whole checkout"
            )
    return content_key({name: tree_digest(path) for name, path in parts.items()})
