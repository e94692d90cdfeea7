"""``flash --fleet`` over real SSH connections to an OpenSSH server on loopback; the release is a stand-in."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from deploy_workbench import board_facts, make_workbench, runner_script
from ssh_fleet import SshFleet, ailing_bundle, use_bundles, use_facts
from ssh_server import PASSPHRASE, Server

from edgedeploy.cli import flash_commands, fleets
from edgedeploy.cli.main import main
from edgedeploy.cli.people import People
from edgedeploy.errors import BoardsFailedError, FleetFileError, MemoryBudgetError, StoppedError, UsageError
from edgedeploy.paths import resource_dir
from edgedeploy.project import DEMO_DIRECTORY, PROJECT_FILE
from edgedeploy.transport.host_keys import HostKey

DEADLINE_S = 60.0


@pytest.fixture
def fleet(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_directories: Path,
) -> SshFleet:
    """Boards whose host key the fleet file names; the known hosts are this test's own."""
    bench = make_workbench("system", tmp_path)
    monkeypatch.setenv("HOME", str(bench.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    end = server.endpoint
    login = (
        f'host = "{end.user}@127.0.0.1:{end.port}"\nkey_file = "{end.key_file}"\nhost_key = "{server.fingerprint()}"\n'
    )
    project = tmp_path / "project"
    project.mkdir()
    return SshFleet(project=project, boards=tmp_path / "boards", bench=bench, login=login, capture=capsys)


def statuses(document: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {item["name"]: item["status"] for item in document["boards"]}


def interrupt_after(reached: Path, *, times: int = 1) -> threading.Thread:
    """Press Ctrl-C once a file is there, and again a moment later."""

    def interrupt() -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not reached.exists() and time.monotonic() < end_s:
            time.sleep(0.05)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_a_fleet_gets_a_release_in_waves_and_gets_it_once(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("abc", head='[waves]\nsizes = [1, "rest"]\n')
    bundle = ailing_bundle(fleet.bench, "weights 1")
    asked = use_bundles(monkeypatch, bundle)
    document = fleet.flash()
    assert asked == ["rk3399"], "one release for all boards of a kind"
    assert statuses(document) == dict.fromkeys("abc", "flashed")
    assert [wave["boards"] for wave in document["waves"]] == [["a"], ["b", "c"]]
    assert all(fleet.active(name) == bundle.digest for name in "abc")
    for item in document["boards"]:
        assert item["release"] == bundle.digest
        assert item["verified"] is True
        assert item["provenance"] == "hardware"
        assert item["error"] is None
        assert item["health"]["state"] == "proven"
        names = [step["name"] for step in item["steps"]]
        assert names[:2] == ["connect", "probe"]
        assert {"inspect", "push", "verify", "self-test", "activate"} < set(names)
        assert item["round_trips"] == sum(step["round_trips"] for step in item["steps"]) > 5
        assert item["bytes"] > 9000
    assert statuses(fleet.flash()) == dict.fromkeys("abc", "unchanged")


def test_one_board_is_logged_in_to_once(
    fleet: SshFleet, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    end = server.endpoint
    words = ["--board", "rk3399", "--host", f"{end.user}@127.0.0.1:{end.port}", "--key", str(end.key_file)]
    words += ["--host-key-fingerprint", server.fingerprint(), "--directory", str(tmp_path / "apps"), "--no-bench"]
    fleet.run(*words)
    before = logins(server)
    again = fleet.run(*words)
    assert logins(server) - before == 1
    assert again["unchanged"]
    assert next(step["name"] for step in again["steps"]) == "probe"
    assert {step["name"] for step in again["steps"] if step["round_trips"]} == {"inspect", "self-test"}
    monkeypatch.setattr(flash_commands, "LONGEST_WAIT_S", -1.0)
    fleet.run(*words)
    assert logins(server) - before == 3, "a board that waited long is looked at anew"


def logins(server: Server) -> int:
    return (server.directory / "log").read_text(encoding="utf-8").count("Accepted publickey")


def test_boards_with_another_c_library_get_a_release_of_their_own(
    fleet: SshFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.write("abc")
    first, second = ailing_bundle(fleet.bench, "weights 1"), ailing_bundle(fleet.bench, "weights 2")
    asked = use_bundles(monkeypatch, first, second)
    libcs = iter(["glibc 2.36", "glibc 2.31", "glibc 2.36", "glibc 2.36", "glibc 2.31", "glibc 2.36"])
    use_facts(monkeypatch, lambda: board_facts(libc=next(libcs)))
    document = fleet.flash("--parallel", "1")
    assert asked == ["rk3399", "rk3399"]
    assert [item["release"] for item in document["boards"]] == [first.digest, second.digest, first.digest]


def test_a_failed_wave_stops_the_fleet(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("abcd", head='[waves]\nsizes = [1, 2, "rest"]\n')
    fleet.break_board("b")
    first, second = ailing_bundle(fleet.bench, "weights 1"), ailing_bundle(fleet.bench, "weights 2")
    use_bundles(monkeypatch, first, second)
    document = fleet.flash("--parallel", "1", status=BoardsFailedError.exit_code)
    assert statuses(document) == {
        "a": "flashed",
        "b": "failed",
        "c": "not-begun",
        "d": "not-begun",
    }
    assert document["error"]["slug"] == "boards-failed"
    assert "1 of 4 boards failed: b; wave 2 may have 0 failures, so 2 boards were not begun" in str(document["error"])
    failed = document["boards"][1]
    assert failed["error"]["slug"] == "self-test"
    assert "broken board" in failed["error"]["message"]
    assert failed["steps"][-1]["name"] == "self-test"
    assert failed["steps"][-1]["note"] == "failed"
    assert failed["bytes"] > 9000
    assert (fleet.active("a"), fleet.active("b"), fleet.active("c")) == (first.digest, None, None)
    (fleet.boards / "b" / ".edgedeploy" / "broken").unlink()
    assert statuses(fleet.flash()) == dict.fromkeys("abcd", "flashed")
    assert fleet.active("a") == second.digest


def test_a_wave_whose_health_gate_fails_stops_the_fleet(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board that measured too much has gone back by itself; boards of later waves were not touched."""
    fleet.write("abc", head="[waves]\nsizes = [1]\n")
    first = fleet.bench.bundle("weights 1")
    greedy = fleet.bench.bundle(
        "weights 2",
        runner=runner_script(health='[ ! -e "$3/../../../broken" ] || exec "$3/bin/greedy" "$@"'),
        extra={"bin/greedy": runner_script(memory_mb=900).encode()},
    )
    use_bundles(monkeypatch, first, greedy)
    fleet.flash()
    fleet.break_board("b")
    demo = (resource_dir() / DEMO_DIRECTORY / PROJECT_FILE).read_text(encoding="utf-8")
    (fleet.project / PROJECT_FILE).write_text(f"{demo}\n[budget]\nmemory_mb = 100.0\n", encoding="utf-8")
    document = fleet.flash(status=BoardsFailedError.exit_code)
    assert statuses(document) == {"a": "flashed", "b": "failed", "c": "not-begun"}
    assert (document["failed_wave"], document["waves"][1]["boards"]) == (2, ["b"])
    error = document["boards"][1]["error"]
    assert error["slug"] == MemoryBudgetError.slug
    assert "memory 900 MB, over the budget of 100.0 MB; rolled back automatically" in error["message"]
    assert [fleet.active(name) for name in "abc"] == [greedy.digest, first.digest, first.digest]


def test_failures_within_the_limit_go_on_and_are_told_all_the_same(
    fleet: SshFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.write("abc")
    fleet.break_board("a")
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    document = fleet.flash("--waves", "1,rest", "--max-failures", "1", status=BoardsFailedError.exit_code)
    assert statuses(document) == {"a": "failed", "b": "flashed", "c": "flashed"}
    assert document["failed_wave"] is None


def test_a_failed_wave_goes_back_where_that_is_asked_for(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("abc", head='[waves]\nsizes = [1, "rest"]\nroll_back = true\n')
    first, second = ailing_bundle(fleet.bench, "weights 1"), ailing_bundle(fleet.bench, "weights 2")
    use_bundles(monkeypatch, first, second)
    fleet.flash()
    fleet.break_board("c")
    document = fleet.flash("--parallel", "1", status=BoardsFailedError.exit_code)
    assert statuses(document) == {"a": "flashed", "b": "rolled-back", "c": "failed"}
    assert [fleet.active(name) for name in "abc"] == [second.digest, first.digest, first.digest]


def test_boards_of_a_wave_are_flashed_side_by_side(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("abc")
    meeting = fleet.boards / "meeting"
    meeting.mkdir()
    # Passes only once all three are there.
    wait = (
        f'touch {meeting}/$$; for turn in $(seq 300); do [ "$(ls {meeting} | wc -l)" -ge 3 ] && break; sleep 0.1; done'
    )
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1", before=f"{wait}; [ $turn -lt 300 ] || exit 4"))
    assert statuses(fleet.flash("--waves", "rest")) == dict.fromkeys("abc", "flashed")


def test_boards_that_do_not_answer_are_told_before_anything_is_made(
    fleet: SshFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.write("abc")
    file = fleet.project / "fleet.toml"
    before, name, after = file.read_text(encoding="utf-8").partition('name = "c"')
    nowhere = re.sub(r'host = ".*?"', 'host = "nobody@127.0.0.1:1"', after)
    file.write_text(before + name + nowhere, encoding="utf-8")
    asked = use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    document = fleet.flash(status=BoardsFailedError.exit_code)
    assert asked == []
    assert statuses(document) == {"a": "not-begun", "b": "not-begun", "c": "failed"}
    assert document["boards"][2]["error"]["slug"] == "unreachable-host"
    document = fleet.flash("--max-failures", "1", status=BoardsFailedError.exit_code)
    assert statuses(document) == {"a": "flashed", "b": "flashed", "c": "failed"}


def test_ctrl_c_ends_what_runs_in_order(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("abc", head="[waves]\nsizes = [2, 1]\n")
    reached = fleet.boards / "reached"
    first = ailing_bundle(fleet.bench, "weights 1")
    slow = ailing_bundle(fleet.bench, "weights 2", before=f"touch {reached}; sleep 2")
    use_bundles(monkeypatch, first, slow)
    fleet.flash()

    thread = interrupt_after(reached)
    document = fleet.flash(status=StoppedError.exit_code)
    thread.join(DEADLINE_S)
    assert document["interrupted"] is True
    assert statuses(document) == {"a": "interrupted", "b": "interrupted", "c": "not-begun"}
    assert document["boards"][0]["error"]["slug"] == "interrupted"
    # Whole, unlocked, and on the release from before.
    assert [fleet.active(name) for name in "abc"] == [first.digest] * 3


def test_a_second_ctrl_c_hangs_up(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.write("a")
    reached = fleet.boards / "reached"
    slow = ailing_bundle(fleet.bench, "weights 1", before=f"touch {reached}; sleep 60")
    use_bundles(monkeypatch, slow, ailing_bundle(fleet.bench, "weights 2"))
    began_s = time.monotonic()
    thread = interrupt_after(reached, times=2)
    document = fleet.flash(status=StoppedError.exit_code)
    thread.join(DEADLINE_S)
    assert time.monotonic() - began_s < 55, "nobody waited for the self-test"
    assert statuses(document) == {"a": "interrupted"}
    assert "connection" in document["boards"][0]["error"]["message"]
    # This process lives on, so nobody can know that its lock is abandoned.
    assert statuses(fleet.flash("--break-lock")) == {"a": "flashed"}


def test_people_are_asked_once_and_not_by_threads(
    fleet: SshFleet, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, locked = server.endpoint, server.directory / "locked"
    login = f'host = "{end.user}@127.0.0.1:{end.port}"\nkey_file = "{locked}"\n'
    fleet.write("ab", login=login)
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    asked: list[tuple[str, str]] = []
    answers = iter(["wrong", PASSPHRASE])

    def accept(key: HostKey) -> bool:
        asked.append((key.name, threading.current_thread().name))
        return True

    def tell(question: str) -> str:
        asked.append((question, threading.current_thread().name))
        return next(answers)

    person = People(accept_host_key=accept, tell_secret=tell)
    monkeypatch.setattr(fleets, "at_terminal", lambda: person)
    assert statuses(fleet.flash()) == dict.fromkeys("ab", "flashed")
    here = threading.main_thread().name
    question = f"Passphrase for {locked}: "
    name = f"[127.0.0.1]:{end.port}"
    assert asked == [(name, here), (question, here), (question, here)]


def test_nobody_to_ask_is_a_failure_with_what_to_do(fleet: SshFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    login = "".join(line + "\n" for line in fleet.login.splitlines() if not line.startswith("host_key"))
    fleet.write("a", login=login)
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    document = fleet.flash(status=BoardsFailedError.exit_code)
    assert document["boards"][0]["error"]["slug"] == "unknown-host-key"
    assert "SHA256:" in document["boards"][0]["error"]["hint"]


def test_lines_and_a_table_where_there_is_no_terminal(
    fleet: SshFleet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.write("ab")
    fleet.break_board("b")
    use_bundles(monkeypatch, ailing_bundle(fleet.bench, "weights 1"))
    words = ["flash", "--fleet", str(fleet.project / "fleet.toml"), "--project", str(fleet.project)]
    assert main(words) == BoardsFailedError.exit_code
    told = capsys.readouterr()
    assert "b: failed" in told.err
    rows = {line.split()[0]: line.split()[1:3] for line in told.out.splitlines() if line.startswith(("a ", "b "))}
    assert rows == {"a": ["1", "flashed"], "b": ["2", "failed"]}
    assert "b: [self-test]" in told.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing says which board"),
        (("--fleet", "fleet.toml", "--board", "rk3399"), "--board and --fleet exclude"),
        (("--fleet", "fleet.toml", "--place", "x"), "--place is of one board"),
        (("--fleet", "fleet.toml", "--host", "x"), "do not go with --fleet"),
        (("--board", "rk3399", "--emulated", "--waves", "1"), "--waves is for many boards"),
        (("--board", "rk3399", "--board", "rpi4", "--host", "x"), "--host and --host-key-fingerprint"),
        (("--board", "rk3399", "--board", "rk3399", "--emulated"), "--board rk3399 was given twice"),
        (("--board", "rk3399", "--place", "x", "--emulated"), "--place excludes"),
        (("--fleet", "fleet.toml", "--waves", "0"), "--waves 0"),
    ],
)
def test_options_that_do_not_go_together(
    fleet: SshFleet, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    fleet.write("ab")
    monkeypatch.chdir(fleet.project)
    assert says in fleet.run(*words, status=UsageError.exit_code)["error"]["message"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('board = "rk3399"', 'board = "rk3999"', "the board a of the fleet: there is no board called 'rk3999'"),
        ("@127.0.0.1", "@", "the board a of the fleet: .* is not USER@ADDRESS"),
    ],
)
def test_a_fleet_file_that_names_what_is_not_there(fleet: SshFleet, old: str, new: str, says: str) -> None:
    fleet.write("a")
    file = fleet.project / "fleet.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    error = fleet.flash(status=FleetFileError.exit_code)["error"]
    assert re.search(says, error["message"])
