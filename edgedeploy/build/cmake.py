"""Running CMake and Ninja: a clean environment, progress from Ninja's counter, a log, and errors that quote it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.build.tools import find_tool
from edgedeploy.errors import BuildFailedError
from edgedeploy.progress import Progress

# A fixed date (1980-01-01, the earliest a zip archive can hold) in place of the clock's: same inputs, same bytes.
SOURCE_DATE_EPOCH = "315532800"

_QUOTED_LINES = 20
_QUOTED_WIDTH = 300
_COUNTER = re.compile(r"^\[(\d+)/(\d+)\] (.*)$")
_OBJECT = re.compile(r"^Building \S+ object (\S+)\.o$")
_ERROR_LINE = re.compile(r"(CMake Error|\berror:|undefined reference|fatal error|FAILED:)")

# Flags of the user's shell would change the products without changing their cache keys.
_DROPPED_VARIABLES = frozenset(
    {
        "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "ASMFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH",
        "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "DESTDIR", "VERBOSE",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BuildTree:
    """One CMake build: where the sources are, where it happens, and where all its output is kept."""

    source: Path
    directory: Path
    log: Path

    def path_flags(self) -> str:
        """Return compiler flags that keep this host's paths out of the binaries."""
        return f"-ffile-prefix-map={self.source}=. -ffile-prefix-map={self.directory}=build"


def configure(tree: BuildTree, *, toolchain_file: Path, defines: Mapping[str, str], progress: Progress) -> None:
    """Run CMake with the Ninja generator, a release build and the given cache variables.

    Raises:
        MissingToolError: No cmake or ninja.
        BuildFailedError: CMake failed; the message quotes it and names the log.
    """
    variables = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": str(find_tool("ninja")),
        "CMAKE_TOOLCHAIN_FILE": str(toolchain_file),
        **defines,
    }
    command = [
        str(find_tool("cmake")), "-S", str(tree.source), "-B", str(tree.directory), "-G", "Ninja",
        *(f"-D{name}={value}" for name, value in variables.items()),
    ]  # fmt: skip
    with progress.task("Configuring"):
        run_logged(command, log=tree.log, on_line=_ignore)


def build(tree: BuildTree, *, targets: Sequence[str], title: str, progress: Progress) -> None:
    """Build targets on all cores, showing Ninja's counter.

    Raises:
        BuildFailedError: The compiler or linker failed; the message quotes it and names the log.
    """
    with progress.task(title) as task:

        def report(line: str) -> None:
            step = parse_ninja_line(line)
            if step is not None:
                done, total, note = step
                task.update(done, total, note)

        run_logged([str(find_tool("ninja")), "-C", str(tree.directory), *targets], log=tree.log, on_line=report)


def parse_ninja_line(line: str) -> tuple[int, int, str] | None:
    """Read Ninja's status line.

    Example:
        >>> parse_ninja_line("[3/249] Building CXX object src/CMakeFiles/ncnn.dir/layer/gemm.cpp.o")
        (3, 249, 'gemm.cpp')
    """
    counter = _COUNTER.match(line)
    if counter is None:
        return None
    built = _OBJECT.match(counter[3])
    return int(counter[1]), int(counter[2]), Path(built[1]).name if built else counter[3][:60]


def run_logged(command: Sequence[str], *, log: Path, on_line: Callable[[str], None]) -> None:
    """Run a program, append its output to ``log`` and hand every line to ``on_line``.

    Raises:
        BuildFailedError: It cannot be started or returned another status than 0.
    """
    lines: list[str] = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as record:
        record.write(f"$ {' '.join(command)}\n")
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=build_environment(os.environ),
            )
        except OSError as error:
            raise BuildFailedError(f"{command[0]} does not start: {error}", hint="reinstall it") from error
        with process:
            try:
                for line in process.stdout or ():
                    record.write(line)
                    lines.append(line.rstrip("\n"))
                    on_line(lines[-1])
                status = process.wait()
            except BaseException:
                process.terminate()  # Ctrl-C must not leave compilers running
                raise
    if status != 0:
        quoted = "\n".join(relevant_lines(lines))
        raise BuildFailedError(
            f"{Path(command[0]).name} failed with status {status}:\n{quoted}", hint=f"the whole log is in {log}"
        )


def relevant_lines(lines: Sequence[str], limit: int = _QUOTED_LINES) -> list[str]:
    """Return what explains a failure: from the first error on, or the last lines where none is marked as such.

    With several jobs at once the cause is seldom at the end: other compilers still finish after the one that failed.
    """
    first = next((number for number, line in enumerate(lines) if _ERROR_LINE.search(line)), None)
    if first is None:
        quoted = list(lines[-limit:])
    else:
        quoted = [line for line in lines[first:] if parse_ninja_line(line) is None][:limit]
    # A link command alone fills a screen; the log has it whole.
    return [line if len(line) <= _QUOTED_WIDTH else f"{line[:_QUOTED_WIDTH]} ..." for line in quoted]


def build_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every build program: the user's, less what would change the products unseen."""
    kept = {name: value for name, value in inherited.items() if not _is_dropped(name)}
    beside_python = str(Path(sys.executable).parent)
    kept["PATH"] = os.pathsep.join([beside_python, kept.get("PATH", os.defpath)])
    return {**kept, "LC_ALL": "C", "NINJA_STATUS": "[%f/%t] ", "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH}


def single_product(directory: Path, pattern: str) -> Path:
    """Return the one file under a build directory that matches a glob pattern.

    Raises:
        BuildFailedError: There is none, or more than one.
    """
    found = sorted(path for path in directory.rglob(pattern) if path.is_file())
    if len(found) != 1:
        raise BuildFailedError(
            f"the build made {_listed(found)} where one {pattern} is expected",
            hint="check the targets in CMakeLists.txt",
        )
    return found[0]


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths) or "nothing"


def _is_dropped(name: str) -> bool:
    return name in _DROPPED_VARIABLES or name.startswith(("CMAKE_", "NINJA", "CCACHE_"))


def _ignore(line: str) -> None:
    """Take a line that nobody watches; the log has it."""
