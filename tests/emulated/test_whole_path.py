"""The product as a user meets it: commands in a shell, a real model, an emulated RK3399, real SSH."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from board_shell import BOARD, TARGET, Shell, write_project
from labgrid_lab import labgrid_lab

from edgedeploy.errors import ChangedHostKeyError, MemoryBudgetError, NoReleaseError, SelfTestError
from edgedeploy.runfile import read_run

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def flashed(shell: Shell) -> dict[str, Any]:
    document: dict[str, Any] = shell.json("flash", *TARGET)
    return document


SMALL = {'name = "ppocr-det"': 'name = "small"', "shape = [1, 3, 192, 384]": "shape = [1, 3, 64, 128]"}


@pytest.fixture(scope="module")
def small(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The demo on a twentieth of its pixels, flashed: for what is not about the network's answer."""
    directory = tmp_path_factory.mktemp("small")
    write_project(directory, SMALL)
    there = Shell(directory=directory, environment=shell.environment)
    assert there.json("flash", *TARGET, "--no-bench")["verified"] is True
    return there


@pytest.fixture
def release(small: Shell) -> str:
    """The release that is active, and the test leaves active."""
    digest: str = small.json("status", *TARGET)["current"]
    return digest


def changed(small: Shell, directory: Path, changes: dict[str, str]) -> Shell:
    """Return the small project with other text in its file."""
    write_project(directory, {**SMALL, **changes})
    return Shell(directory=directory, environment=small.environment)


def test_flash_proves_the_release_on_the_board(shell: Shell, flashed: dict[str, Any]) -> None:
    assert flashed["board"] == BOARD
    assert flashed["provenance"] == "qemu-system"
    assert flashed["clock"] == "real"
    assert flashed["verified"] is True
    assert flashed["unchanged"] is False
    assert flashed["golden"]["cosine"] > 0.9999
    assert flashed["golden"]["max_abs_error"] < 0.01
    assert [step["name"] for step in flashed["steps"]][:5] == ["probe", "inspect", "preflight", "push", "verify"]
    pushed = next(step for step in flashed["steps"] if step["name"] == "push")
    assert pushed["bytes"] > 1_000_000
    assert pushed["round_trips"] == 1  # with the small program ahead of it
    active = shell.on_board("readlink .edgedeploy/ppocr-det/current").strip()
    assert active.endswith(flashed["release"])
    shell.on_board(f"cd .edgedeploy/ppocr-det/{active} && sha256sum manifest.json | grep -q {flashed['release']}")


def test_files_on_the_board_are_writable_by_nobody_else(shell: Shell, flashed: dict[str, Any]) -> None:
    assert shell.on_board("find .edgedeploy -perm /022 ! -type l").strip() == ""


def test_the_run_is_of_the_board_and_its_operator(flashed: dict[str, Any]) -> None:
    record = read_run(Path(flashed["run"]))
    assert record.release == flashed["release"]
    assert [core.part for core in record.board.facts.cores] == ["0xd08", "0xd08"]
    assert [item.kernel for item in record.measurement.preprocessing] == ["preprocess_u8f32_1x8_neon"]
    assert len(record.measurement.samples) == 2
    assert all(point.rss_bytes > 100_000 for point in record.measurement.memory), "pages are counted, not batches"
    assert {layer.type for layer in record.measurement.layers} >= {"Convolution", "ConvolutionDepthWise"}
    assert record.command == "edgedeploy bench --board rk3399 --emulated --clock real"


def test_the_report_shows_text_boxes_and_no_time_of_the_board(flashed: dict[str, Any]) -> None:
    page = Path(flashed["report"]).read_text(encoding="utf-8")
    boxes = re.search(r"(\d+) text boxes from the board", page)
    assert boxes is not None
    assert 6 <= int(boxes[1]) <= 10
    assert "data:image/png;base64," in page
    assert "times are not the board" in page
    assert not re.search(r'(?:src|href)="https?:', page)
    assert not re.search(r"\d(?<!emulated) ms\b", page.replace("emulated ms", ""))


def test_a_fleet_of_twins(small: Shell, release: str) -> None:
    document = small.json("flash", "--board", BOARD, "--board", "rpi3", "--emulated", "--waves", "rest")
    assert [(item["name"], item["status"], item["provenance"]) for item in document["boards"]] == [
        (BOARD, "unchanged", "qemu-system"),
        ("rpi3", "flashed", "qemu-system"),
    ]
    assert document["boards"][0]["release"] == release
    assert all(item["verified"] for item in document["boards"])
    assert [item["name"] for item in small.json("emulator", "list")] == [BOARD], "what it started is ended"


# The same with boards of this machine: tests/integration/test_labgrid_flash.py.
@pytest.mark.nightly
def test_a_second_flash_sends_nothing_to_twins_that_a_lab_lends(small: Shell, release: str, tmp_path: Path) -> None:
    """One by its place, then both as a fleet of places."""
    small.run("emulator", "up", "rpi3")
    try:
        services = {
            twin["name"]: {"address": "127.0.0.1", "username": twin["ssh"]["user"], "port": twin["ssh"]["port"]}
            for twin in small.json("emulator", "list")
        }
        assert list(services) == [BOARD, "rpi3"]
        with labgrid_lab(tmp_path, services) as lab:
            for name in services:
                lab.add_place(f"{name}-place", f"lab/{name}/NetworkService")
            words = ["--board", BOARD, "--place", f"{BOARD}-place", "--coordinator", lab.address, "--no-bench"]
            again = small.json("flash", *words)
            assert (again["release"], again["unchanged"], again["verified"]) == (release, True, True)
            assert (again["provenance"], again["clock"]) == ("qemu-system", "real"), "a lent twin is a twin"
            steps = {step["name"]: step for step in again["steps"]}
            assert steps["push"]["bytes"] == 0
            assert sum(step["round_trips"] for step in again["steps"]) <= 3
            entries = [f'[[boards]]\nname = "{name}"\nboard = "{name}"\nplace = "{name}-place"\n' for name in services]
            fleet = tmp_path / "fleet.toml"
            fleet.write_text(f'[labgrid]\ncoordinator = "{lab.address}"\n' + "".join(entries), encoding="utf-8")
            document = small.json("flash", "--fleet", str(fleet))
            assert [(item["where"], item["status"], item["provenance"]) for item in document["boards"]] == [
                (f"place {name}-place", "unchanged", "qemu-system") for name in services
            ]
            assert [lab.owner(f"{name}-place") for name in services] == [None, None]
    finally:
        small.run("emulator", "down", "rpi3")


def test_bench_report_and_compare(small: Shell, release: str) -> None:
    document = small.json("bench", *TARGET, "--runs", "1", "--cpus", "1")
    assert document["release"] == release
    assert document["measurement"]["config"]["cpus_applied"] == [1]
    assert document["command"].endswith("--runs 1 --cpus 1")
    assert Path(document["report"]).is_file()
    assert max(len(line) for line in small.run("report").stdout.splitlines() if "/" not in line) <= 80
    again = small.json("bench", *TARGET, "--runs", "1", "--cpus", "1")
    assert again["run"] != document["run"]
    compared = small.json("compare", document["run"])
    assert compared


def test_status_and_a_second_release_and_rollback(small: Shell, release: str, tmp_path: Path) -> None:
    budget = "[budget]\nlatency_ms = 0.001\nmemory_mb = 10000\n\n[report]\n"
    other = changed(small, tmp_path, {"max_abs_error = 0.01": "max_abs_error = 0.02", "[report]\n": budget})
    second = other.json("flash", *TARGET, "--no-bench")
    assert second["previous_release"] == release
    # A twin's time is no board's: that budget is not judged.
    assert (second["health"]["state"], second["health"]["latency"]) == ("proven", None)
    assert 5 < second["health"]["memory_mb"] < 500
    pushed = next(step for step in second["steps"] if step["name"] == "push")
    assert pushed["round_trips"] == 1
    assert pushed["bytes"] < 10_000  # the model, the runner and the golden arrays are in the board's store
    again = other.json("flash", *TARGET, "--no-bench")
    assert again["unchanged"] and again["verified"]
    trips = {step["name"]: step["round_trips"] for step in again["steps"] if step["round_trips"]}
    assert trips == {"probe": 1, "inspect": 1, "self-test": 1}, "all that the command asks the board"
    status = small.json("status", *TARGET)
    assert status["current"] == second["release"]
    assert status["health"] == second["health"]
    shown = other.run("status", *TARGET).stdout
    assert "not judged: emulated; budget 0.001 ms" in shown and "MB at its peak; budget 10000 MB" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert {item["digest"] for item in status["releases"]} == {release, second["release"]}
    back = small.json("rollback", *TARGET)
    assert back["release"] == release
    assert small.json("status", *TARGET)["current"] == release


def test_a_release_that_fails_its_self_test_stays_inactive(small: Shell, release: str, tmp_path: Path) -> None:
    other = changed(small, tmp_path, {"max_abs_error = 0.01": "max_abs_error = 1e-12"})
    error = other.json("flash", *TARGET, "--no-bench", status=SelfTestError.exit_code)["error"]
    assert "step self-test" in error["message"]
    assert small.json("status", *TARGET)["current"] == release


def test_a_release_over_its_budget_goes_back_by_itself(small: Shell, release: str, tmp_path: Path) -> None:
    budget = "[budget]\nmemory_mb = 1\n\n[report]\n"
    other = changed(small, tmp_path, {"max_abs_error = 0.01": "max_abs_error = 0.03", "[report]\n": budget})
    error = other.json("flash", *TARGET, "--no-bench", status=MemoryBudgetError.exit_code)["error"]
    assert "MB at its peak, over the budget of 1 MB; rolled back automatically" in error["message"]
    assert f"release {release[:12]} is active again" in error["message"]
    status = small.json("status", *TARGET)
    assert (status["current"], status["health"]["state"]) == (release, "proven")
    assert [item["action"] for item in status["history"]][-2:] == ["flash", "automatic-rollback"]
    shown = small.run("status", *TARGET).stdout
    assert "rolled back automatically from" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_rollback_of_an_app_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    write_project(tmp_path, {'name = "ppocr-det"': 'name = "absent"'})
    other = Shell(directory=tmp_path, environment=shell.environment)
    other.json("rollback", *TARGET, status=NoReleaseError.exit_code)


def test_probe_agrees_with_the_definition(shell: Shell) -> None:
    document = shell.json("boards", "probe", BOARD, "--emulated")
    assert document["facts"]["architecture"] == "aarch64"
    assert [item for item in document["differences"] if item["severity"] != "note"] == []


def test_a_kept_twin_is_not_ended_by_other_wishes(shell: Shell) -> None:
    shell.json("status", *TARGET, "--clock", "instructions", status=2)
    shell.json("status", *TARGET, "--fresh", status=2)
    assert [item["clock"] for item in shell.json("emulator", "list")] == ["real"]


def test_ssh_passes_output_and_exit_code_through(shell: Shell) -> None:
    assert shell.on_board("uname -m") == "aarch64\n"
    shell.on_board("exit 7", status=7)
    answer = shell.run("emulator", "ssh", BOARD, "--", "printf", "%s|", "a b", "c")
    assert answer.stdout == "a b|c|"


def test_a_changed_host_key_stops_everything(shell: Shell) -> None:
    (twin,) = shell.json("emulator", "list")
    known = Path(twin["ssh"]["known_hosts"])
    content = known.read_text(encoding="utf-8")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(shell.directory / "other")], check=True, timeout=60
    )
    host, kind, _ = content.split()[:3]
    wrong = (shell.directory / "other.pub").read_text(encoding="utf-8").split()[1]
    known.write_text(f"{host} {kind} {wrong}\n", encoding="utf-8")
    try:
        error = shell.json("status", *TARGET, status=ChangedHostKeyError.exit_code)["error"]
    finally:
        known.write_text(content, encoding="utf-8")
    assert "SHA256:" in error["message"]
