"""Taking symbols out of a finished binary."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgedeploy.build.elfstrip import without_symbols
from edgedeploy.build.toolchain import Toolchain
from edgedeploy.build.tools import find_tool
from edgedeploy.errors import BuildFailedError


def strip(binary: Path, destination: Path, toolchain: Toolchain) -> None:
    """Copy a binary without its symbols.

    Raises:
        MissingToolError: The triple's ``strip`` is not installed.
        BuildFailedError: It refused the file.
    """
    if toolchain.is_zig:
        destination.write_bytes(without_symbols(binary.read_bytes()))
        destination.chmod(0o755)
        return
    program = find_tool(toolchain.strip)
    try:
        subprocess.run([program, "--strip-all", "-o", destination, binary], capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise BuildFailedError(f"{program.name} failed: {error.stderr.strip()}", hint="is the disk full?") from error
