"""The operators' Python package ``edgedeploy_ops`` as a wheel for a triple and a Python version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pybind11

from edgedeploy import __version__
from edgedeploy.build.cache import build_cache_dir, content_key, ensure_entry, tree_digest
from edgedeploy.build.cmake import BuildTree, build, build_environment, configure, single_product
from edgedeploy.build.sources import sources_digest
from edgedeploy.build.strip import strip
from edgedeploy.build.toolchain import Compiler, Toolchain, inspect_compiler, toolchain_for
from edgedeploy.elffile import read_elf
from edgedeploy.errors import BuildFailedError, MissingFileError, UsageError
from edgedeploy.files import write_whole
from edgedeploy.paths import resource_dir
from edgedeploy.progress import Progress

PACKAGE = "edgedeploy_ops"

# libstdc++ goes into the module: small board images have Python and no C++ runtime. Its symbols stay inside, so that
# they do not meet those of another module's libstdc++; what nothing reaches goes, and with it some glibc symbols.
WHEEL_OPTIONS = {
    "CMAKE_MODULE_LINKER_FLAGS": "-static-libgcc -static-libstdc++ -Wl,--exclude-libs,ALL -Wl,--gc-sections",
    "EDGEDEPLOY_PYTHON": "ON",
    "EDGEDEPLOY_RUNNER": "OFF",
}

# Zig links libc++ in by itself.
_ZIG_OPTIONS = {"CMAKE_MODULE_LINKER_FLAGS": "-Wl,--gc-sections"}

_PACKAGE_DIRECTORY = Path("csrc") / "python" / PACKAGE
_PACKAGE_PATTERNS = ("*.py", "*.pyi", "py.typed")
_PYTHON_VERSION = re.compile(r"^3\.(\d{1,2})$")
# Of csrc/, what EDGEDEPLOY_RUNNER=OFF leaves out.
_LEFT_OUT = ("layers", "plugin", "runner", "sodium")
_SHORT_KEY = 16

_METADATA = """\
Metadata-Version: 2.4
Name: {package}
Version: {version}
Summary: edgedeploy's handwritten operators for ARM boards, callable from Python
License-Expression: Apache-2.0
Requires-Python: =={python_version}.*
Requires-Dist: numpy
"""

_WHEEL = """\
Wheel-Version: 1.0
Generator: edgedeploy {version}
Root-Is-Purelib: false
Tag: {tag}
"""


@dataclass(frozen=True, kw_only=True)
class PythonTarget:
    """The Python a wheel is for.

    Args:
        triple: The board's, ``aarch64-linux-gnu``.
        version: Major and minor, ``3.11``.
        headers: A directory with ``usr/include/python3.11`` and ``usr/include/<triple>/python3.11``.
    """

    triple: str
    version: str
    headers: Path

    @property
    def architecture(self) -> str:
        return self.triple.partition("-")[0]

    @property
    def digits(self) -> str:
        return self.version.replace(".", "")

    @property
    def tag(self) -> str:
        """The wheel's compatibility tag: ``cp311-cp311-linux_aarch64``."""
        return f"cp{self.digits}-cp{self.digits}-linux_{self.architecture}"

    @property
    def suffix(self) -> str:
        """What the interpreter appends to a module's name: ``.cpython-311-aarch64-linux-gnu.so``."""
        return f".cpython-{self.digits}-{self.triple}.so"

    @property
    def include_directories(self) -> tuple[Path, Path]:
        """Debian's two: one shared by all architectures, one of the architecture's own."""
        include = self.headers / "usr" / "include"
        name = f"python{self.version}"
        return include / name, include / self.triple / name


@dataclass(frozen=True, kw_only=True)
class WheelInputs:
    """Everything that goes into a wheel. ``key`` is the hash of it."""

    resources: Path
    toolchain: Toolchain
    target: PythonTarget
    sources: str
    key: str


def build_wheel(
    triple: str,
    *,
    python_headers: Path,
    python_version: str = "3.11",
    destination: Path,
    progress: Progress,
    resources: Path | None = None,
    toolchain: Toolchain | None = None,
) -> Path:
    """Cross-compile ``edgedeploy_ops`` and write its wheel into a directory.

    Args:
        triple: For example ``aarch64-linux-gnu``.
        python_headers: A directory with ``usr/include/python3.11`` and ``usr/include/<triple>/python3.11``.
        python_version: The board's Python, major and minor.
        destination: Made where it is missing.
        progress: Shows the compiler's counter.
        resources: The directory with ``CMakeLists.txt``, ``csrc`` and ``toolchains``; None means the installed one.
        toolchain: For that triple; None: Debian's.

    Returns:
        The wheel, for example ``DESTINATION/edgedeploy_ops-0.1.0-cp311-cp311-linux_aarch64.whl``.

    Raises:
        UnknownTripleError: No toolchain serves the triple.
        UsageError: ``python_version`` is not like 3.11.
        MissingFileError: The headers are not where they should be.
        MissingToolError: A program of the host is missing.
        BuildFailedError: It does not compile.
    """
    chosen = toolchain or toolchain_for(triple, resources=resources)
    inputs = _gather(chosen, python_version, python_headers, resources or resource_dir())
    entry = build_cache_dir() / "wheels" / triple / inputs.key[:_SHORT_KEY]
    ensure_entry(entry, lambda staging: _make(inputs, staging, progress), progress=progress)
    return _place(entry / _wheel_name(inputs.target), destination)


def python_target(triple: str, version: str, headers: Path) -> PythonTarget:
    """Check and bundle what a wheel is for.

    Raises:
        UsageError: The version is not like 3.11.
        MissingFileError: ``Python.h`` or the architecture's ``pyconfig.h`` is missing.
    """
    if _PYTHON_VERSION.match(version) is None:
        raise UsageError(f"the Python version {version!r} is not like 3.11", hint="give major and minor, as in 3.11")
    target = PythonTarget(triple=triple, version=version, headers=headers.absolute())
    common, own = target.include_directories
    for header in (common / "Python.h", own / "pyconfig.h"):
        if not header.is_file():
            raise MissingFileError(
                f"{header} does not exist", hint=f"unpack Debian's libpython{version}-dev for the board into {headers}"
            )
    return target


def wheel_key(*, sources: str, toolchain: Toolchain, compiler: Compiler, target: PythonTarget) -> str:
    """Return the hash over sources, options, toolchain file, compiler, Python's headers and pybind11."""
    return content_key(
        {
            "sources": sources,
            "options": _wheel_options(toolchain),
            "toolchain": toolchain.sha256,
            "compiler": compiler.fingerprint,
            "tag": target.tag,
            "headers": [tree_digest(directory) for directory in target.include_directories],
            "pybind11": pybind11.__version__,
            "version": __version__,
        }
    )


def _wheel_options(toolchain: Toolchain) -> dict[str, str]:
    return {**WHEEL_OPTIONS, **(_ZIG_OPTIONS if toolchain.is_zig else {})}


def _gather(toolchain: Toolchain, python_version: str, python_headers: Path, resources: Path) -> WheelInputs:
    target = python_target(toolchain.triple, python_version, python_headers)
    sources = sources_digest(resources, without=_LEFT_OUT)
    key = wheel_key(sources=sources, toolchain=toolchain, compiler=inspect_compiler(toolchain), target=target)
    return WheelInputs(resources=resources, toolchain=toolchain, target=target, sources=sources, key=key)


def _make(inputs: WheelInputs, staging: Path, progress: Progress) -> None:
    log = build_cache_dir() / "logs" / f"wheel-{inputs.key[:_SHORT_KEY]}.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{staging.name}-work-", dir=staging.parent) as scratch:
        tree = BuildTree(source=inputs.resources, directory=Path(scratch) / "build", log=log)
        module = _compile(tree, inputs, progress)
        root = Path(scratch) / "wheel"
        _lay_out(root, inputs)
        strip(module, root / PACKAGE / module.name, inputs.toolchain)
        read_elf(root / PACKAGE / module.name)
        _pack(root, staging, inputs.target)
    if sources_digest(inputs.resources, without=_LEFT_OUT) != inputs.sources:
        raise BuildFailedError(f"files in {inputs.resources} changed during the build", hint="run the command again")


def _compile(tree: BuildTree, inputs: WheelInputs, progress: Progress) -> Path:
    target = inputs.target
    include = _isolated_python_headers(target, tree.directory.parent / "include")
    flags = tree.path_flags()
    configure(
        tree,
        toolchain_file=inputs.toolchain.file,
        defines={
            **_wheel_options(inputs.toolchain),
            **inputs.toolchain.defines(),
            "CMAKE_ASM_FLAGS": flags,
            "CMAKE_C_FLAGS": flags,
            "CMAKE_CXX_FLAGS": flags,
            "EDGEDEPLOY_PYTHON_INCLUDE": ";".join(str(directory) for directory in include),
            "EDGEDEPLOY_PYTHON_SUFFIX": target.suffix,
            "pybind11_DIR": pybind11.get_cmake_dir(),
        },
        progress=progress,
    )
    build(tree, targets=[], title=f"Compiling {PACKAGE} for {target.triple}", progress=progress)
    return single_product(tree.directory, f"*{target.suffix}")


def _isolated_python_headers(target: PythonTarget, directory: Path) -> tuple[Path, Path]:
    """Lay Python's headers out for ``-I``, without whatever else the target's ``usr/include`` holds.

    Debian's common ``pyconfig.h`` includes ``<aarch64-linux-gnu/python3.11/pyconfig.h>``, so the second directory is
    the one above the triple's.
    """
    common, own = target.include_directories
    (directory / target.triple).mkdir(parents=True)
    (directory / common.name).symlink_to(common)
    (directory / target.triple / own.name).symlink_to(own)
    return directory / common.name, directory


def _lay_out(root: Path, inputs: WheelInputs) -> None:
    source = inputs.resources / _PACKAGE_DIRECTORY
    target = inputs.target
    package = root / PACKAGE
    package.mkdir(parents=True)
    for pattern in _PACKAGE_PATTERNS:
        for file in sorted(source.glob(pattern)):
            shutil.copyfile(file, package / file.name)
    if not (package / "__init__.py").is_file():
        raise BuildFailedError(f"{source} has no __init__.py", hint="reinstall edgedeploy, or run a whole checkout")
    info = root / f"{PACKAGE}-{__version__}.dist-info"
    info.mkdir()
    fields = {"package": PACKAGE, "version": __version__, "python_version": target.version, "tag": target.tag}
    (info / "METADATA").write_text(_METADATA.format(**fields), encoding="utf-8")
    (info / "WHEEL").write_text(_WHEEL.format(**fields), encoding="utf-8")


def _pack(root: Path, destination: Path, target: PythonTarget) -> None:
    """Let the ``wheel`` tool write RECORD and the archive, with a fixed date in place of the clock's."""
    command = [sys.executable, "-m", "wheel", "pack", "--dest-dir", str(destination), str(root)]
    answer = subprocess.run(command, capture_output=True, text=True, env=build_environment(os.environ), check=False)
    if answer.returncode != 0 or not (destination / _wheel_name(target)).is_file():
        raise BuildFailedError(
            f"packing {_wheel_name(target)} failed: {(answer.stderr or answer.stdout).strip()[-500:]}",
            hint=f"{sys.executable} -m pip install --upgrade wheel",
        )


def _wheel_name(target: PythonTarget) -> str:
    return f"{PACKAGE}-{__version__}-{target.tag}.whl"


def _place(wheel: Path, destination: Path) -> Path:
    """Copy the cached wheel to where it is wanted, whole or not at all."""
    placed = destination / wheel.name
    try:
        destination.mkdir(parents=True, exist_ok=True)
        write_whole(placed, wheel.read_bytes())
    except OSError as error:
        raise BuildFailedError(f"cannot write {placed}: {error}", hint="choose a directory you may write to") from error
    return placed
