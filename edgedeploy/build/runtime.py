"""The on-board program for a triple: ``csrc/`` cross-compiled and stripped, and its functions' names.

Beside it lies a small one that a board without any gets ahead of its first release.

By GCC it is static; by Zig it uses the board's glibc and nothing else. Both are proved on the file that was linked.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edgedeploy.artifacts import BinaryRequirements, BuiltRuntime, canonical_json
from edgedeploy.build.a32 import BASELINE as ARM_BASELINE
from edgedeploy.build.baseline import Unguarded, unguarded_features
from edgedeploy.build.cache import build_cache_dir, content_key, ensure_entry
from edgedeploy.build.cmake import BuildTree, build, configure, single_product
from edgedeploy.build.elfnote import with_isa_note
from edgedeploy.build.engine import Engine, ensure_engine
from edgedeploy.build.engine_parts import EngineParts
from edgedeploy.build.json_headers import JSON_SOURCE, json_include
from edgedeploy.build.kernel_list import list_kernels
from edgedeploy.build.sodium import SODIUM_SOURCE, sodium_source
from edgedeploy.build.sources import sources_digest
from edgedeploy.build.strip import strip
from edgedeploy.build.symbols import write_symbols
from edgedeploy.build.toolchain import Compiler, Toolchain, inspect_compiler, static_library, toolchain_for
from edgedeploy.build.zstd import ZSTD_SOURCE, zstd_source
from edgedeploy.elffile import ElfFacts, read_elf, version_tuple
from edgedeploy.errors import BuildFailedError
from edgedeploy.paths import resource_dir
from edgedeploy.progress import Progress

RUNNER_PROGRAM = "edgedeploy-runner"
INSTALLER_PROGRAM = "edgedeploy-installer"
SYMBOLS_FILE = "symbols.txt"

# Static, so that the board's libc, libstdc++ and libgomp, or their absence, do not matter.
RUNTIME_OPTIONS = {
    "CMAKE_EXE_LINKER_FLAGS": "-static",
    "EDGEDEPLOY_PYTHON": "OFF",
    "EDGEDEPLOY_RUNNER": "ON",
}

_ZIG_OPTIONS = {"CMAKE_EXE_LINKER_FLAGS": "", "EDGEDEPLOY_SIMPLEOMP": "ON", "EDGEDEPLOY_STATIC": "OFF"}

# Of csrc/, what this build leaves out: a change in the bindings or the emulator's plugin makes no new release.
_LEFT_OUT = ("plugin", "python")
_SHORT_KEY = 16
_RECORD_FILE = "runtime.json"
_ARM32 = "armv7l"
_GLIBC_ALONE = re.compile(r"^(?:lib(?:c|m|pthread|dl|rt)\.so\.\d+|ld-linux.*)$")


@dataclass(frozen=True, kw_only=True)
class RuntimeInputs:
    """Everything that goes into a runner. ``key`` is the hash of it."""

    resources: Path
    toolchain: Toolchain
    compiler: Compiler
    engine: Engine
    json_include: Path
    sodium: Path
    zstd: Path
    sources: str
    key: str


def runtime_options(toolchain: Toolchain) -> dict[str, str]:
    """Return the on-board program's CMake options with a toolchain."""
    return {**RUNTIME_OPTIONS, **(_ZIG_OPTIONS if toolchain.is_zig else {})}


def build_runtime(
    triple: str,
    *,
    progress: Progress,
    resources: Path | None = None,
    toolchain: Toolchain | None = None,
    parts: EngineParts | None = None,
) -> BuiltRuntime:
    """Return the on-board program for a triple, compiling engine and ``csrc/`` where the cache lacks them.

    Args:
        triple: For example ``aarch64-linux-gnu``.
        progress: Shows the compiler's counter.
        resources: The directory with ``CMakeLists.txt``, ``csrc`` and ``toolchains``; None means the installed one.
        toolchain: For that triple; None: Debian's.
        parts: Of the engine; None: all of it.

    Raises:
        UnknownTripleError: No toolchain serves the triple.
        MissingToolError: A program of the host is missing.
        EngineSourceError: The engine's or another library's source cannot be had.
        BuildFailedError: It does not compile, or the product is not what it should be.
    """
    toolchain = toolchain or toolchain_for(triple, resources=resources)
    inputs = _gather(toolchain, resources or resource_dir(), parts, progress)
    entry = build_cache_dir() / "runtimes" / triple / inputs.key[:_SHORT_KEY]
    ensure_entry(entry, lambda staging: _make(inputs, staging, progress), progress=progress)
    runner = entry / RUNNER_PROGRAM
    record = json.loads((entry / _RECORD_FILE).read_text(encoding="utf-8"))
    return BuiltRuntime(
        triple=triple,
        build_id=inputs.key[:_SHORT_KEY],
        runner=runner,
        symbols=entry / SYMBOLS_FILE,
        requirements=_requirements(read_elf(runner), record["unguarded"]),
        engine_version=inputs.engine.version,
        compiler=inputs.compiler.version,
        kernels=tuple(record["kernels"]),
        toolchain=inputs.toolchain.family.value,
    )


def runtime_key(*, sources: str, toolchain: Toolchain, compiler: Compiler, engine: Engine) -> str:
    """Return the hash over the files of an entry and what they are made of.

    That is: sources, options, toolchain file, compiler, engine, JSON headers, libsodium's and zstd's source.
    """
    return content_key(
        {
            "products": [RUNNER_PROGRAM, INSTALLER_PROGRAM, SYMBOLS_FILE, "unguarded", "ISA note"],
            "sources": sources,
            "options": runtime_options(toolchain),
            "toolchain": toolchain.sha256,
            "compiler": compiler.fingerprint,
            "engine": engine.key,
            "json": JSON_SOURCE.sha256,
            "sodium": SODIUM_SOURCE.sha256,
            "zstd": ZSTD_SOURCE.sha256,
        }
    )


def _requirements(facts: ElfFacts, unguarded: Iterable[str]) -> BinaryRequirements:
    """Return what the file asks for, and every extension that its code uses without asking the CPU.

    A 32-bit file's attributes name the code behind run-time checks too, so there the proof counts in their place.
    """
    needs = facts.to_requirements()
    baseline = ARM_BASELINE if facts.architecture == _ARM32 else needs.isa
    return replace(needs, isa=tuple(sorted({*baseline, *unguarded})))


def _gather(toolchain: Toolchain, resources: Path, parts: EngineParts | None, progress: Progress) -> RuntimeInputs:
    compiler = inspect_compiler(toolchain)
    sources_digest(
        resources, without=_LEFT_OUT
    )  # an incomplete directory shows before the minutes that the engine takes
    headers = json_include(progress=progress)
    sodium = sodium_source(progress=progress)
    zstd = zstd_source(progress=progress)
    engine = ensure_engine(toolchain.triple, progress=progress, resources=resources, toolchain=toolchain, parts=parts)
    sources = sources_digest(resources, without=_LEFT_OUT)
    return RuntimeInputs(
        resources=resources,
        toolchain=toolchain,
        compiler=compiler,
        engine=engine,
        json_include=headers,
        sodium=sodium,
        zstd=zstd,
        sources=sources,
        key=runtime_key(sources=sources, toolchain=toolchain, compiler=compiler, engine=engine),
    )


def _make(inputs: RuntimeInputs, staging: Path, progress: Progress) -> None:
    runner = staging / RUNNER_PROGRAM
    facts, unguarded = _compile(inputs, runner, progress)
    if sources_digest(inputs.resources, without=_LEFT_OUT) != inputs.sources:
        raise BuildFailedError(f"files in {inputs.resources} changed during the build", hint="run the command again")
    kernels = list_kernels(
        runner,
        architecture=facts.architecture,
        kernel_sources=inputs.resources / "csrc" / "kernels",
        static=facts.static,
    )
    by_feature: dict[str, list[str]] = {}
    for use in unguarded:
        by_feature.setdefault(use.feature, []).append(use.function)
    record = {"kernels": kernels, "compiler": inputs.compiler.version, "unguarded": by_feature}
    (staging / _RECORD_FILE).write_bytes(canonical_json(record))


def _compile(inputs: RuntimeInputs, runner: Path, progress: Progress) -> tuple[ElfFacts, tuple[Unguarded, ...]]:
    log = build_cache_dir() / "logs" / f"runtime-{inputs.key[:_SHORT_KEY]}.log"
    log.unlink(missing_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{runner.parent.name}-work-", dir=runner.parent.parent))
    tree = BuildTree(source=inputs.resources, directory=work, log=log)
    try:
        configure(
            tree,
            toolchain_file=inputs.toolchain.file,
            defines={
                **runtime_options(inputs.toolchain),
                **inputs.toolchain.defines(),
                **_openmp(inputs.toolchain),
                "CMAKE_ASM_FLAGS": tree.path_flags(),
                "CMAKE_C_FLAGS": tree.path_flags(),
                "CMAKE_CXX_FLAGS": tree.path_flags(),
                "EDGEDEPLOY_JSON_INCLUDE": str(inputs.json_include),
                "EDGEDEPLOY_SODIUM_SOURCE": str(inputs.sodium),
                "EDGEDEPLOY_ZSTD_SOURCE": str(inputs.zstd),
                "ncnn_DIR": str(inputs.engine.cmake_dir),
            },
            progress=progress,
        )
        title = f"Compiling the runtime for {inputs.toolchain.triple}"
        build(tree, targets=[RUNNER_PROGRAM, INSTALLER_PROGRAM], title=title, progress=progress)
        linked = single_product(work, RUNNER_PROGRAM)
        unguarded = _unguarded(linked, inputs.engine, work)
        small = single_product(work, INSTALLER_PROGRAM)
        check_installer(_unguarded(small, inputs.engine, work), unguarded)
        write_symbols(linked, runner.with_name(SYMBOLS_FILE), inputs.toolchain)
        strip(linked, runner, inputs.toolchain)
        installer = runner.with_name(INSTALLER_PROGRAM)
        strip(small, installer, inputs.toolchain)
        check_libraries(read_elf(installer), inputs.toolchain)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    isa = _requirements(read_elf(runner), (use.feature for use in unguarded)).isa
    for program in (runner, installer):
        program.write_bytes(with_isa_note(program.read_bytes(), isa))
    facts = read_elf(runner)
    check_libraries(facts, inputs.toolchain)
    return facts, unguarded


def check_installer(small: Iterable[Unguarded], runner: Iterable[Unguarded]) -> None:
    """Check that the small program, which no preflight looks at, needs no instructions that the runner does not.

    Raises:
        BuildFailedError: It does.
    """
    known = {use.feature for use in runner}
    for use in small:
        if use.feature not in known:
            raise BuildFailedError(
                f"{INSTALLER_PROGRAM} uses {use.feature} in {use.function} without asking the CPU",
                hint="code for later cores goes into source files of its own (docs/build.md)",
            )


def check_libraries(facts: ElfFacts, toolchain: Toolchain) -> None:
    """Check that a program needs what its toolchain means it to need: nothing, or a glibc no newer than the board's.

    Raises:
        BuildFailedError: It needs more.
    """
    if not toolchain.is_zig:
        if not facts.static:
            raise BuildFailedError(
                f"{RUNNER_PROGRAM} is not static: it needs {', '.join(facts.libraries) or facts.interpreter}",
                hint="something in csrc/ links a shared library",
            )
        return
    foreign = [library for library in facts.libraries if not _GLIBC_ALONE.match(library)]
    if foreign:
        raise BuildFailedError(
            f"{RUNNER_PROGRAM} needs {', '.join(foreign)}", hint="something in csrc/ links a shared library"
        )
    if facts.glibc and toolchain.glibc and version_tuple(facts.glibc) > version_tuple(toolchain.glibc):
        raise BuildFailedError(
            f"{RUNNER_PROGRAM} needs glibc {facts.glibc} for {facts.glibc_symbol}, meant was {toolchain.glibc}",
            hint="the toolchain file or ziglang changed; see edgedeploy/build/zig.py",
        )


def _unguarded(linked: Path, engine: Engine, work: Path) -> tuple[Unguarded, ...]:
    return unguarded_features(linked, [engine.directory / "lib" / "libncnn.a", *sorted(work.rglob("*.a"))])


def _openmp(toolchain: Toolchain) -> dict[str, str]:
    """Name libgomp.a: CMake's FindOpenMP, which the engine's package asks, prefers the shared one."""
    if toolchain.is_zig:
        return {}
    return {"OpenMP_gomp_LIBRARY": str(static_library(toolchain, "libgomp.a"))}
