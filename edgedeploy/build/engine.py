"""The inference engine: its source by version and hash, cross-compiled once a triple, apart from ``csrc/``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.build.cache import build_cache_dir, content_key, ensure_entry
from edgedeploy.build.cmake import BuildTree, build, configure
from edgedeploy.build.engine_parts import EngineParts
from edgedeploy.build.source_archives import SourceArchive, ensure_source
from edgedeploy.build.toolchain import Compiler, Toolchain, inspect_compiler, toolchain_for
from edgedeploy.errors import BuildFailedError
from edgedeploy.progress import Progress

ENGINE_SOURCE = SourceArchive(
    what="the engine's source",
    package="ncnn",
    version="1.0.20261020",
    sha256="ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200",
)
ENGINE_VERSION = ENGINE_SOURCE.version

# Every variant for later instruction sets stays on (NCNN_RUNTIME_CPU): the CPU is asked at run time. OpenMP is GCC's
# libgomp, which works in static programs. NCNN_VERSION would otherwise be the day of the build. The runner computes
# nothing in bf16 (weights stored so are read all the same); without it the largest files compile in two thirds of the
# time.
ENGINE_OPTIONS = {
    "CMAKE_CXX_FLAGS_RELEASE": "-O3 -DNDEBUG",
    "CMAKE_INSTALL_LIBDIR": "lib",
    "NCNN_BENCHMARK": "OFF",
    "NCNN_BF16": "OFF",
    "NCNN_BUILD_BENCHMARK": "OFF",
    "NCNN_BUILD_EXAMPLES": "OFF",
    "NCNN_BUILD_TESTS": "OFF",
    "NCNN_BUILD_TOOLS": "OFF",
    "NCNN_DISABLE_EXCEPTION": "OFF",
    "NCNN_DISABLE_RTTI": "OFF",
    "NCNN_OPENMP": "ON",
    "NCNN_PYTHON": "OFF",
    "NCNN_RUNTIME_CPU": "ON",
    "NCNN_SHARED_LIB": "OFF",
    "NCNN_SIMPLEOMP": "OFF",
    "NCNN_VERSION": ENGINE_VERSION.rpartition(".")[2],
    "NCNN_VULKAN": "OFF",
}

# Zig has no OpenMP library; the engine carries a small one of its own.
_ZIG_OPTIONS = {"NCNN_SIMPLEOMP": "ON"}

_SHORT_KEY = 16


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine's installed library and headers for a triple. ``key`` is a hash of all that went in."""

    triple: str
    version: str
    key: str
    directory: Path

    @property
    def cmake_dir(self) -> Path:
        """The value of ``ncnn_DIR``."""
        return self.directory / "lib" / "cmake" / "ncnn"


def engine_options(toolchain: Toolchain) -> dict[str, str]:
    """Return the engine's CMake options with a toolchain."""
    return {**ENGINE_OPTIONS, **(_ZIG_OPTIONS if toolchain.is_zig else {})}


def ensure_engine(
    triple: str,
    *,
    progress: Progress,
    resources: Path | None = None,
    toolchain: Toolchain | None = None,
    parts: EngineParts | None = None,
) -> Engine:
    """Return the engine for a triple, downloading and cross-compiling it where the cache lacks it (minutes).

    Args:
        toolchain: For that triple; None: Debian's.
        parts: All that it is to have; None: every layer, for every core.

    Raises:
        UnknownTripleError: No toolchain serves the triple.
        MissingToolError: The cross compiler, cmake or ninja is not installed.
        EngineSourceError: The source cannot be fetched, or is not the one written down.
        BuildFailedError: It does not compile.
    """
    toolchain = toolchain or toolchain_for(triple, resources=resources)
    left_out = parts.options(engine_source(progress=progress), triple=triple) if parts else {}
    key = engine_key(toolchain, inspect_compiler(toolchain), left_out=left_out)
    entry = build_cache_dir() / "engines" / triple / key[:_SHORT_KEY]

    def make(staging: Path) -> None:
        _compile(staging, toolchain, {**engine_options(toolchain), **left_out}, key, progress)

    ensure_entry(entry, make, progress=progress)
    return Engine(triple=triple, version=ENGINE_VERSION, key=key, directory=entry)


def engine_key(
    toolchain: Toolchain,
    compiler: Compiler,
    *,
    source_sha256: str = ENGINE_SOURCE.sha256,
    left_out: Mapping[str, str] | None = None,
) -> str:
    """Return the hash over source, options, toolchain file and compiler.

    Args:
        left_out: What ``EngineParts.options`` adds to the options.
    """
    return content_key(
        {
            "source": source_sha256,
            "options": {**engine_options(toolchain), **(left_out or {})},
            "toolchain": toolchain.sha256,
            "compiler": compiler.fingerprint,
        }
    )


def engine_source(*, progress: Progress) -> Path:
    """Return the directory with the engine's unpacked source, fetched and verified where the cache lacks it.

    Raises:
        EngineSourceError: It cannot be fetched, has another hash, or cannot be unpacked.
    """
    return ensure_source(ENGINE_SOURCE, progress=progress)


def _compile(prefix: Path, toolchain: Toolchain, options: Mapping[str, str], key: str, progress: Progress) -> None:
    source = engine_source(progress=progress)
    log = build_cache_dir() / "logs" / f"engine-{key[:_SHORT_KEY]}.log"
    log.unlink(missing_ok=True)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{prefix.name}-work-", dir=prefix.parent))
    tree = BuildTree(source=source, directory=work, log=log)
    flags = tree.path_flags()
    try:
        configure(
            tree,
            toolchain_file=toolchain.file,
            defines={
                **options,
                **toolchain.defines(),
                "CMAKE_INSTALL_PREFIX": str(prefix),
                "CMAKE_C_FLAGS": flags,
                "CMAKE_CXX_FLAGS": flags,
            },
            progress=progress,
        )
        build(tree, targets=["install"], title=f"Compiling the engine for {toolchain.triple}", progress=progress)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not (prefix / "lib" / "libncnn.a").is_file():
        raise BuildFailedError("the engine's build installed no lib/libncnn.a", hint=f"the whole log is in {log}")
