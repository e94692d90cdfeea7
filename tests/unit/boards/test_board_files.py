"""Board files: the shipped ones, the user's own, and every way to get one wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgedeploy.boards import cores
from edgedeploy.boards.load import Origin, list_boards, load_board, read_board_file
from edgedeploy.boards.model import Board
from edgedeploy.boards.schema import schema_text
from edgedeploy.errors import BoardFileError, UnknownBoardError
from edgedeploy.paths import CONFIG_VARIABLE, resource_dir

SHIPPED = ("imx8mp", "jetson-nano", "rk3399", "rk3566", "rk3588", "rpi2", "rpi3", "rpi4", "rpi5")
SHIPPED_DIRECTORY = resource_dir() / "boards"


@pytest.fixture(autouse=True)
def config_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the boards of whoever runs the tests out of them."""
    directory = tmp_path / "config"
    monkeypatch.setenv(CONFIG_VARIABLE, str(directory))
    return directory


def board_text(name: str = "rk3399") -> str:
    return (SHIPPED_DIRECTORY / f"{name}.toml").read_text(encoding="utf-8")


def write_board(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fault_of(tmp_path: Path, old: str, new: str) -> str:
    """Return the message for the rk3399 file with one replacement."""
    text = board_text()
    assert old in text
    path = write_board(tmp_path, "rk3399", text.replace(old, new, 1))
    with pytest.raises(BoardFileError) as caught:
        read_board_file(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_every_shipped_board_is_valid_and_listed() -> None:
    entries = list_boards(project_dir=None)
    assert tuple(entry.name for entry in entries) == SHIPPED
    for entry in entries:
        assert entry.fault is None
        assert entry.origin is Origin.SHIPPED
        assert entry.board is not None
        assert entry.board.name == entry.name


@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_of_a_shipped_board_says_where_it_is_published(name: str) -> None:
    board = load_board(name, project_dir=None)
    assert board.unsourced == ()
    assert set(board.sources) <= set(board.figures)


@pytest.mark.parametrize("name", SHIPPED)
def test_cache_sizes_and_ways_make_a_power_of_two_of_sets(name: str) -> None:
    line_bytes = 64
    for cluster in load_board(name, project_dir=None).clusters:
        for cache in (cluster.l1i, cluster.l1d, cluster.l2, cluster.l3):
            if cache is not None and cache.ways is not None:
                sets, rest = divmod(cache.size_kib * 1024, cache.ways * line_bytes)
                assert rest == 0
                assert sets & (sets - 1) == 0, f"{name} {cluster.core}: {cache}"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_twin_runs_every_instruction_of_its_board(name: str) -> None:
    board = load_board(name, project_dir=None)
    assert board.twin.features is not None
    assert board.features <= board.twin.features
    assert board.twin.vcpus <= board.core_count
    assert board.twin.memory_mib <= max(board.memory.sizes_mib)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_twin_of_another_core_type_says_so(name: str) -> None:
    board = load_board(name, project_dir=None)
    if board.twin.core not in {cluster.core for cluster in board.clusters}:
        assert name == "rk3566"
        assert "Cortex-A55" in board.twin.note


def test_rk3399_has_two_fast_and_four_small_cores() -> None:
    board = load_board("rk3399", project_dir=None)
    assert board.cores_by_part == {"0xd03": 4, "0xd08": 2}
    assert board.core_count == 6
    assert board.fastest_cluster.core == "cortex-a72"
    assert board.fastest_cluster.cpus == (4, 5)
    assert "asimddp" not in board.features
    assert board.architecture == "aarch64"


def test_dot_product_is_where_it_is() -> None:
    with_dot_product = {name for name in SHIPPED if "asimddp" in load_board(name, project_dir=None).features}
    assert with_dot_product == {"rk3566", "rk3588", "rpi5"}


def test_boards_before_the_pi_5_have_no_cryptography() -> None:
    for name in ("rpi3", "rpi4"):
        assert not {"aes", "pmull", "sha1", "sha2"} & load_board(name, project_dir=None).features
    assert "aes" in load_board("rpi5", project_dir=None).features


def test_schema_file_is_the_models() -> None:
    path = SHIPPED_DIRECTORY / "schema.json"
    assert path.read_text(encoding="utf-8") == schema_text(), "run python -m edgedeploy.boards.schema"
    assert json.loads(schema_text())["additionalProperties"] is False


def test_to_json_is_json_and_reads_back() -> None:
    board = load_board("rk3588", project_dir=None)
    document = json.loads(json.dumps(board.to_json()))
    assert document["schema"] == 1
    assert document["core_count"] == 8
    assert document["features"] == sorted(board.features)
    for derived in ("architecture", "core_count", "features"):
        del document[derived]
    assert Board.model_validate(document) == board


def test_project_hides_user_hides_shipped(tmp_path: Path, config_directory: Path) -> None:
    project = tmp_path / "project"
    write_board(config_directory / "boards", "rk3399", board_text().replace('Rockchip RK3399"', "user's\"", 1))
    assert load_board("rk3399", project_dir=project).soc == "user's"
    write_board(project / "boards", "rk3399", board_text().replace('Rockchip RK3399"', "project's\"", 1))
    assert load_board("rk3399", project_dir=project).soc == "project's"
    assert load_board("rk3399", project_dir=None).soc == "user's"
    (entry,) = [entry for entry in list_boards(project_dir=project) if entry.name == "rk3399"]
    assert entry.origin is Origin.PROJECT


def test_a_path_is_read_directly(tmp_path: Path) -> None:
    path = write_board(tmp_path, "camera", board_text().replace('"rk3399"', '"camera"', 1))
    assert load_board(str(path), project_dir=None).name == "camera"
    assert load_board(path, project_dir=None).name == "camera"


def test_a_broken_file_is_listed_with_its_fault_and_does_not_hide_the_others(config_directory: Path) -> None:
    write_board(config_directory / "boards", "mine", "name = 3")
    entries = {entry.name: entry for entry in list_boards(project_dir=None)}
    assert set(entries) == {*SHIPPED, "mine"}
    assert entries["mine"].board is None
    assert isinstance(entries["mine"].fault, BoardFileError)


@pytest.mark.parametrize(("name", "near"), [("rk3999", "rk3399"), ("rpi-4", "rpi4"), ("jetson_nano", "jetson-nano")])
def test_unknown_board_names_the_close_match(name: str, near: str) -> None:
    with pytest.raises(UnknownBoardError) as caught:
        load_board(name, project_dir=None)
    assert repr(name) in caught.value.message
    assert near in caught.value.hint


@pytest.mark.parametrize("name", ["", "..", "../boards/rk3399", "/etc/passwd", "rk3399\n", "*"])
def test_what_is_no_name_is_unknown(name: str) -> None:
    with pytest.raises(UnknownBoardError):
        load_board(name, project_dir=None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("count = 4", "count = 5", r"clusters\.0: count is 5 but cpus lists 4 indices"),
        ("count = 4", 'count = "4"', r"clusters\.0\.count: .*integer \(is '4'\)"),
        ("max_mhz = 1416", "max_mhz = 0", r"clusters\.0\.max_mhz: .*greater than or equal to 100 \(is 0\)"),
        ('part = "0xd03"', 'part = "0xd08"', r"cortex-a53 has the part number 0xd03, not 0xd08"),
        ('part = "0xd03"', 'part = "d03"', r"clusters\.0\.part: .*0x\[0-9a-f\].*\(is 'd03'\)"),
        ("cpus = [4, 5]", "cpus = [3, 4]", r"0 to 5, each once, not \[0, 1, 2, 3, 3, 4\]"),
        ('"crc32"]', '"crc23"]', r"clusters\.0\.features\.6: .*'crc32'.*\(is 'crc23'\)"),
        ('"fp", ', '"asimd", ', r"features lists a name twice"),
        ('scope = "core"', 'scope = "chip"', r"l1i\.scope: .*'core', 'cluster' or 'soc' \(is 'chip'\)"),
        ("[memory]\n", "[memory]\nsise_mib = [1]\n", r"memory\.sise_mib: there is no such key .*sizes_mib"),
        ("vcpus = 2", "vcpu = 2", r"twin\.vcpu: there is no such key \(did you mean vcpus\?\); allowed: core, "),
        ("vcpus = 2", "", r"twin\.vcpus: is missing"),
        ('[twin]\ncore = "cortex-a72"', '[twin]\ncore = "a72"', r"twin\.core: .*'cortex-a76'.*\(is 'a72'\)"),
        ("memory_mib = 1024", "memory_mib = 12", r"twin\.memory_mib: .*256 \(is 12\)"),
        ("aarch64-linux-gnu", "riscv64-linux-gnu", r"triple: .*'aarch64-linux-gnu'.* \(is 'riscv64-linux-gnu'\)"),
        ("~/.edgedeploy", "~/../x", r"default_directory must not contain '\.\.'"),
        ("~/.edgedeploy", "relative", r"default_directory: .*\(is 'relative'\)"),
        ("~/.edgedeploy", "~/a b; rm", r"default_directory: "),
        ('"rock"', '"Rock!"', r"default_user: .*\(is 'Rock!'\)"),
        ("schema = 1", "schema = 2", r"schema: Input should be 1 \(is 2\)"),
        ("cpufreq/policy0", "../etc passwd", r"linux\.cpufreq_policies\.0: "),
        ('"cortex-a53.l1i" =', '"cortex-a53.l9" =', r"sources has 'cortex-a53\.l9'.*figures: .*cortex-a53\.l1i"),
        ('name = "rk3399"', 'name = "rk3388"', r"name is 'rk3388', but the file is called rk3399\.toml"),
        ('name = "rk3399"', "name = ", r"not valid TOML: .*line 3"),
        ("sizes_mib = [1024, 2048, 4096]", "sizes_mib = []", r"memory\.sizes_mib: .*at least 1 item"),
    ],
)  # fmt: skip
def test_a_fault_names_key_value_and_what_is_allowed(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert re.search(expected, fault_of(tmp_path, old, new), re.DOTALL)


def test_all_faults_are_listed(tmp_path: Path) -> None:
    text = board_text().replace("max_mhz = 1416", "max_mhz = 1").replace("vcpus = 2", "vcpus = 99")
    path = write_board(tmp_path, "rk3399", text)
    with pytest.raises(BoardFileError) as caught:
        read_board_file(path)
    assert "clusters.0.max_mhz" in caught.value.message
    assert "twin.vcpus" in caught.value.message


def test_a_missing_or_unreadable_file_is_a_board_file_error(tmp_path: Path) -> None:
    with pytest.raises(BoardFileError, match=r"cannot be read: No such file"):
        load_board(str(tmp_path / "none.toml"), project_dir=None)
    (tmp_path / "directory.toml").mkdir()
    with pytest.raises(BoardFileError, match="cannot be read"):
        load_board(str(tmp_path / "directory.toml"), project_dir=None)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BoardFileError, match="not valid TOML"):
        load_board(str(tmp_path / "bytes.toml"), project_dir=None)


def test_a_user_board_needs_no_sources(tmp_path: Path) -> None:
    text = board_text().split("[sources]", maxsplit=1)[0]
    board = read_board_file(write_board(tmp_path, "rk3399", text))
    assert set(board.unsourced) == set(board.figures)


def test_a_source_may_stand_for_all_figures_of_a_core(tmp_path: Path) -> None:
    text = board_text().split("[sources]", maxsplit=1)[0] + '[sources]\n"cortex-a53" = "a manual"\n'
    board = read_board_file(write_board(tmp_path, "rk3399", text))
    assert not [figure for figure in board.unsourced if figure.startswith("cortex-a53")]
    assert "cortex-a72.l2" in board.unsourced


def test_part_numbers_have_one_core_each() -> None:
    assert len(set(cores.CORE_PARTS.values())) == len(cores.CORE_PARTS)
    assert cores.core_name("0xd0b") == "cortex-a76"
    assert cores.core_name("0xfff") == "0xfff"
