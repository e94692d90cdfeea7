"""Which boards a fleet has, and what people say once for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.artifacts import BoardFacts, Clock, Provenance
from edgedeploy.boards.load import load_board
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.members import FleetOptions, members_of_boards, members_of_file, rules_for
from edgedeploy.cli.options import TargetOptions
from edgedeploy.cli.people import NOBODY, Answers, People
from edgedeploy.cli.places import coordinator_address
from edgedeploy.cli.projects import OpenProject, open_project
from edgedeploy.cli.target import QEMU_MODEL, Connection
from edgedeploy.errors import NoTargetError
from edgedeploy.fleetfile import load_fleet
from edgedeploy.transport.local import LocalTransport


@pytest.fixture
def opened(own_directories: Path) -> OpenProject:
    """A project that says where an rpi4 is."""
    demo = open_project(own_directories, progress=ConsoleProgress())
    text = demo.file.read_text(encoding="utf-8")
    (own_directories / "edgedeploy.toml").write_text(
        f'{text}\n[targets.rpi4]\nhost = "pi@192.0.2.9"\nkey_file = "keys/pi"\n', encoding="utf-8"
    )
    return open_project(own_directories, progress=ConsoleProgress())


def test_several_boards_are_where_the_project_says(opened: OpenProject) -> None:
    (member,) = members_of_boards(["rpi4"], TargetOptions(board=""), opened)
    assert (member.name, member.options.host, member.where) == ("rpi4", "pi@192.0.2.9", "pi@192.0.2.9")
    assert member.options.key == opened.directory / "keys" / "pi"
    with pytest.raises(NoTargetError, match="rk3399"):
        members_of_boards(["rpi4", "rk3399"], TargetOptions(board=""), opened)
    twins = members_of_boards(["rpi4", "rk3399"], TargetOptions(board="", emulated=True), opened)
    assert [(item.name, item.options.host, item.where) for item in twins] == [
        ("rpi4", None, "twin"),
        ("rk3399", None, "twin"),
    ]


def test_a_file_is_relative_to_itself_and_options_hold_where_it_says_nothing(opened: OpenProject) -> None:
    path = opened.directory / "lab" / "fleet.toml"
    path.parent.mkdir()
    path.write_text(
        "parallel = 3\n[waves]\nmax_failures = 2\n"
        '[[boards]]\nname = "a"\nboard = "rk3399"\nhost = "r@192.0.2.1"\nkey_file = "k"\ndirectory = "~/own"\n'
        '[[boards]]\nname = "b"\nboard = "rpi4"\nemulated = true\n'
        '[[boards]]\nname = "c"\nboard = "rpi4"\nplace = "door"\n',
        encoding="utf-8",
    )
    options = TargetOptions(board="", key=Path("/mine"), directory="~/all", clock=Clock.REAL, fresh=True)
    fleet = load_fleet(path)
    members = members_of_file(fleet, path, options, opened)
    assert [item.options.key for item in members] == [path.parent / "k", Path("/mine"), Path("/mine")]
    assert [item.options.directory for item in members] == ["~/own", "~/all", "~/all"]
    assert [(item.options.clock, item.options.fresh) for item in members] == [
        (None, False),
        (Clock.REAL, True),
        (None, False),
    ]
    assert [item.where for item in members] == ["r@192.0.2.1", "twin", "place door"]
    sizes, rules = rules_for(FleetOptions(), fleet, members)
    assert (sizes, rules.parallel, rules.max_failures, rules.roll_back) == ((1, "rest"), 3, 2, False)
    chosen = FleetOptions(waves="2", max_failures=0, parallel=5, roll_back_wave=True)
    sizes, rules = rules_for(chosen, fleet, members)
    assert (sizes, rules.parallel, rules.max_failures, rules.roll_back) == ((2,), 5, 0, True)
    assert rules_for(FleetOptions(), None, members)[1].parallel == 2, "twins share the host's processors"
    assert rules_for(FleetOptions(), None, members[:1])[1].parallel == 8


def test_a_question_is_asked_once_and_anew_where_the_answer_was_wrong() -> None:
    told = iter(["wrong", "right", "other"])
    asked: list[str] = []

    def tell(question: str) -> str:
        asked.append(question)
        return next(told)

    answers = Answers(People(accept_host_key=None, tell_secret=tell))
    assert answers.known() is NOBODY
    first = answers.asking().tell_secret
    assert first is not None
    assert (first("key?"), first("key?")) == ("wrong", "right")
    second = answers.asking().tell_secret
    assert second is not None
    assert (second("key?"), second("login?")) == ("right", "other")
    assert asked == ["key?", "key?", "login?"]
    known = answers.known().tell_secret
    assert known is not None
    assert (known("key?"), known("key?"), known("never asked?")) == ("right", "", "")
    assert answers.known().accept_host_key is None


def test_where_the_coordinator_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    assert coordinator_address(None, None) == "127.0.0.1:20408"
    monkeypatch.setenv("LG_COORDINATOR", "environment")
    assert coordinator_address(None, None) == "environment"
    assert coordinator_address(None, "file") == "file"
    assert coordinator_address("option", "file") == "option"


def test_what_says_that_it_is_qemus_machine_is_no_hardware() -> None:
    facts = BoardFacts(
        architecture="aarch64",
        kernel="6.1",
        os_name="Debian",
        libc=None,
        cores=(),
        memory_total_bytes=1,
        memory_available_bytes=1,
        model="Radxa ROCK Pi 4B",
    )
    board = load_board("rk3399", project_dir=None)
    target = Connection(
        board=board, transport=LocalTransport(), provenance=Provenance.HARDWARE, directory="~/x", twin=None
    )
    assert target.as_probed(facts) is target
    assert target.clock is None
    seen = target.as_probed(replace(facts, model=QEMU_MODEL))
    assert (seen.provenance, seen.clock) == (Provenance.QEMU_SYSTEM, Clock.REAL)
