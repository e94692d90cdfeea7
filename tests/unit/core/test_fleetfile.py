"""What a fleet file may hold, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.errors import FleetFileError
from edgedeploy.fleetfile import load_fleet

BOARD = '[[boards]]\nname = "a"\nboard = "rk3399"\n'
HOST = f'{BOARD}host = "rock@192.0.2.7"\n'


def load(directory: Path, text: str) -> None:
    (directory / "fleet.toml").write_text(text, encoding="utf-8")
    load_fleet(directory / "fleet.toml")


def test_a_full_file_and_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(
        'parallel = 4\n[waves]\nsizes = [1, "25%", "rest"]\nmax_failures = 2\nroll_back = true\n'
        '[labgrid]\ncoordinator = "lab:20408"\n'
        f'{HOST}key_file = "keys/lab"\nhost_key = "SHA256:{"A" * 43}"\ndirectory = "~/apps"\n'
        '[[boards]]\nname = "b"\nboard = "boards/mine.toml"\nplace = "door-1"\n'
        '[[boards]]\nname = "c"\nboard = "rk3399"\nemulated = true\n',
        encoding="utf-8",
    )
    fleet = load_fleet(path)
    assert fleet.parallel == 4
    assert (fleet.waves.sizes, fleet.waves.max_failures, fleet.waves.roll_back) == ((1, "25%", "rest"), 2, True)
    assert fleet.labgrid is not None
    assert [(item.name, item.host, item.place, item.emulated) for item in fleet.boards] == [
        ("a", "rock@192.0.2.7", None, False),
        ("b", None, "door-1", False),
        ("c", None, None, True),
    ]
    path.write_text(HOST, encoding="utf-8")
    usual = load_fleet(path)
    assert (usual.waves.sizes, usual.waves.max_failures, usual.parallel) == ((1, "rest"), 0, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "boards: Field required"),
        ("boards = []", "boards: Tuple should have at least 1 item"),
        (BOARD, "boards.0: say where the board is"),
        (f'{HOST}place = "door"\n', "boards.0: say where the board is"),
        (f"{BOARD}emulated = false\n", "boards.0: say where the board is"),
        (f'{BOARD}emulated = true\nhost_key = "SHA256:{"A" * 43}"\n', "a twin has keys of its own"),
        (f'{HOST}host_key = "MD5:aa"\n', "boards.0.host_key"),
        (f'{HOST}directory = "relative"\n', "boards.0.directory"),
        (f"{HOST}{HOST}", "the name 'a' stands for two boards"),
        (HOST + HOST.replace('"a"', '"b"'), "'rock@192.0.2.7' stands for two boards"),
        (HOST.replace('"a"', '"A b"'), "boards.0.name"),
        (f"parallel = 0\n{HOST}", "parallel"),
        (f"[waves]\nsizes = []\n{HOST}", "waves: at least one wave"),
        (f'[waves]\nsizes = ["rest", 1]\n{HOST}', 'waves: nothing can follow "rest"'),
        (f"[waves]\nsizes = [0]\n{HOST}", r"waves.sizes.0: a wave is a number of boards .* \(is 0\)"),
        (f"[waves]\nsizes = [true]\n{HOST}", "waves.sizes.0"),
        (f'[waves]\nsizes = ["0%"]\n{HOST}', "waves.sizes.0"),
        (f'[waves]\nmax_failures = "1"\n{HOST}', "waves.max_failures"),
        (f'{HOST}hosts = "x"\n', "boards.0.hosts: Extra inputs"),
        ("name = [", "is not valid TOML"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FleetFileError, match=says) as caught:
        load(tmp_path, text)
    assert caught.value.hint


def test_an_unknown_key_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(FleetFileError) as caught:
        load(tmp_path, f"[waves]\nmax_failure = 1\n{HOST}")
    assert caught.value.hint.startswith("did you mean max_failures")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FleetFileError, match="cannot be read"):
        load_fleet(tmp_path / "fleet.toml")
