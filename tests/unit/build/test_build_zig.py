"""Zig as GCC: options translated, programs of the cache, symbols taken out, and which board gets which toolchain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgedeploy.boards.load import load_board
from edgedeploy.build import choose, zig
from edgedeploy.build.choose import choose_toolchain
from edgedeploy.build.elfstrip import without_symbols
from edgedeploy.build.runtime import check_libraries, runtime_options
from edgedeploy.build.toolchain import ToolchainFamily, inspect_compiler, known_triples, toolchain_for
from edgedeploy.build.zig import find_zig, zig_programs, zig_target
from edgedeploy.build.zig_driver import UnknownOptionError, main, translate
from edgedeploy.elffile import ElfFacts, read_elf
from edgedeploy.errors import BuildFailedError, MissingToolError
from edgedeploy.paths import CACHE_VARIABLE

TRIPLE = "aarch64-linux-gnu"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def fake_zig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in Zig's place that writes down how it was started."""
    program = tmp_path / "ziglang" / "zig"
    program.parent.mkdir()
    (program.parent / "__init__.py").touch()
    program.write_text(
        '#!/bin/sh\n[ "$1" = version ] && echo 0.17.1 && exit\nprintf "%s\\n" "$@" "$ZIG_LOCAL_CACHE_DIR"\n'
    )
    program.chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ziglang", raising=False)
    return program


@pytest.mark.parametrize(
    ("gcc", "cpu"),
    [
        ("-march=armv8.2-a+fp16", "v8_2a+fullfp16"),
        ("-march=armv8.2-a+fp16+dotprod", "v8_2a+fullfp16+dotprod"),
        ("-march=armv8.2-a+fp16+fp16fml", "v8_2a+fullfp16+fp16fml"),
        ("-march=armv8.4-a+fp16+dotprod+bf16", "v8_4a+fullfp16+dotprod+bf16"),
        ("-march=armv8.4-a+fp16+dotprod+i8mm", "v8_4a+fullfp16+dotprod+i8mm"),
        ("-march=armv8.6-a+fp16+dotprod+sve2", "v8_6a+fullfp16+dotprod+sve2"),
        ("-march=armv8-a", "v8a"),
        ("-mfpu=neon-vfpv4", "v7a+neon+vfp4"),
    ],
)
def test_choices_of_a_cpu_are_translated(gcc: str, cpu: str) -> None:
    assert translate(["-O3", gcc, "-c", "a.cpp"]) == ["-O3", "-c", "a.cpp", f"-mcpu=generic+{cpu}"]


def test_the_last_choice_counts_and_others_pass() -> None:
    assert translate(["-march=armv8-a", "-march=armv8.2-a+dotprod"]) == ["-mcpu=generic+v8_2a+dotprod"]
    assert translate(["-O3", "-fopenmp", "a.c"]) == ["-O3", "-fopenmp", "a.c"]
    assert translate(["a.c"], arm32=True) == ["a.c", "-mcpu=generic+v7a+neon+vfp3"]
    assert translate(["-mfpu=neon-vfpv4", "-mfp16-format=ieee"], arm32=True) == ["-mcpu=generic+v7a+neon+vfp4"]


@pytest.mark.parametrize("option", ["-march=native", "-march=armv9", "-march=rv64gc", "-mfpu=crypto-neon-fp-armv8"])
def test_what_has_no_translation_is_refused(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownOptionError, match=option):
        translate([option])
    assert main(["zig", "cc", option]) == 1
    assert f"no translation for {option}" in capfd.readouterr().err


def test_programs_of_a_toolchain(fake_zig: Path) -> None:
    assert find_zig() == fake_zig
    programs = zig_programs(TRIPLE, "2.28")
    assert {path.name for path in programs.iterdir()} >= {"cc", "c++", "ar", "ranlib"}
    assert zig_programs(TRIPLE, "2.28") == programs
    assert zig_programs(TRIPLE, "2.31") != programs
    said = _run([programs / "c++", "-march=armv8.2-a+dotprod", "-c", "a file.cpp"]).stdout
    *arguments, cache = said.splitlines()
    assert arguments == ["c++", "-target", "aarch64-linux-gnu.2.28", "-c", "a file.cpp", "-mcpu=generic+v8_2a+dotprod"]
    assert cache.startswith(os.environ[CACHE_VARIABLE])
    assert _run([programs / "ar", "qc", "x.a"]).stdout.splitlines()[:3] == ["ar", "qc", "x.a"]


def test_target_names() -> None:
    assert zig_target("arm-linux-gnueabihf", "2.31") == "arm-linux-gnueabihf.2.31"


def test_without_the_package_the_hint_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zig.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match="ziglang is not installed") as caught:
        find_zig()
    assert caught.value.hint == "pip install 'edgedeploy[zig]'"


def test_the_compiler_counts_its_glibc(fake_zig: Path) -> None:
    old, new = (toolchain_for(TRIPLE, family=ToolchainFamily.ZIG, glibc=glibc) for glibc in ("2.28", "2.31"))
    assert inspect_compiler(old).version == "zig 0.17.1, glibc 2.28"
    assert inspect_compiler(old).fingerprint != inspect_compiler(new).fingerprint
    assert set(old.defines()) == {"EDGEDEPLOY_TOOLCHAIN_PROGRAMS"}
    assert runtime_options(old)["EDGEDEPLOY_STATIC"] == "OFF"


class TestTheChoice:
    def test_a_board_with_an_older_glibc_gets_zig(self, fake_zig: Path) -> None:
        choice = choose_toolchain(TRIPLE, glibc=load_board("jetson-nano", project_dir=Path("/")).linux.glibc)
        assert choice.toolchain.is_zig
        assert choice.toolchain.glibc == "2.27"
        assert choice.why == "the board has glibc 2.27"

    @pytest.mark.parametrize("glibc", [None, "2.99"])
    def test_a_static_program_serves_every_other(self, fake_zig: Path, glibc: str | None) -> None:
        assert not choose_toolchain(TRIPLE, glibc=glibc).toolchain.is_zig

    def test_without_zig_the_static_program_serves_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose, "installed_zig", lambda: None)
        choice = choose_toolchain(TRIPLE, glibc="2.27")
        assert not choice.toolchain.is_zig
        assert "pip install" in choice.why

    def test_what_is_asked_for_is_given(self, fake_zig: Path) -> None:
        assert choose_toolchain(TRIPLE, glibc=None, family=ToolchainFamily.ZIG).toolchain.glibc == "2.28"
        assert not choose_toolchain(TRIPLE, glibc="2.27", family=ToolchainFamily.DEBIAN).toolchain.is_zig

    def test_without_debians_compiler_zig_serves(self, fake_zig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose, "_cross_glibc", lambda compiler: None)
        assert choose_toolchain(TRIPLE, glibc=None).toolchain.is_zig

    def test_a_triple_that_only_zig_serves(self, fake_zig: Path) -> None:
        for triple in set(known_triples()) - set(known_triples(family=ToolchainFamily.DEBIAN)):
            assert choose_toolchain(triple, glibc=None).toolchain.is_zig


class TestWhatAProgramMayNeed:
    FACTS = ElfFacts(
        architecture="aarch64",
        isa=(),
        interpreter="/lib/ld-linux-aarch64.so.1",
        libraries=("libm.so.6", "libc.so.6", "ld-linux-aarch64.so.1"),
        glibc="2.27",
        glibc_symbol="powf@GLIBC_2.27",
    )

    def test_glibc_no_newer_than_meant(self) -> None:
        check_libraries(self.FACTS, toolchain_for(TRIPLE, family=ToolchainFamily.ZIG, glibc="2.27"))
        with pytest.raises(BuildFailedError, match=r"needs glibc 2\.27 for powf@GLIBC_2\.27, meant was 2\.17"):
            check_libraries(self.FACTS, toolchain_for(TRIPLE, family=ToolchainFamily.ZIG, glibc="2.17"))

    def test_a_static_program_needs_none(self) -> None:
        with pytest.raises(BuildFailedError, match=r"not static: it needs libm\.so\.6"):
            check_libraries(self.FACTS, toolchain_for(TRIPLE))


@pytest.mark.parametrize("options", [[], ["-g"], ["-shared", "-fPIC", "-g"]])
def test_symbols_go_and_the_program_stays(tmp_path: Path, options: list[str]) -> None:
    source, program, stripped = tmp_path / "p.cpp", tmp_path / "p", tmp_path / "s"
    source.write_text('#include <cstdio>\nint main() { std::puts("it runs"); }\n')
    subprocess.run(["aarch64-linux-gnu-g++", *options, "-o", program, source], check=True, timeout=60)
    stripped.write_bytes(without_symbols(program.read_bytes()))
    stripped.chmod(0o755)
    assert read_elf(stripped) == read_elf(program)
    assert stripped.stat().st_size < program.stat().st_size
    listing = _run(["aarch64-linux-gnu-readelf", "-SW", stripped])
    assert not listing.stderr
    assert ".symtab" not in listing.stdout and ".debug" not in listing.stdout and ".dynsym" in listing.stdout
    if "-shared" not in options:
        command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", stripped]
        assert _run(command).stdout == "it runs\n"


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
