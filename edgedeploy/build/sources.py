"""What of the resources goes into a compilation."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.build.cache import content_key, tree_digest
from edgedeploy.errors import BuildFailedError


def sources_digest(resources: Path, *, without: tuple[str, ...]) -> str:
    """Return the hash of the files that CMake compiles: the top ``CMakeLists.txt`` and ``csrc/``.

    Args:
        resources: The directory that has both.
        without: Directories of ``csrc/`` that ``csrc/CMakeLists.txt`` leaves out of this build.

    Raises:
        BuildFailedError: The directory has none.
    """
    top, csrc = resources / "CMakeLists.txt", resources / "csrc"
    for path in (top, csrc):
        if not path.exists():
            raise BuildFailedError(
                f"{path} does not exist", hint="reinstall edgedeploy, or run it from a whole checkout"
            )
    return content_key({"CMakeLists.txt": tree_digest(top), "csrc": tree_digest(csrc, without=without)})
