"""How the program is called under the emulator, and what becomes of its failures."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.cycles.emulated import Plan, check_outputs, command_line, count_inference, find_qemu, missing_tools
from edgedeploy.errors import CycleCountError, MissingToolError

PLAN = Plan(
    runner=Path("/r/edgedeploy-runner"),
    release=Path("/r/release"),
    plugin=Path("/p/blocks.so"),
    emulated_as="cortex-a72",
    threads=1,
    disable_layers=False,
    caches=None,
)
LAYERS = '{"schema": 1, "runner": "0.1.0", "threads": 1, "layers": []}'
DUMP = "edgedeploy-blocks 1\\nboundaries 3\\nvcpus 1\\nsequence 1\\nblock 1000 d503201f\\ncount 1 0 5\\n"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path


def emulator(directory: Path, *lines: str) -> Path:
    """Return a stand-in for qemu; the counter's file is ``$out`` in its lines."""
    program = directory / "qemu-aarch64"
    out = 'out=${4#*,out=}; out=${out%%,*}; [ "$3" = -plugin ] || out=/dev/null'
    program.write_text("\n".join(["#!/bin/sh", out, *lines, ""]), encoding="ascii")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_the_command_counts_one_run_after_the_warm_up() -> None:
    words = command_line(PLAN, Path("qemu"), Path("/o/blocks.txt"))
    assert words == (
        "qemu -cpu cortex-a72 -plugin /p/blocks.so,out=/o/blocks.txt,from=1,to=2 -U PATH,LD_LIBRARY_PATH "
        "/r/edgedeploy-runner count --release /r/release --runs 2 --threads 1"
    ).split(" ")
    fuller = replace(PLAN, caches=("32x2", "1024x16"), disable_layers=True, threads=4)
    words = command_line(fuller, Path("qemu"), Path("/o/a,b.txt"))
    assert words[4] == "/p/blocks.so,out=/o/a,,b.txt,from=1,to=2,l1d=32x2,l2=1024x16"
    assert words[-3:] == ["--threads", "4", "--disable-layers"]


def test_a_count(scratch: Path) -> None:
    qemu = emulator(scratch, f"printf '{DUMP}' > $out", f"echo '{LAYERS}'")
    counted = count_inference(PLAN, qemu, scratch)
    assert (counted.runs, counted.layers, counted.dump.blocks[0].executions) == (1, (), 5)


def test_the_users_environment_does_not_reach_the_program(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    qemu = emulator(scratch, f"env > {scratch}/seen", f"printf '{DUMP}' > $out", f"echo '{LAYERS}'")
    count_inference(PLAN, qemu, scratch)
    seen = dict(line.split("=", 1) for line in (scratch / "seen").read_text(encoding="utf-8").splitlines())
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE" and seen["LD_LIBRARY_PATH"] == "/somewhere"
    assert set(seen) <= {"PATH", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["echo 'error: no such layer' >&2; exit 6"], "the engine refused the model\nerror: no such layer"),
        (["exit 1"], "status 1"),
        ([f"printf '{DUMP}' > $out", "echo nonsense"], "answer is damaged"),
        ([f"echo '{LAYERS}'"], "cannot be read"),
        ([f"printf '{DUMP}' | sed s/3/2/ > $out", f"echo '{LAYERS}'"], "2 boundaries"),
    ],
)
def test_failures_are_typed_and_quoted(lines: list[str], named: str, scratch: Path) -> None:
    with pytest.raises(CycleCountError) as caught:
        count_inference(PLAN, emulator(scratch, *lines), scratch)
    assert named in caught.value.message


def test_outputs_beyond_the_limits_are_a_finding_not_a_failure(scratch: Path) -> None:
    outputs = '{"cosine": 0.5, "max_abs_error": 2.0}, {"cosine": null, "max_abs_error": null}'
    answer = f'{{"schema": 1, "passed": false, "outputs": [{outputs}]}}'
    found = check_outputs(PLAN, emulator(scratch, f"echo '{answer}'", "exit 3"))
    assert (found.passed, found.cosine, found.max_abs_error) == (False, 0.5, 2.0)
    with pytest.raises(CycleCountError):
        check_outputs(PLAN, emulator(scratch, "exit 4"))
    with pytest.raises(CycleCountError, match="damaged"):
        check_outputs(PLAN, emulator(scratch, "echo '{}'"))


def test_without_an_emulator(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    monkeypatch.setenv("PATH", str(scratch))
    with pytest.raises(MissingToolError) as caught:
        find_qemu()
    assert caught.value.hint == "sudo apt-get install -y qemu-user"
    assert missing_tools() == (("qemu-aarch64", "qemu-user"),)
    emulator(scratch)
    assert find_qemu() == scratch / "qemu-aarch64"
    with pytest.raises(CycleCountError, match="did not run"):
        count_inference(PLAN, scratch / "nothing", scratch)
