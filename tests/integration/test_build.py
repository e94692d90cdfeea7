"""The real cross builds: engine, on-board program and wheel, in the cache that the commands use."""

from __future__ import annotations

import email
import json
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wheel.wheelfile import WheelFile

from edgedeploy import __version__
from edgedeploy.artifacts import BuiltRuntime
from edgedeploy.build import ENGINE_VERSION, build_plugin, build_runtime, build_wheel, engine, ensure_engine
from edgedeploy.build.cache import build_cache_dir
from edgedeploy.build.kernel_list import kernels_in_bytes
from edgedeploy.elffile import read_elf
from edgedeploy.emulate.headers import ensure_python_headers
from edgedeploy.errors import BuildFailedError
from edgedeploy.files import file_sha256
from edgedeploy.paths import CACHE_VARIABLE, cache_dir, resource_dir
from edgedeploy.progress import SILENT, Progress, Task

TRIPLE = "aarch64-linux-gnu"
RESOURCES = ("csrc", "toolchains")

pytestmark = [pytest.mark.cross, pytest.mark.timeout(1800)]


class Announced:
    """Progress that keeps the titles of what took time."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.last: tuple[float, float | None] = (0, None)

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        self.titles.append(title)
        yield self

    def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
        self.last = (done, total)

    def say(self, text: str) -> None:
        self.titles.append(text)


@pytest.fixture(scope="module")
def runtime() -> BuiltRuntime:
    return build_runtime(TRIPLE, progress=SILENT)


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    """A copy of the resources to break."""
    copy = tmp_path / "resources"
    for name in RESOURCES:
        shutil.copytree(resource_dir() / name, copy / name)
    shutil.copyfile(resource_dir() / "CMakeLists.txt", copy / "CMakeLists.txt")
    return copy


def run_under_qemu(runner: Path, *arguments: str, cpu: str = "max") -> subprocess.CompletedProcess[str]:
    command = ["qemu-aarch64", "-cpu", cpu, str(runner), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_engine_has_every_instruction_set_variant() -> None:
    made = ensure_engine(TRIPLE, progress=SILENT)
    assert (made.cmake_dir / "ncnnConfig.cmake").is_file()
    assert (made.directory / "include" / "ncnn" / "net.h").is_file()
    listing = subprocess.run(
        ["aarch64-linux-gnu-ar", "t", made.directory / "lib" / "libncnn.a"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    for variant in ("arm_vfpv4", "arm_asimdhp", "arm_asimddp", "arm_asimdfhm", "arm_bf16", "arm_i8mm"):
        assert f"_{variant}.cpp.o" in listing, variant


def test_runner_is_static_and_stripped(runtime: BuiltRuntime) -> None:
    facts = read_elf(runtime.runner)
    assert facts.static
    assert runtime.requirements.architecture == "aarch64"
    assert runtime.requirements.glibc is None
    for program in (runtime.runner, runtime.runner.with_name("edgedeploy-installer")):
        assert read_elf(program).proven_isa == runtime.requirements.isa == ("asimd", "fp")
    symbols = subprocess.run(
        ["aarch64-linux-gnu-nm", runtime.runner], capture_output=True, text=True, check=False, timeout=60
    )
    assert "no symbols" in symbols.stderr


def test_symbols_are_the_stripped_runners_functions(runtime: BuiltRuntime) -> None:
    lines = runtime.symbols.read_text(encoding="utf-8").splitlines()
    entries = [(int(address, 16), int(size, 16), name) for address, size, name in (x.split(" ", 2) for x in lines)]
    assert [address for address, _, _ in entries] == sorted(address for address, _, _ in entries)
    names = {name for _, _, name in entries}
    # These references are structs of functions with other names.
    functions = {name for name in runtime.kernels if not re.fullmatch(r"(depthwise_s8_\w+|winograd_s8)_ref", name)}
    assert {"main", "edgedeploy_mark", *functions} <= names
    assert "ncnn::Net::load_param(char const*)" in names
    assert any("[clone ._omp_fn.0]" in name for name in names)
    assert all(size > 0 for _, size, _ in entries[:-1])
    # The mark's instructions are where the symbols say.
    ((address, size),) = ((address, size) for address, size, name in entries if name == "edgedeploy_mark")
    assert size == 16
    code = (0xD503245F, 0xD29DB3DF, 0x3900001F, 0xD65F03C0)
    offset = runtime.runner.read_bytes().index(struct.pack("<4I", *code))
    assert address % 4096 == offset % 4096


def test_runner_carries_no_path_of_this_host(runtime: BuiltRuntime) -> None:
    for path in (resource_dir(), cache_dir(), Path.home() / "."):
        assert f"{path}/".encode() not in runtime.runner.read_bytes()
        assert f"{path}/" not in runtime.symbols.read_text(encoding="utf-8")


def test_plugin_is_built_once(resources: Path) -> None:
    progress = Announced()
    plugin = build_plugin(progress=SILENT)
    assert build_plugin(progress=progress, resources=resources) == plugin
    assert progress.titles == []
    exported = subprocess.run(
        ["nm", "--dynamic", "--defined-only", plugin], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert {"qemu_plugin_install", "qemu_plugin_version"} <= {line.split()[-1] for line in exported.splitlines()}
    assert f"{resource_dir()}/".encode() not in plugin.read_bytes()


def test_plugin_that_does_not_compile_is_quoted_and_leaves_nothing(resources: Path) -> None:
    source = resources / "csrc" / "plugin" / "cache.cpp"
    source.write_text("#error deliberately broken\n")
    with pytest.raises(BuildFailedError, match="deliberately broken") as caught:
        build_plugin(progress=SILENT, resources=resources)
    log = Path(caught.value.hint.removeprefix("the whole log is in "))
    assert not (build_cache_dir() / "plugins" / log.stem.removeprefix("plugin-")).exists()
    log.unlink()
    shutil.rmtree(source.parent)
    with pytest.raises(BuildFailedError, match="plugin does not exist"):
        build_plugin(progress=SILENT, resources=resources)


def test_runner_answers_with_the_engines_version(runtime: BuiltRuntime) -> None:
    answer = run_under_qemu(runtime.runner, "version")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["engine"] == runtime.engine_version == ENGINE_VERSION


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "cortex-a76", "max"])
def test_kernels_are_those_of_the_runners_probe(runtime: BuiltRuntime, cpu: str) -> None:
    answer = run_under_qemu(runtime.runner, "probe", cpu=cpu)
    assert answer.returncode == 0, answer.stderr
    probed = json.loads(answer.stdout)["kernels"]
    assert tuple(sorted(kernel["name"] for kernel in probed)) == runtime.kernels


def test_kernels_read_from_bytes_are_the_same(runtime: BuiltRuntime) -> None:
    found = kernels_in_bytes(runtime.runner.read_bytes(), resource_dir() / "csrc" / "kernels")
    assert found == runtime.kernels
    assert len(found) >= 5


def test_second_build_comes_from_the_cache(runtime: BuiltRuntime) -> None:
    progress = Announced()
    assert build_runtime(TRIPLE, progress=progress) == runtime
    assert progress.titles == []


def test_compile_error_is_quoted_and_leaves_nothing(resources: Path) -> None:
    table = resources / "csrc" / "kernels" / "table.cpp"
    table.write_text("#error deliberately broken\n" + table.read_text())
    before = _entries("runtimes")
    with pytest.raises(BuildFailedError, match="deliberately broken") as caught:
        build_runtime(TRIPLE, progress=SILENT, resources=resources)
    log = Path(caught.value.hint.removeprefix("the whole log is in "))
    assert "deliberately broken" in log.read_text()
    assert _entries("runtimes") == before
    log.unlink()


def test_cmake_error_is_quoted(resources: Path) -> None:
    lists = resources / "csrc" / "CMakeLists.txt"
    lists.write_text(lists.read_text() + "\nadd_subdirectory(absent)\n")
    with pytest.raises(BuildFailedError, match="absent"):
        build_runtime(TRIPLE, progress=SILENT, resources=resources)


def test_a_change_during_the_build_is_noticed(tmp_path: Path) -> None:
    """On a small package of the same layout: the real one takes a minute."""
    resources = tmp_path / "resources"
    package = resources / "csrc" / "python" / "edgedeploy_ops"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    shutil.copytree(resource_dir() / "toolchains", resources / "toolchains")
    (resources / "csrc" / "module.c").write_text("int answer(void) { return 42; }\n")
    (resources / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(small C)\nadd_library(_native MODULE csrc/module.c)\n"
        'set_target_properties(_native PROPERTIES PREFIX "" SUFFIX "${EDGEDEPLOY_PYTHON_SUFFIX}")\n'
    )

    class Editor(Announced):
        """Somebody who saves a file while the compiler runs."""

        def update(self, done: float, total: float | None = None, note: str = "", *, unit: str = "") -> None:
            (resources / "csrc" / "module.c").write_text(f"int answer(void) {{ return {done}; }}\n")

    headers = ensure_python_headers(progress=SILENT)
    with pytest.raises(BuildFailedError, match="changed during the build"):
        build_wheel(
            TRIPLE,
            python_headers=headers,
            destination=tmp_path / "out",
            progress=Editor(),
            resources=resources,
        )
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    progress: Progress = SILENT
    return build_wheel(
        TRIPLE,
        python_headers=ensure_python_headers(progress=progress),
        destination=tmp_path_factory.mktemp("wheel") / "made",
        progress=progress,
    )


def test_wheel_has_the_package_and_true_records(wheel: Path) -> None:
    info = f"edgedeploy_ops-{__version__}.dist-info"
    assert wheel.name == f"edgedeploy_ops-{__version__}-cp311-cp311-linux_aarch64.whl"
    with WheelFile(wheel) as archive:
        names = set(archive.namelist())
        for name in names:
            archive.read(name)  # compares with RECORD's hash
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        tags = email.message_from_bytes(archive.read(f"{info}/WHEEL"))
    assert names == {
        "edgedeploy_ops/__init__.py",
        "edgedeploy_ops/_native.cpython-311-aarch64-linux-gnu.so",
        "edgedeploy_ops/_native.pyi",
        "edgedeploy_ops/py.typed",
        f"{info}/METADATA",
        f"{info}/RECORD",
        f"{info}/WHEEL",
    }
    assert (metadata["Name"], metadata["Version"]) == ("edgedeploy_ops", __version__)
    assert tags["Tag"] == "cp311-cp311-linux_aarch64"
    assert tags["Root-Is-Purelib"] == "false"


def test_wheels_module_is_for_the_board_and_brings_its_cpp_runtime(wheel: Path, tmp_path: Path) -> None:
    with WheelFile(wheel) as archive:
        module = Path(archive.extract("edgedeploy_ops/_native.cpython-311-aarch64-linux-gnu.so", tmp_path))
    facts = read_elf(module)
    assert facts.architecture == "aarch64"
    assert not [name for name in facts.libraries if name.startswith(("libstdc++", "libgcc", "libpython"))]
    exported = subprocess.run(
        ["aarch64-linux-gnu-nm", "-D", "--defined-only", module], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "PyInit__native" in exported
    assert "_ZNSt6locale" not in exported, "the module shows its own libstdc++ to others"


@pytest.mark.nightly
def test_same_inputs_give_the_same_bytes(
    runtime: BuiltRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resources: Path
) -> None:
    """Built again in another place, from another copy of the sources, the program is the same to the byte."""
    engines = build_cache_dir() / "engines"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    shutil.copytree(engines, build_cache_dir() / "engines")
    again = build_runtime(TRIPLE, progress=SILENT, resources=resources)
    assert again.build_id == runtime.build_id
    assert file_sha256(again.runner) == file_sha256(runtime.runner)


SMALL_ENGINE = """
cmake_minimum_required(VERSION 3.24)
project(small CXX)
if(NOT CMAKE_CROSSCOMPILING OR NOT NCNN_VERSION OR NCNN_VULKAN)
  message(FATAL_ERROR "the options did not arrive")
endif()
add_library(ncnn STATIC engine.cpp)
install(TARGETS ncnn EXPORT ncnn DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ncnn DESTINATION lib/cmake/ncnn)
"""


@pytest.fixture
def small_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source that compiles in a second in the engine's place, and an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(SMALL_ENGINE)
    (source / "engine.cpp").write_text("int engine() { return 1; }\n")
    monkeypatch.setattr(engine, "engine_source", lambda progress: source)
    return source


def test_engine_is_compiled_once_and_installed_whole(small_engine: Path) -> None:
    progress = Announced()
    made = ensure_engine(TRIPLE, progress=progress)
    assert progress.titles == ["Configuring", f"Compiling the engine for {TRIPLE}"]
    assert progress.last[1] is not None, "no counter was shown"
    assert (made.directory / "lib" / "libncnn.a").is_file()
    assert str(made.directory.parent) not in (made.cmake_dir / "ncnn.cmake").read_text(), "the package is not movable"
    assert {path.name for path in made.directory.parent.iterdir()} == {
        made.directory.name,
        f"{made.directory.name}.lock",
    }
    again = Announced()
    assert ensure_engine(TRIPLE, progress=again) == made
    assert again.titles == []


def test_engine_that_does_not_compile_leaves_nothing(small_engine: Path) -> None:
    (small_engine / "engine.cpp").write_text("int engine() { return one; }\n")
    with pytest.raises(BuildFailedError, match="'one' was not declared"):
        ensure_engine(TRIPLE, progress=SILENT)
    assert _entries("engines") == set()


def test_engine_that_installs_no_library_is_an_error(small_engine: Path) -> None:
    lists = small_engine / "CMakeLists.txt"
    lists.write_text(SMALL_ENGINE.replace("add_library(ncnn STATIC", "add_library(ncnn OBJECT"))
    with pytest.raises(BuildFailedError, match=r"no lib/libncnn\.a"):
        ensure_engine(TRIPLE, progress=SILENT)
    assert _entries("engines") == set()


def _entries(kind: str) -> set[str]:
    """Return the finished entries of the cache, and anything half-made beside them."""
    directory = build_cache_dir() / kind / TRIPLE
    return {path.name for path in directory.iterdir() if path.is_dir()}
