"""The command line: exit codes, where text goes, and the commands that need no board."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgedeploy import __version__
from edgedeploy.boards.load import load_board
from edgedeploy.cli import main as entry
from edgedeploy.errors import EXIT_INTERNAL, MissingFileError, NoTargetError, ProjectFileError, UnknownBoardError
from edgedeploy.paths import config_dir, resource_dir
from edgedeploy.project import PROJECT_FILE, load_project

pytestmark = pytest.mark.usefixtures("own_directories")

COMMANDS = ["init", "doctor", "convert", "quantize", "build", "flash", "bench"]
COMMANDS += ["report", "compare", "cycles", "status", "rollback", "boards", "emulator", "keys"]


def run(*words: str) -> int:
    return entry.main(list(words))


def test_version_and_help_name_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"edgedeploy {__version__}\n"
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"  {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_eighty_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert f" {command} " in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_the_program_starts_where_there_is_no_home() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "edgedeploy", "flash", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    assert "--emulated" in answer.stdout
    assert max(len(line) for line in answer.stdout.splitlines()) <= 80


@pytest.mark.parametrize("words", [["--version"], ["boards", "list"], ["init", "app"]], ids=" ".join)
def test_a_command_loads_what_it_needs_alone(words: list[str], tmp_path: Path) -> None:
    heavy = ["cv2", "jinja2", "onnx", "onnxruntime", "paramiko", "torch"]
    script = (
        f"import sys; from edgedeploy.cli.main import main; status = main({words}); "
        f"print([name for name in {heavy} if name in sys.modules]); sys.exit(status)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_usage_errors_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("flash", "--no-such-option") == 2
    assert run("flash") == 2
    assert run("flash", "--board", "rk3399", "--emulated", "--host", "a@b") == 2
    assert run("status", "--board", "rk3399", "--host", "a@b", "--clock", "real") == 2
    assert capsys.readouterr().out == ""
    assert run("flash", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == "usage"


def test_unknown_board_is_typed_with_the_close_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("boards", "show", "rk3999", "--json") == UnknownBoardError.exit_code
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["slug"] == "unknown-board"
    assert "rk3399" in error["hint"]
    assert "error [unknown-board]" in captured.err


def test_flash_without_a_target_names_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("flash", "--board", "rk3399", "--project", str(tmp_path)) == NoTargetError.exit_code
    shown = capsys.readouterr().err
    assert "--host" in shown
    assert "--emulated" in shown


def test_init_writes_a_valid_project_and_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", str(tmp_path / "app")) == 0
    path = tmp_path / "app" / PROJECT_FILE
    assert load_project(path).app.name == "ppocr-det"
    path.write_text("mine", encoding="utf-8")
    assert run("init", str(tmp_path / "app")) == 2
    assert path.read_text(encoding="utf-8") == "mine"
    capsys.readouterr()


def test_boards_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("boards", "list", "--json") == 0
    names = {entry["name"] for entry in json.loads(capsys.readouterr().out)}
    assert {"rk3399", "rk3588", "rk3566", "rpi3", "rpi4", "rpi5", "jetson-nano", "imx8mp"} <= names
    assert run("boards", "show", "rk3399", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["core_count"] == 6
    assert run("boards", "show", "rk3399") == 0
    assert "cortex-a72" in capsys.readouterr().out


def test_boards_add_keeps_a_checked_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (resource_dir() / "boards" / "rpi4.toml").read_text(encoding="utf-8")
    own = tmp_path / "camera.toml"
    own.write_text(text.replace('name = "rpi4"', 'name = "camera"'), encoding="utf-8")
    assert run("boards", "add", str(own)) == 0
    assert load_board("camera", project_dir=None).name == "camera"
    assert run("boards", "add", str(own)) == 2
    own.write_text(own.read_text(encoding="utf-8").replace("triple", "tripel"), encoding="utf-8")
    assert run("boards", "add", "--replace", str(own)) != 0
    assert "tripel" not in (config_dir() / "boards" / "camera.toml").read_text(encoding="utf-8")
    capsys.readouterr()


def test_doctor_names_the_command_that_installs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run("doctor", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    needs = {need["what"]: need for need in document["missing"]}
    assert document["ok"] is False
    assert needs["qemu-system-aarch64"]["install"] == "sudo apt-get install qemu-system-arm"
    assert needs["llvm-mca 19, optional"]["install"] == "sudo apt-get install llvm-19"
    assert needs["qemu-aarch64, optional"]["commands"] == "cycles"
    assert any("g++-aarch64-linux-gnu" in need["install"] for need in needs.values())
    assert run("doctor", "--check") == 50
    capsys.readouterr()


@pytest.mark.parametrize("zig", [Path("/site/ziglang/zig"), None])
def test_doctor_asks_for_debians_compiler_where_zig_is_not(
    zig: Path | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedeploy.cli.setup_commands.installed_zig", lambda: zig)
    monkeypatch.setattr("edgedeploy.emulate.tools.missing_tools", lambda: ())
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run("doctor", "--check", "--json") == (0 if zig else 50)
    needs = {need["what"]: need for need in json.loads(capsys.readouterr().out)["missing"]}
    compiler = needs["aarch64-linux-gnu-g++, optional" if zig else "aarch64-linux-gnu-g++"]
    assert compiler["optional"] is (zig is not None)
    assert compiler["commands"] == ("build --toolchain debian, cycles" if zig else "build, flash")
    assert not any("nlohmann" in need["install"] for need in needs.values())


def test_a_project_directory_that_is_not_there_is_not_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", "--project", str(tmp_path / "nowhere"), "--json") == MissingFileError.exit_code
    assert "nowhere" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_broken_project_file_lists_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / PROJECT_FILE).write_text("[app]\nname = 3\n", encoding="utf-8")
    assert run("convert", "--project", str(tmp_path), "--json") == ProjectFileError.exit_code
    assert "app.name" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_fault_of_our_own_leaves_a_traceback_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(**_: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("edgedeploy.cli.board_commands.list_boards", explode)
    assert run("boards", "list") == EXIT_INTERNAL
    shown = capsys.readouterr().err
    assert "error [internal]: ZeroDivisionError: boom" in shown
    log = Path(shown.split()[-1])
    assert "Traceback" in log.read_text(encoding="utf-8")
    log.unlink()


def test_a_32_bit_board_has_no_wheel(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("build", "--board", "rpi2", "--wheel", str(tmp_path)) == 2
    assert "there is no wheel for rpi2: it is armv7l" in capsys.readouterr().err
